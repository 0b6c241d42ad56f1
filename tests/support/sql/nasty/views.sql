-- Views and materialized views on one another.

SET ROLE nasty_owner;
SET search_path = nasty, public, ext;

CREATE VIEW "View 1" AS SELECT "Id", "with "" quote" AS "Quoted", "select" FROM "Mixed Case" WHERE "Id" > 0
    WITH CASCADED CHECK OPTION;
ALTER VIEW "View 1" ALTER COLUMN "Quoted" SET DEFAULT 'default of a view';
CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM secured;
CREATE VIEW view_on_view AS SELECT v."Id", m.mood FROM "View 1" v LEFT JOIN "Näs.ty ""Schema"" 2"."Tàble" m ON m.id = v."Id";
CREATE RECURSIVE VIEW numbers_to(n) AS SELECT 1 UNION ALL SELECT n + 1 FROM numbers_to WHERE n < 10;
CREATE VIEW array_tests AS SELECT id FROM texts WHERE short IN ('a', 'b') AND fixed = ANY (ARRAY['c', 'd']::bpchar[]);
\if :v15
CREATE VIEW invoker WITH (security_invoker = true) AS SELECT * FROM secured;
\endif
-- Grouped by a key: PostgreSQL needs the key for the view, and the key comes after the data.
CREATE VIEW grouped_by_key AS SELECT c.id, c.name, count(*) AS locations
    FROM country c JOIN location l ON l.country_id = c.id GROUP BY c.id;
CREATE VIEW on_grouped AS SELECT name FROM grouped_by_key WHERE locations > 1;
CREATE VIEW with_rules AS SELECT id, t FROM ruled;
CREATE RULE insert_through AS ON INSERT TO with_rules DO INSTEAD INSERT INTO ruled VALUES (NEW.id, NEW.t) RETURNING id, t;
CREATE VIEW with_trigger AS SELECT id, t FROM audited;
CREATE TRIGGER instead INSTEAD OF INSERT OR UPDATE ON with_trigger FOR EACH ROW EXECUTE FUNCTION refuse();
COMMENT ON VIEW "View 1" IS 'has a check option';
COMMENT ON COLUMN "View 1"."Quoted" IS 'has a default';

CREATE MATERIALIZED VIEW m1 WITH (fillfactor = 60) AS SELECT country_id, count(*) AS n FROM location GROUP BY 1;
CREATE UNIQUE INDEX m1_key ON m1 (country_id);
ALTER MATERIALIZED VIEW m1 CLUSTER ON m1_key;
CREATE VIEW over_m1 AS SELECT country_id, n * 2 AS n FROM m1;
CREATE MATERIALIZED VIEW "M 2" AS SELECT sum(n) AS total, location_name(1) AS first FROM over_m1;
CREATE MATERIALIZED VIEW a_first_by_name AS SELECT total, 'reads the others' AS t FROM "M 2";
CREATE MATERIALIZED VIEW of_grouped AS SELECT * FROM grouped_by_key;
CREATE MATERIALIZED VIEW not_populated AS SELECT 1 AS one WITH NO DATA;
CREATE MATERIALIZED VIEW on_not_populated AS SELECT one FROM not_populated WITH NO DATA;
-- What it was populated with is no longer what a refresh gives.
CREATE TABLE moved_on (n integer);
INSERT INTO moved_on VALUES (1);
CREATE MATERIALIZED VIEW stale AS SELECT n FROM moved_on;
INSERT INTO moved_on VALUES (2);
COMMENT ON MATERIALIZED VIEW m1 IS 'counted';
CREATE STATISTICS of_matview ON country_id, n FROM m1;
RESET ROLE;
