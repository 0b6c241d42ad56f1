-- Owners and privileges.

SET search_path = nasty, public, ext;

GRANT USAGE ON SCHEMA nasty TO nasty_reader, nasty_writer, nasty_group;
GRANT ALL ON SCHEMA archive TO nasty_writer WITH GRANT OPTION;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO PUBLIC;

SET ROLE nasty_owner;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON chicken TO nasty_writer WITH GRANT OPTION;
GRANT SELECT ON chicken TO PUBLIC;
GRANT SELECT ("Id", "with "" quote"), UPDATE ("select"), INSERT ("Id"), REFERENCES ("Id") ON "Mixed Case" TO nasty_reader;
GRANT SELECT ("Id") ON "Mixed Case" TO nasty_writer WITH GRANT OPTION;
GRANT SELECT ON "View 1", m1 TO nasty_group;
GRANT USAGE, SELECT ON SEQUENCE never_used TO nasty_writer WITH GRANT OPTION;
GRANT UPDATE ON SEQUENCE "Unowned Sequence" TO PUBLIC;
REVOKE EXECUTE ON FUNCTION overloaded() FROM PUBLIC;
REVOKE ALL ON FUNCTION overloaded(integer) FROM PUBLIC, nasty_owner;
GRANT EXECUTE ON FUNCTION overloaded(VARIADIC text[]) TO nasty_reader WITH GRANT OPTION;
GRANT EXECUTE ON PROCEDURE proceed(integer) TO nasty_reader;
REVOKE USAGE ON TYPE mood FROM PUBLIC;
GRANT USAGE ON TYPE mood TO nasty_reader WITH GRANT OPTION;
GRANT USAGE ON DOMAIN positive TO nasty_writer;
-- The owner may not read what is his.
REVOKE ALL ON of_type FROM nasty_owner;
REVOKE SELECT ON serials FROM nasty_owner;
RESET ROLE;
-- Granted by somebody who got it from somebody.
SET ROLE nasty_writer;
GRANT SELECT, UPDATE ON nasty.chicken TO nasty_reader WITH GRANT OPTION;
RESET ROLE;
SET ROLE nasty_reader;
GRANT SELECT ON nasty.chicken TO nasty_group;
RESET ROLE;
GRANT USAGE ON LANGUAGE sql TO nasty_reader WITH GRANT OPTION;
REVOKE USAGE ON LANGUAGE "another plpgsql" FROM PUBLIC;
GRANT USAGE ON FOREIGN DATA WRAPPER dummy TO nasty_owner WITH GRANT OPTION;
GRANT USAGE ON FOREIGN SERVER "Dummy Server" TO nasty_reader;
GRANT SELECT ON foreign_dummy TO nasty_reader;
GRANT SELECT ON of_the_superuser TO nasty_reader;
-- Privileges on objects of the system and of an extension, which pg_dump carries as differences.
GRANT SELECT ON pg_catalog.pg_authid TO nasty_reader;
REVOKE SELECT ON pg_catalog.pg_stat_activity FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pg_catalog.pg_backend_pid() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_backend_pid() TO nasty_owner, nasty_reader;
\if :has_ledger
GRANT SELECT, INSERT ON ledger.rate TO nasty_reader;
GRANT USAGE ON SCHEMA ledger TO nasty_reader;
\endif

ALTER DEFAULT PRIVILEGES FOR ROLE nasty_owner IN SCHEMA nasty GRANT SELECT ON TABLES TO nasty_reader WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE nasty_owner GRANT USAGE ON SEQUENCES TO nasty_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE nasty_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE "Nasty ""Other"" Rôle" GRANT USAGE ON TYPES TO nasty_group;
ALTER DEFAULT PRIVILEGES FOR ROLE nasty_owner GRANT USAGE ON SCHEMAS TO nasty_reader;
\if :v18
ALTER DEFAULT PRIVILEGES FOR ROLE nasty_owner GRANT SELECT ON LARGE OBJECTS TO nasty_reader;
\endif
\if :v17
GRANT MAINTAIN ON chicken TO nasty_group;
\endif
