-- What stands beside tables: foreign data, publications, subscriptions.

SET search_path = nasty, public, ext;

CREATE FOREIGN DATA WRAPPER dummy OPTIONS (debug 'true');
CREATE SERVER "Dummy Server" TYPE 'it''s' VERSION '1.0' FOREIGN DATA WRAPPER dummy OPTIONS (host 'localhost', "Quoted" 'x');
CREATE FOREIGN TABLE foreign_dummy (id integer OPTIONS (col 'a''b') NOT NULL, t text DEFAULT 'x', CHECK (id > 0))
    SERVER "Dummy Server" OPTIONS (path '/nowhere');
CREATE USER MAPPING FOR nasty_reader SERVER "Dummy Server" OPTIONS ("user" 'remote', password 'it''s a secret');
CREATE USER MAPPING FOR PUBLIC SERVER "Dummy Server";
ALTER SERVER "Dummy Server" OWNER TO nasty_owner;
COMMENT ON SERVER "Dummy Server" IS 'answers nothing';
COMMENT ON FOREIGN TABLE foreign_dummy IS 'has no rows that could be read';
-- A leaf that is elsewhere: its rows are not ours to carry.
CREATE TABLE partly_foreign (id integer, t text) PARTITION BY LIST (id);
CREATE TABLE partly_foreign_1 PARTITION OF partly_foreign FOR VALUES IN (1);
CREATE FOREIGN TABLE partly_foreign_2 PARTITION OF partly_foreign FOR VALUES IN (2) SERVER "Dummy Server";
INSERT INTO partly_foreign VALUES (1, 'here');
\if :has_file_fdw
CREATE EXTENSION file_fdw SCHEMA ext;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE hosts (line text) SERVER files OPTIONS (filename '/etc/hostname', format 'text');
\endif
\if :has_postgres_fdw
CREATE EXTENSION postgres_fdw SCHEMA ext;
CREATE SERVER unreachable FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'none');
CREATE FOREIGN TABLE far_away (id integer) SERVER unreachable OPTIONS (table_name 'x');
\endif

SET client_min_messages = error;
CREATE PUBLICATION "Pub 1" FOR TABLE public.plain, nasty.chicken WITH (publish = 'insert, delete');
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE PUBLICATION of_nothing;
\if :v13
CREATE PUBLICATION through_root FOR TABLE events_2023, mixed WITH (publish_via_partition_root = true);
\endif
\if :v15
CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA archive;
CREATE PUBLICATION of_some FOR TABLE nasty.keyed (a, b) WHERE (a > 10);
\endif
ALTER PUBLICATION "Pub 1" OWNER TO nasty_owner;
COMMENT ON PUBLICATION "Pub 1" IS 'two tables';
\if :{?no_subscription}
\else
CREATE SUBSCRIPTION "Sub 1" CONNECTION 'host=127.0.0.1 port=1 dbname=none password=secret' PUBLICATION "Pub 1", other
    WITH (connect = false, slot_name = NONE, synchronous_commit = local);
COMMENT ON SUBSCRIPTION "Sub 1" IS 'never connected';
\endif
SET client_min_messages = warning;
