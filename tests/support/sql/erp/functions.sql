-- The functions, as the application's role has them: most without a search_path of their own.

CREATE FUNCTION dateformat() RETURNS varchar LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 'DD-MM-YYYY'; END $$;
-- Run at each connection of the application: makes dateformat anew when the format differs.
CREATE FUNCTION update_dateformat(format varchar) RETURNS varchar LANGUAGE plpgsql AS $$
BEGIN
    IF dateformat() <> format THEN
        EXECUTE 'CREATE OR REPLACE FUNCTION dateformat() RETURNS varchar LANGUAGE plpgsql IMMUTABLE AS '
            || quote_literal('BEGIN RETURN ' || quote_literal(format) || '; END');
    END IF;
    RETURN format;
END
$$;
CREATE FUNCTION trunc(moment timestamp, unit varchar) RETURNS timestamp LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN date_trunc(CASE upper(unit) WHEN 'DD' THEN 'day' WHEN 'MM' THEN 'month' ELSE 'year' END, moment);
END
$$;
CREATE FUNCTION obequals(a varchar, b varchar) RETURNS char LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE WHEN a IS NOT DISTINCT FROM b THEN 'Y' ELSE 'N' END;
END
$$;
CREATE FUNCTION c_location_identifier(location_id varchar) RETURNS varchar
    LANGUAGE plpgsql IMMUTABLE SET search_path = public AS $$
DECLARE
    identifier varchar;
BEGIN
    SELECT concat_ws(', ', l.address1, l.address2, l.postal || ' ' || l.city, c.name) INTO identifier
    FROM c_location l JOIN c_country c ON c.c_country_id = l.c_country_id WHERE l.c_location_id = location_id;
    RETURN identifier;
END
$$;
CREATE FUNCTION ad_disable_triggers() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('my.triggers_disabled', 'Y', true);
END
$$;
CREATE FUNCTION ad_triggers_enabled() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN coalesce(current_setting('my.triggers_disabled', true), '') <> 'Y';
END
$$;
CREATE FUNCTION set_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF ad_triggers_enabled() THEN NEW.updated := now(); END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION c_order_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT ad_triggers_enabled() THEN RETURN NEW; END IF;
    IF TG_OP = 'UPDATE' AND OLD.processed = 'Y' AND NEW.grandtotal <> OLD.grandtotal THEN
        RAISE EXCEPTION '%', (SELECT msgtext FROM ad_message WHERE value = 'OBX_Message1');
    END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION c_orderline_total() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    order_id varchar;
BEGIN
    IF NOT ad_triggers_enabled() THEN RETURN NULL; END IF;
    IF TG_OP = 'DELETE' THEN order_id := OLD.c_order_id; ELSE order_id := NEW.c_order_id; END IF;
    UPDATE c_order SET totallines = (SELECT sum(linenetamt) FROM c_orderline WHERE c_order_id = order_id)
    WHERE c_order_id = order_id AND processed = 'N';
    RETURN NULL;
END
$$;
-- Whether the definitions are still those that were last built: 'N' no change, 'Y' changed. With 'Y', takes the
-- present ones for built.
CREATE FUNCTION ad_db_modified(p_update char) RETURNS char LANGUAGE plpgsql AS $$
DECLARE
    present varchar;
    built varchar;
BEGIN
    SELECT md5(string_agg(line, E'\n' ORDER BY line COLLATE "C")) INTO present FROM (
        SELECT 'function ' || p.proname || '(' || pg_get_function_arguments(p.oid) || ')' || md5(p.prosrc)
        FROM pg_proc p
        WHERE p.pronamespace = current_schema()::regnamespace AND p.proname NOT IN ('dateformat', 'ad_db_modified')
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
        UNION ALL
        SELECT concat('trigger ', t.tgname, t.tgtype, t.tgenabled, c.relname)
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal
        UNION ALL
        SELECT 'column ' || c.relname || '.' || a.attname || format_type(a.atttypid, a.atttypmod) || a.attnotnull
            || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
        UNION ALL
        SELECT 'reference ' || k.conname || pg_get_constraintdef(k.oid)
        FROM pg_constraint k WHERE k.connamespace = current_schema()::regnamespace AND k.contype = 'f'
        UNION ALL
        SELECT 'index ' || pg_get_indexdef(i.indexrelid)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = current_schema()::regnamespace
        UNION ALL
        SELECT 'materialized view ' || c.relname || pg_get_viewdef(c.oid)
        FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'm'
    ) AS definitions (line);
    SELECT db_checksum INTO built FROM ad_system_info;
    IF p_update = 'Y' THEN
        UPDATE ad_system_info SET db_checksum = present, last_dbupdate = now();
    END IF;
    RETURN CASE WHEN present = built THEN 'N' ELSE 'Y' END;
END
$$;

DO $do$
BEGIN
    FOR n IN 1..150 LOOP
        EXECUTE format(
            'CREATE FUNCTION obx_process_%s(p_instance_id varchar) RETURNS void LANGUAGE plpgsql %s AS $body$
DECLARE
    v_record_id varchar;
    v_result numeric := %s;
BEGIN
    -- Step %s of the process.
    FOR v_record_id IN SELECT c_order_id FROM c_order WHERE docstatus = ''DR'' AND documentno = p_instance_id LOOP
        UPDATE c_order SET description = ''processed by %s'' WHERE c_order_id = v_record_id;
        v_result := v_result + 1;
    END LOOP;
END
$body$', n, CASE WHEN n % 2 = 0 THEN 'SET search_path = public' ELSE '' END, n, n, n);
    END LOOP;
END
$do$;
