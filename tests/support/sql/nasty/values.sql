-- Values that a text form can spoil.

SET ROLE nasty_owner;
SET search_path = nasty, public, ext;

CREATE TABLE numbers (
    id integer PRIMARY KEY, small smallint, big bigint, exact numeric, scaled numeric(20, 5), single real, double float8,
    amount money, id_of_object oid, bits bit(11), more_bits bit varying(64), yes boolean);
INSERT INTO numbers VALUES
    (1, -32768, -9223372036854775808, 'NaN', -0.00001, '-0', '-0', -12345.67, 0, B'10101010101', B'', true),
    (2, 32767, 9223372036854775807, 1e-100, 99999.99999, 'NaN', 'NaN', 0, 4294967295, B'00000000000', B'1', false),
    (3, 0, 0, 123456789012345678901234567890.123456789, 0, 'Infinity', '-Infinity', 1, 1, NULL, NULL, NULL),
    (4, 1, 1, 1.10, 1.1, 1e-45, 4.9406564584124654e-324, 92233720368547758.07, 1, NULL, B'0110', true),
    (5, 1, 1, 1.1000, 1.1, 3.4028235e38, 1.7976931348623157e308, NULL, 1, NULL, NULL, NULL),
    (6, 1, 1, 0.00, 0, 0.1, 0.1, NULL, 1, NULL, NULL, NULL),
    (7, 1, 1, -1e1000, 0, 16777217, 0.30000000000000004, NULL, 1, NULL, NULL, NULL);
\if :v14
INSERT INTO numbers (id, exact) VALUES (8, 'Infinity'), (9, '-Infinity');
\endif

CREATE TABLE times (
    id integer PRIMARY KEY, d date, t time, tz time with time zone, ts timestamp, tstz timestamptz, i interval,
    precise timestamp(0), years interval year to month);
INSERT INTO times VALUES
    (1, 'infinity', '24:00:00', '24:00:00-15:59', '-infinity', 'infinity', '1 year -2 mons +3 days -04:05:06.000007',
     '2000-01-01 00:00:00.6', '1-2'),
    (2, '-infinity', '00:00:00.000001', '00:00:00+15:59', 'infinity', '-infinity', '-0.000001 seconds', NULL, NULL),
    (3, '4713-01-01 BC', '12:00', '12:00+05:45', '4713-01-01 00:00:00 BC', '0001-12-31 23:59:59.999999+00 BC',
     '178000000 years', NULL, NULL),
    (4, '5874897-12-31', NULL, NULL, '294276-12-31 23:59:59.999999', '2024-10-27 02:30:00+02', '0', NULL, NULL),
    (5, '2024-02-29', NULL, NULL, '2024-03-31 02:30:00', '2024-10-27 02:30:00+01', '-1 days +23:59:59.999999', NULL, NULL);

CREATE TABLE texts (id integer PRIMARY KEY, t text, fixed char(5), single "char", n name, short varchar(3));
INSERT INTO texts VALUES
    (1, '', '', '', '', ''),
    (2, NULL, NULL, NULL, NULL, NULL),
    (3, E'\\N', E'\\N', 'N', E'\\N', E'\\N'),
    (4, E'\\.', E'\\.', E'\\', E'\\.', E'\\.'),
    (5, E'line one\nline two\r\nline three\r\\', E'\n', E'\n', E'\n', E'\n'),
    (6, E'\ttab\t\vand\b\f\x01\x7f\x1b[31m', E'\t', E'\t', E'\t', E'\t'),
    (7, E'\n\\.\n', '  a  ', ' ', ' a ', ' '),
    (8, '🐘 ünïcödé e' || U&'\0301' || U&'\200F' || U&'\FEFF', 'äöüß€', 'a', '🐘', '🐘🐘🐘'),
    (9, repeat(E'\\', 10), 'NULL', '"', 'null', '""'),
    (10, repeat('compressible ', 20000), NULL, '\377', NULL, NULL),
    (11, U&'\+10FFFF', NULL, '\200', NULL, NULL);

CREATE TABLE bytes (id integer PRIMARY KEY, b bytea);
INSERT INTO bytes SELECT 1, string_agg(set_byte('\x00', 0, i), '' ORDER BY i) FROM generate_series(0, 255) i;
INSERT INTO bytes VALUES (2, ''), (3, NULL), (4, '\x00'), (5, E'\\x5c78');

-- Larger than a buffer anywhere: one that does not compress, and one that does.
CREATE TABLE big_values (id integer PRIMARY KEY, b bytea, t text);
ALTER TABLE big_values ALTER COLUMN b SET STORAGE EXTERNAL;
INSERT INTO big_values
SELECT 1, string_agg(sha512(int8send(i)), '' ORDER BY i), NULL
FROM generate_series(1, (:big_megabytes * 1048576 / 64)::bigint) i;
INSERT INTO big_values VALUES (2, NULL, repeat(E'backslash \\ and\nlines ', (:big_megabytes * 1048576 / 22)::integer));
INSERT INTO big_values SELECT 2 + i, sha512(int8send(-i)), md5(i::text) FROM generate_series(1, 500) i;

CREATE TABLE composites (
    id integer PRIMARY KEY, one person, many person[], home home, empty nothing, whole_row "Mixed Case",
    made version, part widget);
INSERT INTO composites VALUES
    (1, ROW('O''Neil "x" \ (y), z', ARRAY[ROW('a,b', 1, ARRAY['AB']::codes, 'ES')::address, NULL], 'sad'),
     ARRAY[ROW(NULL, NULL, NULL)::person, NULL], ROW('s', NULL, NULL, NULL)::address, ROW(),
     ROW(1, NULL, '"', -1)::"Mixed Case", ROW(1, 2), '42'),
    (2, NULL, '{}', NULL, NULL, NULL, ROW(1, 10), '-1'),
    (3, ROW('', '{}', ''), NULL, NULL, NULL, ROW(NULL, NULL, NULL, NULL), NULL, NULL);
CREATE UNIQUE INDEX ON composites (made);

CREATE TABLE arrays (
    id integer PRIMARY KEY, numbers integer[], texts text[][], moods mood[], stamps timestamptz[], floats float8[],
    documents jsonb[], codes codes, blobs bytea[]);
INSERT INTO arrays VALUES
    (1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
    (2, '[-2:0]={1,NULL,3}', ARRAY[ARRAY['a', 'NULL'], ARRAY[NULL, '']], ARRAY['it''s "ok"', NULL, '']::mood[],
     '{infinity,-infinity,NULL}', '{NaN,-0,Infinity}', ARRAY['{"a": [1]}', 'null']::jsonb[], '{AB,CD}',
     ARRAY['\x00', '\xff']::bytea[]),
    (3, '[1:1][-1:0]={{1,2}}', E'{{"a\\\\b","c\\"d"},{"{}",","},{" ","\t\n"}}', NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE ranges (
    id integer PRIMARY KEY, i int4range, n numrange, d daterange, ts tstzrange, t timerange, m moodrange, many int8range[]);
INSERT INTO ranges VALUES
    (1, 'empty', '(,)', '[2024-01-01,infinity)', '[-infinity,infinity]', '[00:00,24:00]', '["it''s \"ok\"",]',
     ARRAY['[1,2)', 'empty', NULL]::int8range[]),
    (2, '[1,)', '[NaN,NaN]', '(,2024-01-01)', '["2024-01-01 00:00:00+00",)', NULL, '["","")', '{}');
\if :v14
CREATE TABLE multiranges (id integer PRIMARY KEY, i int4multirange, d datemultirange, f "Many Floats", t nasty.timemultirange);
INSERT INTO multiranges VALUES
    (1, '{}', '{(,2020-01-01),[2024-01-01,)}', '{[-0,0],(1,Infinity)}', '{[00:00,01:00)}'),
    (2, '{[1,2),[5,7)}', NULL, '{(,)}', NULL);
\endif

CREATE TABLE others (
    id integer PRIMARY KEY, j json, jb jsonb, x xml, u uuid, ip inet, net cidr, mac macaddr, mac8 macaddr8, p point,
    line line, seg lseg, box box, path path, polygon polygon, circle circle, words tsvector, query tsquery, lsn pg_lsn,
    snap txid_snapshot, upper_case "Upper Case Enum", amount positive, uncertain uncertain);
INSERT INTO others VALUES
    (1, E'{"a":  1, "a": 2,\n "\\u00e9": "\\\\"}', '{"a": 1e400, "é": [null, true, {"": ""}], "n": -0.0}',
     '<a b="&quot;">text &amp; <!-- x --><c/></a>', '00000000-0000-0000-0000-000000000000', '::1/64', '10.0.0.0/8',
     '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '(NaN,-0)', '{1,2,3}', '[(0,0),(1e-300,1)]', '((1,1),(0,0))',
     '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))', '<(0,0),1>', '''it''''s'':1A,2B ''a\\b'' ''spa ce'':3', '''a'' & !(b | c:*A) <-> d',
     'FFFFFFFF/FFFFFFFF', '10:20:10,14,15', 'a', 5, 'x'),
    (2, 'null', 'null', 'fragment <a/> only', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '192.168.1.1', '::/0', NULL, NULL,
     NULL, NULL, NULL, NULL, '((0,0))', NULL, NULL, '', '', '0/0', NULL, 'A', DEFAULT, NULL);
\if :v13
CREATE TABLE transactions (x xid8, s pg_snapshot);
INSERT INTO transactions VALUES ('18446744073709551615', '1:1:');
\endif
-- Names of objects, which must be found again wherever search_path points.
CREATE TABLE object_names (c regclass, p regprocedure, t regtype, o regoperator, n regnamespace, r regrole, cfg regconfig);
INSERT INTO object_names VALUES ('nasty."Mixed Case"', 'nasty.doubled(integer)', 'nasty.mood', 'nasty.<#(version,version)',
    '"Näs.ty ""Schema"" 2"', 'nasty_owner', 'nasty.nasty_search');
\if :has_hstore
CREATE TABLE hstores (h ext.hstore);
INSERT INTO hstores VALUES ('"a\"b"=>"c\\d", "n"=>NULL, ""=>""'), ('');
\endif
\if :has_icu
CREATE TABLE without_case (t text COLLATE "without case" PRIMARY KEY);
INSERT INTO without_case VALUES ('a'), ('B');
\endif
CREATE TABLE collated (t text COLLATE by_byte, v text COLLATE "C");
CREATE INDEX ON collated (t COLLATE "POSIX" DESC NULLS LAST, v text_pattern_ops);
INSERT INTO collated VALUES ('ä', 'a'), ('z', 'Z');

RESET ROLE;

-- Large objects: empty, with holes, of other owners, referenced from a table.
SELECT lo_create(700001), lo_from_bytea(700002, E'text and \\000\\377'), lo_from_bytea(700003, '\xdeadbeef'),
       lo_from_bytea(700004, decode(repeat('00ff', 500000), 'hex')) \gset ignored_
SELECT lo_put(700005, 3000000, 'at the end of a hole') FROM (SELECT lo_create(700005) OFFSET 0) AS created \gset ignored_
ALTER LARGE OBJECT 700002 OWNER TO nasty_owner;
ALTER LARGE OBJECT 700003 OWNER TO "Nasty ""Other"" Rôle";
ALTER LARGE OBJECT 700004 OWNER TO nasty_owner;
GRANT SELECT ON LARGE OBJECT 700002 TO nasty_reader;
GRANT SELECT, UPDATE ON LARGE OBJECT 700002 TO nasty_writer WITH GRANT OPTION;
GRANT SELECT ON LARGE OBJECT 700003 TO PUBLIC;
COMMENT ON LARGE OBJECT 700002 IS 'a large object''s comment';
CREATE TABLE nasty.points_to_large_objects (id integer PRIMARY KEY, content oid);
INSERT INTO nasty.points_to_large_objects VALUES (1, 700001), (2, 700002), (4, 700004);
ALTER TABLE nasty.points_to_large_objects OWNER TO nasty_owner;
