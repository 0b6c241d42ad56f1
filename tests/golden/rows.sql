-- One line for each table with rows of its own: its name, how many, and a sum of them in their order as text.
SET search_path = public; SET datestyle = ISO; SET timezone = 'UTC'; SET bytea_output = hex;
SELECT format(
    'SELECT %L, count(*), coalesce(md5(string_agg(t::text, E''\n'' ORDER BY t::text COLLATE "C")), ''-'') FROM ONLY %I.%I t',
    c.relname, n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'm')
ORDER BY c.relname COLLATE "C" \gexec
SELECT 'sequence', sequencename, last_value FROM pg_sequences ORDER BY 2;
SELECT 'large object', oid, md5(lo_get(oid)) FROM pg_largeobject_metadata;
SELECT 'constraint', conrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype IN ('f', 'p') ORDER BY conrelid::regclass::text COLLATE "C", 3;
SELECT 'trigger', tgname FROM pg_trigger WHERE NOT tgisinternal;
SELECT 'index', indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname COLLATE "C";
SELECT 'comment', obj_description('partner'::regclass);
SELECT 'comment', shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database();
