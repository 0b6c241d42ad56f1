-- Constraints and indexes.

SET ROLE nasty_owner;
SET search_path = nasty, public, ext;

-- Two tables that need each other, one that needs itself, in an order that no loading can satisfy row by row.
CREATE TABLE chicken (id integer PRIMARY KEY, egg_id integer NOT NULL);
CREATE TABLE egg (id integer PRIMARY KEY, chicken_id integer NOT NULL);
ALTER TABLE chicken ADD CONSTRAINT from_egg FOREIGN KEY (egg_id) REFERENCES egg DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE egg ADD CONSTRAINT from_chicken FOREIGN KEY (chicken_id) REFERENCES chicken DEFERRABLE INITIALLY IMMEDIATE;
BEGIN;
INSERT INTO chicken SELECT i, 101 - i FROM generate_series(1, 100) i;
INSERT INTO egg SELECT i, i FROM generate_series(1, 100) i;
COMMIT;
CREATE TABLE node (id integer PRIMARY KEY, parent_id integer CONSTRAINT "Parent's" REFERENCES node ON UPDATE CASCADE);
INSERT INTO node SELECT i, nullif(i - 1, 0) FROM generate_series(1, 200) i;
UPDATE node SET parent_id = parent_id WHERE id % 2 = 0;
COMMENT ON CONSTRAINT "Parent's" ON node IS 'a tree';

CREATE TABLE keyed (
    a integer, b text COLLATE "C", c integer, d integer, period int4range,
    CONSTRAINT keyed_key PRIMARY KEY (b, a) INCLUDE (d) WITH (fillfactor = 80),
    CONSTRAINT keyed_unique UNIQUE (c) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT no_overlap EXCLUDE USING gist (period WITH &&) WHERE (d > 0),
    CONSTRAINT a_or_c CHECK (a > 0 OR c IS NULL));
INSERT INTO keyed SELECT i, 'b' || i, i, i, int4range(i * 10, i * 10 + 10) FROM generate_series(1, 50) i;
CREATE TABLE refers_to_keyed (
    a integer, b text, c integer,
    FOREIGN KEY (b, a) REFERENCES keyed MATCH FULL ON DELETE SET NULL ON UPDATE SET DEFAULT,
    FOREIGN KEY (c) REFERENCES chicken (id) ON DELETE RESTRICT);
INSERT INTO refers_to_keyed VALUES (1, 'b1', 1), (NULL, NULL, 2);
CREATE UNIQUE INDEX keyed_by_index ON keyed (a) WHERE a > 0;
CREATE UNIQUE INDEX egg_pair ON egg (id, chicken_id);
CREATE TABLE refers_to_index (id integer, chicken_id integer,
    FOREIGN KEY (id, chicken_id) REFERENCES egg (id, chicken_id));
INSERT INTO refers_to_index VALUES (1, 1);

-- Constraints that their own rows break.
CREATE TABLE not_valid (id integer, n integer);
INSERT INTO not_valid VALUES (-1, 1000000);
ALTER TABLE not_valid ADD CONSTRAINT positive_id CHECK (id > 0) NOT VALID;
ALTER TABLE not_valid ADD CONSTRAINT dangling FOREIGN KEY (n) REFERENCES chicken NOT VALID;

CREATE INDEX ON node USING hash (parent_id);
CREATE INDEX ON node USING brin (id) WITH (pages_per_range = 4);
CREATE INDEX ON node (parent_id DESC NULLS FIRST, id) WHERE parent_id IS NOT NULL;
CREATE INDEX "Expression's index" ON texts ((left(t, 20) || '''"' || id), lower(left(t, 20)) text_pattern_ops);
CREATE INDEX ON others USING gin (jb jsonb_path_ops);
CREATE INDEX ON others USING gin (words);
CREATE INDEX ON others USING spgist (box);
CREATE INDEX ON others USING second_gist (box);
COMMENT ON INDEX "Expression's index" IS 'two expressions';
\if :has_trgm
CREATE INDEX ON public.plain USING gin (t gin_trgm_ops);
\endif
\if :has_btree_gist
CREATE TABLE booking (room integer, during tsrange, EXCLUDE USING gist (room WITH =, during WITH &&)
    DEFERRABLE INITIALLY DEFERRED);
INSERT INTO booking VALUES (1, '[2024-01-01,2024-01-02)'), (1, '[2024-01-02,2024-01-03)'), (2, '[2024-01-01,2024-01-03)');
\endif

\if :v15
CREATE TABLE nulls_not_distinct (a integer, b integer, UNIQUE NULLS NOT DISTINCT (a, b));
INSERT INTO nulls_not_distinct VALUES (NULL, 1), (NULL, 2);
CREATE TABLE set_null_columns (a integer, b text, FOREIGN KEY (b, a) REFERENCES keyed ON DELETE SET NULL (a));
INSERT INTO set_null_columns VALUES (2, 'b2');
\endif
\if :v18
CREATE TABLE constraints_of_18 (id integer, n integer, t text,
    CONSTRAINT named_not_null NOT NULL id,
    CONSTRAINT not_enforced CHECK (n > 0) NOT ENFORCED,
    CONSTRAINT reference_not_enforced FOREIGN KEY (n) REFERENCES chicken NOT ENFORCED);
INSERT INTO constraints_of_18 VALUES (1, -5, NULL);
ALTER TABLE constraints_of_18 ADD CONSTRAINT text_not_null NOT NULL t NOT VALID;
\if :has_btree_gist
CREATE TABLE temporal (id integer, valid daterange, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
CREATE TABLE refers_to_temporal (id integer, valid daterange,
    FOREIGN KEY (id, PERIOD valid) REFERENCES temporal (id, PERIOD valid));
INSERT INTO temporal VALUES (1, '[2024-01-01,2025-01-01)'), (1, '[2025-01-01,2026-01-01)');
INSERT INTO refers_to_temporal VALUES (1, '[2024-06-01,2025-06-01)');
\endif
\endif

-- Indexes that compute with functions which read other tables: those must be filled before the index is made.
CREATE TABLE country (id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO country SELECT i, 'country ' || i FROM generate_series(1, 50) i;
CREATE TABLE location (id integer PRIMARY KEY, city text, country_id integer REFERENCES country);
INSERT INTO location SELECT i, 'city ' || i, 1 + i % 50 FROM generate_series(1, 500) i;
CREATE FUNCTION location_name(location_id integer) RETURNS text
    LANGUAGE plpgsql IMMUTABLE SET search_path FROM CURRENT AS $$
DECLARE
    result text;
BEGIN
    SELECT l.city || ', ' || c.name INTO result FROM location l JOIN country c ON c.id = l.country_id
    WHERE l.id = location_id;
    RETURN result;
END
$$;
CREATE FUNCTION qualified_location_name(location_id integer) RETURNS text
    LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN nasty.location_name(location_id) || ' (' || (SELECT count(*) FROM nasty.country) || ')';
END
$$;
CREATE TABLE visitor (id integer PRIMARY KEY, location_id integer REFERENCES location);
INSERT INTO visitor SELECT i, 1 + i % 500 FROM generate_series(1, 1000) i;
CREATE INDEX visitor_location ON visitor (location_name(location_id));
CREATE UNIQUE INDEX visitor_location_unique ON visitor (qualified_location_name(location_id), id);

\if :{?unsupported}
-- What pg_dump itself does not bring back: it restores with an empty search_path, and in an order of its own.
CREATE FUNCTION unqualified_name(id integer) RETURNS text
    LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (SELECT c.name FROM country c WHERE c.id = unqualified_name.id); END $$;
\if :v17
\else
CREATE INDEX location_unqualified ON location (unqualified_name(country_id));
\endif
CREATE FUNCTION country_exists(id integer) RETURNS boolean
    LANGUAGE plpgsql AS $$ BEGIN RETURN EXISTS (SELECT FROM nasty.zz_country z WHERE z.id = country_exists.id); END $$;
CREATE TABLE zz_country (id integer);
INSERT INTO zz_country VALUES (1);
CREATE TABLE aa_checked (id integer CHECK (nasty.country_exists(id)));
INSERT INTO aa_checked VALUES (1);
\endif
RESET ROLE;
