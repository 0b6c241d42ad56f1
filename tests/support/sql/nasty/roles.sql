-- Roles, schemas and extensions.

DO $do$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['nasty_owner', 'nasty_reader', 'nasty_writer', 'Nasty "Other" Rôle'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L', name, 'nasty');
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nasty_group') THEN
        CREATE ROLE nasty_group NOLOGIN;
    END IF;
END
$do$;
GRANT nasty_group TO nasty_reader;
GRANT nasty_reader, nasty_writer, "Nasty ""Other"" Rôle" TO nasty_owner;

ALTER DATABASE :"DBNAME" OWNER TO nasty_owner;

CREATE SCHEMA nasty AUTHORIZATION nasty_owner;
CREATE SCHEMA "Näs.ty ""Schema"" 2" AUTHORIZATION "Nasty ""Other"" Rôle";
CREATE SCHEMA archive AUTHORIZATION nasty_owner;
CREATE SCHEMA empty;
CREATE SCHEMA ext;
COMMENT ON SCHEMA nasty IS E'it''s "nasty"\nwith a second line, a \\ and ünïcödé';
COMMENT ON SCHEMA public IS 'not the standard comment';
GRANT USAGE ON SCHEMA ext TO PUBLIC;

SELECT count(*) FILTER (WHERE name = 'btree_gist') > 0 AS has_btree_gist,
       count(*) FILTER (WHERE name = 'hstore') > 0 AS has_hstore,
       count(*) FILTER (WHERE name = 'postgres_fdw') > 0 AS has_postgres_fdw,
       count(*) FILTER (WHERE name = 'file_fdw') > 0 AS has_file_fdw,
       count(*) FILTER (WHERE name = 'uuid-ossp') > 0 AS has_uuid,
       count(*) FILTER (WHERE name = 'pg_trgm') > 0 AS has_trgm,
       count(*) FILTER (WHERE name = 'obbackup_ledger') > 0 AS has_ledger
FROM pg_available_extensions \gset

\if :has_uuid
CREATE EXTENSION "uuid-ossp";
\endif
\if :has_trgm
CREATE EXTENSION pg_trgm;
\endif
\if :has_hstore
CREATE EXTENSION hstore SCHEMA ext;
COMMENT ON EXTENSION hstore IS 'a comment of our own';
\endif
\if :has_btree_gist
CREATE EXTENSION btree_gist SCHEMA ext;
\endif
-- Brings tables with rows of its own; the others in them are ours.
\if :has_ledger
CREATE SCHEMA ledger;
CREATE EXTENSION obbackup_ledger SCHEMA ledger;
INSERT INTO ledger.rate VALUES ('Ünusual', 12.345), ('zero', 0);
INSERT INTO ledger.setting VALUES ('colour', E'red\tgreen'), ('nothing', NULL);
INSERT INTO ledger.scratch VALUES ('not to be carried');
SELECT nextval('ledger.entry_number'), nextval('ledger.entry_number') \gset ignored_
\endif
