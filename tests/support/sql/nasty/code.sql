-- Functions, triggers, rules and event triggers.

SET ROLE nasty_owner;
SET search_path = nasty, public, ext;

CREATE FUNCTION overloaded() RETURNS text LANGUAGE sql AS $$ SELECT 'none' $$;
CREATE FUNCTION overloaded(integer) RETURNS text LANGUAGE sql AS $$ SELECT 'integer' $$;
CREATE FUNCTION overloaded(VARIADIC text[]) RETURNS text LANGUAGE sql AS $$ SELECT 'texts' $$;
CREATE FUNCTION "Quoted ""function"" $1"("Arg, 1" "Mixed Case", b text DEFAULT 'it''s; -- not a comment', OUT c integer)
    LANGUAGE plpgsql STABLE SECURITY DEFINER COST 1000 PARALLEL RESTRICTED
    SET search_path = nasty, "Näs.ty ""Schema"" 2", pg_temp SET datestyle = 'German, DMY' SET work_mem = '1MB'
    AS $_$
BEGIN
    -- $$ and $body$ and 'quotes' and \ backslashes
    c := ("Arg, 1")."Id" + length($2);
END
$_$;
CREATE FUNCTION of_things_that_do_not_exist() RETURNS void
    LANGUAGE plpgsql AS $$ BEGIN PERFORM nowhere.nothing(x) FROM absent_table; END $$;
CREATE FUNCTION rows_of(n integer DEFAULT 10, OUT a integer, INOUT b text DEFAULT 'b') RETURNS SETOF record
    LANGUAGE sql ROWS 10 AS 'SELECT i, b FROM generate_series(1, n) i';
CREATE PROCEDURE proceed(INOUT n integer) LANGUAGE plpgsql AS $$ BEGIN n := n + 1; COMMIT; END $$;
\if :v14
CREATE FUNCTION standard_body(a integer, b integer DEFAULT 2) RETURNS integer LANGUAGE sql IMMUTABLE RETURN a + b;
CREATE FUNCTION standard_block() RETURNS bigint LANGUAGE sql
    BEGIN ATOMIC SELECT count(*) FROM nasty."Mixed Case"; SELECT count(*) FROM nasty.node; END;
\endif
COMMENT ON FUNCTION overloaded(integer) IS 'the one with an integer';
COMMENT ON FUNCTION "Quoted ""function"" $1"("Mixed Case", text) IS E'\\ "c" ''d''';
COMMENT ON PROCEDURE proceed(integer) IS 'commits';

-- Triggers that would spoil or refuse rows if they were there while data comes back.
CREATE TABLE audited (id integer PRIMARY KEY, t text, changes integer DEFAULT 0);
CREATE TABLE audit_log (id serial, what text);
INSERT INTO audited SELECT i, 't' || i FROM generate_series(1, 100) i;
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO nasty.audit_log (what) VALUES (TG_NAME || ' ' || TG_OP || coalesce(' ' || TG_ARGV[0], ''));
    IF TG_LEVEL = 'ROW' AND TG_WHEN = 'BEFORE' THEN NEW.changes := NEW.changes + 1; END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused by %', TG_NAME; END $$;
CREATE TRIGGER "Before, always" BEFORE INSERT OR UPDATE OF t ON audited FOR EACH ROW
    WHEN (NEW.t IS DISTINCT FROM 'quiet') EXECUTE FUNCTION audit(E'it''s\n"two" lines \\ and ünïcödé', '2', '');
CREATE TRIGGER after_statement AFTER INSERT OR DELETE OR TRUNCATE ON audited FOR EACH STATEMENT EXECUTE FUNCTION audit();
CREATE TRIGGER with_tables AFTER UPDATE ON audited REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION audit();
CREATE TRIGGER refuses BEFORE INSERT ON audited FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuses_on_replica BEFORE INSERT OR UPDATE ON audited FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuses_always BEFORE INSERT ON audited FOR EACH ROW WHEN (NEW.id < 0) EXECUTE FUNCTION refuse();
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON audited DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit('constraint');
ALTER TABLE audited DISABLE TRIGGER refuses;
ALTER TABLE audited ENABLE REPLICA TRIGGER refuses_on_replica;
ALTER TABLE audited ENABLE ALWAYS TRIGGER refuses_always;
COMMENT ON TRIGGER refuses ON audited IS 'disabled';
INSERT INTO audited VALUES (1001, 'loud'), (1002, 'quiet');
CREATE TRIGGER of_partitions AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION audit();
RESET ROLE;
-- PostgreSQL 12 takes it for a system trigger.
ALTER TABLE events_2023 DISABLE TRIGGER of_partitions;
SET ROLE nasty_owner;
CREATE TABLE refuses_everything (id integer);
INSERT INTO refuses_everything VALUES (1), (2);
CREATE TRIGGER refuse_row BEFORE INSERT ON refuses_everything FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON refuses_everything FOR EACH STATEMENT EXECUTE FUNCTION refuse();
ALTER TABLE refuses_everything ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE refuses_everything ENABLE ALWAYS TRIGGER refuse_truncate;

CREATE TABLE ruled (id integer, t text);
INSERT INTO ruled VALUES (1, 'one');
CREATE RULE "log ""inserts""" AS ON INSERT TO ruled DO ALSO INSERT INTO audit_log (what) VALUES ('rule ' || NEW.id);
CREATE RULE no_delete AS ON DELETE TO ruled WHERE OLD.id = 1 DO INSTEAD NOTHING;
CREATE RULE several AS ON UPDATE TO ruled DO INSTEAD (
    DELETE FROM ruled WHERE id = OLD.id + 1000; INSERT INTO audit_log (what) VALUES ('several'); NOTIFY nasty);
ALTER TABLE ruled DISABLE RULE no_delete;
ALTER TABLE ruled ENABLE ALWAYS RULE several;
COMMENT ON RULE several ON ruled IS 'more than one';

-- Row security, forced on the owner too.
CREATE TABLE secured (id integer PRIMARY KEY, owner_name name DEFAULT current_user, secret text);
INSERT INTO secured VALUES (1, 'nasty_owner', 'mine'), (2, 'nasty_reader', 'hers'), (3, 'nobody', 'nobody''s');
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
ALTER TABLE secured FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON secured FOR SELECT TO nasty_reader, nasty_owner USING (owner_name = current_user);
CREATE POLICY "No, never" ON secured AS RESTRICTIVE FOR UPDATE TO PUBLIC USING (false) WITH CHECK (id > 0);
CREATE POLICY insert_own ON secured FOR INSERT WITH CHECK (owner_name = current_user);
COMMENT ON POLICY own_rows ON secured IS 'only one''s own';
CREATE TABLE secured_without_policy (id integer);
INSERT INTO secured_without_policy VALUES (1);
ALTER TABLE secured_without_policy ENABLE ROW LEVEL SECURITY;
ALTER TABLE secured_without_policy FORCE ROW LEVEL SECURITY;
CREATE TABLE policy_without_security (id integer);
INSERT INTO policy_without_security VALUES (1);
CREATE POLICY unused ON policy_without_security USING (id > 1);
RESET ROLE;

-- Event triggers, which also see what a restore does.
CREATE FUNCTION nasty.on_event() RETURNS event_trigger
    LANGUAGE plpgsql AS $$ BEGIN RAISE DEBUG 'event %', TG_TAG; END $$;
CREATE FUNCTION nasty.refuse_event() RETURNS event_trigger
    LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused by the event trigger'; END $$;
CREATE EVENT TRIGGER "Any DDL" ON ddl_command_end EXECUTE FUNCTION nasty.on_event();
CREATE EVENT TRIGGER dropped ON sql_drop WHEN TAG IN ('DROP TABLE', 'DROP INDEX') EXECUTE FUNCTION nasty.on_event();
CREATE EVENT TRIGGER rewritten ON table_rewrite EXECUTE FUNCTION nasty.on_event();
CREATE EVENT TRIGGER refuses_ddl ON ddl_command_start WHEN TAG IN ('CREATE TABLE', 'CREATE FUNCTION')
    EXECUTE FUNCTION nasty.refuse_event();
ALTER EVENT TRIGGER refuses_ddl DISABLE;
ALTER EVENT TRIGGER rewritten ENABLE REPLICA;
ALTER EVENT TRIGGER dropped ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER "Any DDL" IS 'fires for each';
\if :v17
CREATE EVENT TRIGGER at_login ON login EXECUTE FUNCTION nasty.on_event();
\endif
