-- Types of every kind, and what operates on them.

SET ROLE nasty_owner;
SET search_path = nasty, public, ext;

CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', 'häppy');
ALTER TYPE mood ADD VALUE 'so-so' BEFORE 'häppy';
ALTER TYPE mood ADD VALUE '' AFTER 'häppy';
CREATE TYPE "Upper Case Enum" AS ENUM ('A', 'a');
CREATE TYPE no_values AS ENUM ();

CREATE DOMAIN positive AS integer DEFAULT 1 NOT NULL CONSTRAINT above_zero CHECK (VALUE > 0);
CREATE DOMAIN short_code AS varchar(10) COLLATE "C" CHECK (VALUE ~ '^[A-Z]+$') CHECK (length(VALUE) > 1);
CREATE DOMAIN codes AS short_code[] CHECK (cardinality(VALUE) < 5);
CREATE DOMAIN small_positive AS positive CHECK (VALUE < 100);
CREATE DOMAIN uncertain AS text;
ALTER DOMAIN uncertain ADD CONSTRAINT later CHECK (VALUE <> 'forbidden') NOT VALID;
COMMENT ON DOMAIN positive IS 'above zero';
COMMENT ON CONSTRAINT above_zero ON DOMAIN positive IS 'what makes it positive';

CREATE TYPE address AS (street text, "House No." integer, codes codes);
CREATE TYPE person AS (name text, homes address[], mood mood);
ALTER TYPE address ADD ATTRIBUTE dropped text, ADD ATTRIBUTE country char(2);
ALTER TYPE address DROP ATTRIBUTE dropped;
CREATE TYPE nothing AS ();
CREATE DOMAIN home AS address CHECK ((VALUE).street IS NULL OR (VALUE).street <> '');
COMMENT ON TYPE address IS 'where somebody lives';
COMMENT ON COLUMN address."House No." IS 'may be absent';

CREATE FUNCTION time_difference(a time, b time) RETURNS float8
    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT extract(epoch FROM (a - b))::float8';
CREATE TYPE timerange AS RANGE (subtype = time, subtype_diff = time_difference);
CREATE TYPE moodrange AS RANGE (subtype = mood);
\if :v14
CREATE TYPE floatrange AS RANGE (subtype = float8, multirange_type_name = "Many Floats");
\else
CREATE TYPE floatrange AS RANGE (subtype = float8);
\endif

-- A type ordered by its own operators, with aggregates and casts that use them.
CREATE TYPE version AS (major integer, minor integer);
CREATE FUNCTION version_compare(a version, b version) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN CASE WHEN a.major <> b.major THEN sign(a.major - b.major) ELSE sign(a.minor - b.minor) END;
END
$$;
CREATE FUNCTION version_less(version, version) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT nasty.version_compare($1, $2) < 0';
CREATE FUNCTION version_less_equal(version, version) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT nasty.version_compare($1, $2) <= 0';
CREATE FUNCTION version_equal(version, version) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT nasty.version_compare($1, $2) = 0';
CREATE FUNCTION version_greater_equal(version, version) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT nasty.version_compare($1, $2) >= 0';
CREATE FUNCTION version_greater(version, version) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT nasty.version_compare($1, $2) > 0';
CREATE OPERATOR <# (LEFTARG = version, RIGHTARG = version, FUNCTION = version_less,
    COMMUTATOR = OPERATOR(nasty.>#), NEGATOR = OPERATOR(nasty.>=#), RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR <=# (LEFTARG = version, RIGHTARG = version, FUNCTION = version_less_equal,
    COMMUTATOR = OPERATOR(nasty.>=#), NEGATOR = OPERATOR(nasty.>#));
CREATE OPERATOR =# (LEFTARG = version, RIGHTARG = version, FUNCTION = version_equal, COMMUTATOR = OPERATOR(nasty.=#));
CREATE OPERATOR >=# (LEFTARG = version, RIGHTARG = version, FUNCTION = version_greater_equal,
    COMMUTATOR = OPERATOR(nasty.<=#), NEGATOR = OPERATOR(nasty.<#));
CREATE OPERATOR ># (LEFTARG = version, RIGHTARG = version, FUNCTION = version_greater,
    COMMUTATOR = OPERATOR(nasty.<#), NEGATOR = OPERATOR(nasty.<=#));
CREATE FUNCTION version_text(version) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT ($1).major || '.' || ($1).minor $$;
CREATE OPERATOR @# (RIGHTARG = version, FUNCTION = version_text);
-- Names as its commutator an operator that nobody defines.
CREATE FUNCTION version_plus(version, integer) RETURNS version
    LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT ROW(($1).major, ($1).minor + $2)::nasty.version $$;
CREATE OPERATOR +# (LEFTARG = version, RIGHTARG = integer, FUNCTION = version_plus, COMMUTATOR = OPERATOR(nasty.+#));
CREATE CAST (version AS text) WITH FUNCTION version_text(version) AS ASSIGNMENT;
CREATE CAST (mood AS "Upper Case Enum") WITH INOUT;
COMMENT ON OPERATOR <# (version, version) IS 'is an older one than';
COMMENT ON OPERATOR @# (NONE, version) IS 'as text';
COMMENT ON CAST (version AS text) IS 'with a full stop';

CREATE FUNCTION newer(a version, b version) RETURNS version
    LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN a IS NULL OR nasty.version_less(a, b) THEN b ELSE a END';
CREATE AGGREGATE newest(version) (SFUNC = newer, STYPE = version, SORTOP = OPERATOR(nasty.>#),
    COMBINEFUNC = newer, PARALLEL = SAFE);
CREATE AGGREGATE moving_sum(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0',
    MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = integer, MINITCOND = '0');
COMMENT ON AGGREGATE newest(version) IS 'the greatest';

RESET ROLE;
SET search_path = nasty, public, ext;
-- What only a superuser may make.
CREATE OPERATOR FAMILY version_family USING btree;
CREATE OPERATOR CLASS version_order DEFAULT FOR TYPE version USING btree FAMILY version_family AS
    OPERATOR 1 <#, OPERATOR 2 <=#, OPERATOR 3 =#, OPERATOR 4 >=#, OPERATOR 5 >#,
    FUNCTION 1 version_compare(version, version);
COMMENT ON OPERATOR FAMILY version_family USING btree IS 'by major, then minor';
COMMENT ON OPERATOR CLASS version_order USING btree IS 'so that versions can be indexed';
ALTER OPERATOR FAMILY version_family USING btree OWNER TO nasty_owner;

CREATE AGGREGATE most_common(ORDER BY anyelement) (
    SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = mode_final, FINALFUNC_EXTRA);

CREATE TYPE widget;
CREATE FUNCTION widget_in(cstring) RETURNS widget LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION widget_out(widget) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE widget (INPUT = widget_in, OUTPUT = widget_out, LIKE = integer, CATEGORY = 'N', DELIMITER = ';',
    DEFAULT = '7');
CREATE CAST (widget AS integer) WITHOUT FUNCTION AS IMPLICIT;
CREATE TYPE just_a_shell;
ALTER TYPE widget OWNER TO nasty_owner;

CREATE TRANSFORM FOR integer LANGUAGE sql (
    FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal));
CREATE CONVERSION latin_again FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE ACCESS METHOD second_gist TYPE INDEX HANDLER gisthandler;
CREATE OPERATOR CLASS box_again DEFAULT FOR TYPE box USING second_gist AS
    OPERATOR 3 &&, FUNCTION 1 gist_box_consistent(internal, box, smallint, oid, internal),
    FUNCTION 2 gist_box_union(internal, internal), FUNCTION 5 gist_box_penalty(internal, internal, internal),
    FUNCTION 6 gist_box_picksplit(internal, internal), FUNCTION 7 gist_box_same(box, box, internal);
CREATE ACCESS METHOD second_heap TYPE TABLE HANDLER heap_tableam_handler;
CREATE FUNCTION language_handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE TRUSTED LANGUAGE "another plpgsql" HANDLER language_handler;
CREATE FUNCTION in_another_language() RETURNS integer LANGUAGE "another plpgsql" AS 'BEGIN RETURN 1; END';
COMMENT ON ACCESS METHOD second_heap IS 'a heap by another name';
COMMENT ON CONVERSION latin_again IS 'one more';

CREATE COLLATION by_byte (LOCALE = 'C');
ALTER COLLATION by_byte OWNER TO nasty_owner;
SELECT count(*) > 0 AS has_icu FROM pg_collation WHERE collprovider = 'i' \gset
\if :has_icu
CREATE COLLATION "without case" (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
COMMENT ON COLLATION "without case" IS 'a = A';
\endif

CREATE TEXT SEARCH DICTIONARY nasty_stem (TEMPLATE = snowball, LANGUAGE = german, STOPWORDS = german);
CREATE TEXT SEARCH CONFIGURATION nasty_search (COPY = pg_catalog.german);
ALTER TEXT SEARCH CONFIGURATION nasty_search ALTER MAPPING FOR asciiword, word WITH nasty_stem, simple;
ALTER TEXT SEARCH CONFIGURATION nasty_search DROP MAPPING FOR url;
CREATE TEXT SEARCH TEMPLATE nasty_template (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH PARSER nasty_parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end,
    LEXTYPES = prsd_lextype);
COMMENT ON TEXT SEARCH CONFIGURATION nasty_search IS 'stems German';
ALTER TEXT SEARCH CONFIGURATION nasty_search OWNER TO nasty_owner;
ALTER TEXT SEARCH DICTIONARY nasty_stem OWNER TO "Nasty ""Other"" Rôle";
