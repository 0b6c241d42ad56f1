-- An extension of the shape that keeps users' rows in its own tables: some rows come with it, the others are
-- the user's and must be carried by a backup, because CREATE EXTENSION does not bring them.

CREATE TABLE rate (
    code text PRIMARY KEY,
    percent numeric(6, 3) NOT NULL,
    builtin boolean NOT NULL DEFAULT false
);
INSERT INTO rate VALUES ('standard', 21, true), ('reduced', 10, true);

CREATE TABLE setting (
    name text PRIMARY KEY,
    value text
);

CREATE SEQUENCE entry_number START 1000;

-- Belongs to the extension and is no configuration: nothing of it may be carried.
CREATE TABLE scratch (note text);

CREATE FUNCTION percent_of(code text) RETURNS numeric
    LANGUAGE sql STABLE
    AS $$ SELECT r.percent FROM @extschema@.rate r WHERE r.code = $1 $$;

SELECT pg_catalog.pg_extension_config_dump('rate', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('setting', '');
SELECT pg_catalog.pg_extension_config_dump('entry_number', '');
