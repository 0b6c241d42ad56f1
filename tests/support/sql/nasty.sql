-- A database with one of everything that PostgreSQL can hold and a backup can lose.
--
--   psql -X -v ON_ERROR_STOP=1 -d DATABASE -f nasty.sql
--
-- Runs as superuser on PostgreSQL 12 to 18, in an empty database of UTF8. Roles are created where the server lacks
-- them. Variables:
--   big_megabytes         size of the two largest values, 1 unless given
--   tablespace_directory  an empty directory of the server's user, for a tablespace; none unless given
--   unsupported           if set, also what PostgreSQL's own pg_dump and pg_restore cannot bring back
--   no_subscription       if set, no subscription: a database that has one cannot be dropped

\set ON_ERROR_STOP 1
\set QUIET 1
\pset pager off
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT setseed(0.5) \gset ignored_

\if :{?big_megabytes} \else \set big_megabytes 1 \endif

SELECT current_setting('server_version_num')::int >= 130000 AS v13,
       current_setting('server_version_num')::int >= 140000 AS v14,
       current_setting('server_version_num')::int >= 150000 AS v15,
       current_setting('server_version_num')::int >= 160000 AS v16,
       current_setting('server_version_num')::int >= 170000 AS v17,
       current_setting('server_version_num')::int >= 180000 AS v18 \gset

\ir nasty/roles.sql
\ir nasty/types.sql
\ir nasty/tables.sql
\ir nasty/values.sql
\ir nasty/partitions.sql
\ir nasty/constraints.sql
\ir nasty/code.sql
\ir nasty/views.sql
\ir nasty/objects.sql
\ir nasty/access.sql
\ir nasty/database.sql
