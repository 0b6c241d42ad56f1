-- What belongs to the database itself and is in no dump of its objects.

ALTER DATABASE :"DBNAME" SET datestyle = 'German, DMY';
ALTER DATABASE :"DBNAME" SET intervalstyle = 'sql_standard';
ALTER DATABASE :"DBNAME" SET extra_float_digits = -5;
ALTER DATABASE :"DBNAME" SET bytea_output = 'escape';
ALTER DATABASE :"DBNAME" SET timezone = 'Asia/Kathmandu';
ALTER DATABASE :"DBNAME" SET search_path = nasty, "Näs.ty ""Schema"" 2", public;
ALTER DATABASE :"DBNAME" SET row_security = off;
ALTER DATABASE :"DBNAME" SET xmloption = 'content';
ALTER DATABASE :"DBNAME" SET lock_timeout = '1h';
ALTER DATABASE :"DBNAME" SET my.setting = E'it''s "ours" \\ ünïcödé';
ALTER ROLE nasty_owner IN DATABASE :"DBNAME" SET work_mem = '7MB';
ALTER ROLE nasty_owner IN DATABASE :"DBNAME" SET search_path = archive, public;
ALTER ROLE "Nasty ""Other"" Rôle" IN DATABASE :"DBNAME" SET statement_timeout = '2h';
ALTER DATABASE :"DBNAME" CONNECTION LIMIT 50;
COMMENT ON DATABASE :"DBNAME" IS E'the nasty one''s "comment"\nin two lines';
REVOKE CONNECT, TEMPORARY ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO nasty_reader WITH GRANT OPTION;
GRANT CREATE, TEMPORARY ON DATABASE :"DBNAME" TO nasty_writer;

-- Not the whole database: that would ask the foreign servers, which do not answer.
SELECT format('ANALYZE %s', oid::regclass) FROM pg_class
WHERE relkind IN ('r', 'm') AND relnamespace = 'nasty'::regnamespace AND relispopulated \gexec
