//! Whether two databases hold the same.

use std::collections::BTreeMap;

use super::server::Server;

/// Settings under which every value has one text, whatever the database or the role sets.
const SETTINGS: &str = "SET search_path = pg_catalog; SET datestyle = ISO; SET intervalstyle = postgres; \
    SET timezone = 'UTC'; SET extra_float_digits = 3; SET bytea_output = hex; SET row_security = off; \
    SET xmloption = content; SET lc_monetary = 'C'; SET max_parallel_workers_per_gather = 0";

/// Every table with rows of its own, by quoted name; partitioned ones as a whole, because a value's leaf may depend
/// on an OID. Columns are in the order of their names: an inheriting table comes back with its parents' first.
const TABLES: &str = "
    SELECT format('%I.%I', n.nspname, c.relname), c.relkind = 'r',
        coalesce((SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attname)
                  FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relispartition AND c.relispopulated AND c.relpersistence <> 't'
        AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
        AND NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class f ON f.oid = i.inhrelid
                        WHERE i.inhparent = c.oid AND f.relkind = 'f' AND c.relkind = 'p')
    ORDER BY 1";

/// For each table its number of rows and a sum over them that does not depend on their order.
pub fn rows(server: &impl Server, database: &str) -> BTreeMap<String, (i64, String)> {
    let mut client = server.connect(database);
    client.batch_execute(SETTINGS).unwrap();
    let mut transaction = client
        .build_transaction()
        .isolation_level(postgres::IsolationLevel::RepeatableRead)
        .start()
        .unwrap();
    let mut tables = BTreeMap::new();
    for row in transaction.query(TABLES, &[]).unwrap() {
        let (table, plain, columns): (String, bool, String) = (row.get(0), row.get(1), row.get(2));
        let only = if plain { "ONLY " } else { "" };
        let sum = transaction
            .query_one(
                &format!(
                    "SELECT count(*), coalesce(sum(('x' || left(md5(ROW({columns})::text), 15))::bit(60)::bigint), 0)::text
                     FROM {only}{table} t"
                ),
                &[],
            )
            .unwrap_or_else(|e| panic!("{table}: {e:?}"));
        tables.insert(table, (sum.get(0), sum.get(1)));
    }
    // Large objects and sequences are no tables, but hold data.
    let objects = "SELECT m.oid::text, md5(lo_get(m.oid)) FROM pg_largeobject_metadata m";
    for row in transaction.query(objects, &[]).unwrap() {
        tables.insert(
            format!("large object {}", row.get::<_, String>(0)),
            (1, row.get(1)),
        );
    }
    let sequences = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c \
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S'";
    for row in transaction.query(sequences, &[]).unwrap() {
        let sequence: String = row.get(0);
        let state = transaction
            .query_one(
                &format!("SELECT last_value || ' ' || is_called FROM {sequence}"),
                &[],
            )
            .unwrap();
        tables.insert(format!("sequence {sequence}"), (1, state.get(0)));
    }
    tables
}

/// The statements of a dump of a database's objects without their rows, sorted, because a restored database gives
/// them in another order.
pub fn definitions(server: &impl Server, database: &str) -> Vec<String> {
    let output = server
        .command("pg_dump")
        .args(["--schema-only", "--dbname", database])
        .output()
        .expect("pg_dump runs");
    assert!(output.status.success(), "pg_dump: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    // Newer ones close and open a dump with a key of chance.
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| !line.is_empty() && *line != "--" && !line.starts_with("\\restrict"))
        .filter(|line| !line.starts_with("\\unrestrict"))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

/// What PostgreSQL's own programs make of a database: dumps it and restores it as a new one.
pub fn copy(server: &impl Server, database: &str, copy: &str) {
    server.create_database(copy);
    let directory = tempfile::tempdir().unwrap();
    let dump = directory.path().join("dump");
    for mut command in [
        {
            let mut command = server.command("pg_dump");
            command.args(["--format=custom", "--dbname", database, "--file"]);
            command
        },
        {
            let mut command = server.command("pg_restore");
            command.args(["--exit-on-error", "--dbname", copy]);
            command
        },
    ] {
        let output = command.arg(&dump).output().unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
}

/// The differences between two sets of lines, as `- ` and `+ ` lines.
pub fn difference(left: &[String], right: &[String]) -> Vec<String> {
    let mut left = left.iter().peekable();
    let mut right = right.iter().peekable();
    let mut lines = Vec::new();
    loop {
        match (left.peek(), right.peek()) {
            (None, None) => return lines,
            (Some(l), Some(r)) if l == r => {
                left.next();
                right.next();
            }
            (Some(l), r) if r.is_none_or(|r| l < r) => {
                lines.push(format!("- {l}"));
                left.next();
            }
            (_, Some(r)) => {
                lines.push(format!("+ {r}"));
                right.next();
            }
            (Some(_), None) => left.next().map_or((), drop),
        }
    }
}

/// What PostgreSQL's own check of heaps (14 and later) and B-trees against them finds wrong: each page, each tuple,
/// each index entry.
pub fn corruption(server: &impl Server, database: &str) -> Vec<String> {
    let mut client = server.connect(database);
    client
        .batch_execute(
            "CREATE SCHEMA check_of_pages; CREATE EXTENSION amcheck SCHEMA check_of_pages",
        )
        .unwrap();
    let mut found = Vec::new();
    let version: String = client
        .query_one("SHOW server_version_num", &[])
        .unwrap()
        .get(0);
    if version.parse::<u32>().unwrap() >= 140_000 {
        let heaps = "SELECT c.oid::regclass::text, v.blkno, v.msg FROM pg_class c
             JOIN pg_am a ON a.oid = c.relam
             CROSS JOIN LATERAL check_of_pages.verify_heapam(c.oid) v
             WHERE a.amname = 'heap' AND c.relkind IN ('r', 'm', 't') AND c.relpersistence <> 't'";
        for row in client.query(heaps, &[]).unwrap() {
            let (table, block, text): (String, i64, String) = (row.get(0), row.get(1), row.get(2));
            found.push(format!("{table}, block {block}: {text}"));
        }
    }
    let trees =
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
         JOIN pg_am a ON a.oid = c.relam
         WHERE a.amname = 'btree' AND c.relkind = 'i' AND i.indisvalid AND c.relpersistence <> 't'";
    let trees = client.query(trees, &[]).unwrap();
    assert!(trees.len() > 50, "hardly an index to check");
    for row in trees {
        let name: String = row.get(0);
        let check = "SELECT check_of_pages.bt_index_check($1::text::regclass, true)";
        if let Err(error) = client.query(check, &[&name]) {
            found.push(format!("{name}: {error:?}"));
        }
    }
    client
        .batch_execute("DROP EXTENSION amcheck; DROP SCHEMA check_of_pages")
        .unwrap();
    found
}
