//! The made-up instance's database.

use std::sync::Mutex;

use postgres::{Client, Config, NoTls};

use super::APPLICATION;

/// What the database is large without documents.
pub const FIXED_MEGABYTES: u32 = 25;
/// How many orders with all that hangs on them, indexes too, make a megabyte.
pub const ORDERS_PER_MEGABYTE: u32 = 61;

const FUNCTIONS: &str = include_str!("../sql/erp/functions.sql");
const TABLES: &str = include_str!("../sql/erp/tables.sql");
const MASTERS: &str = include_str!("../sql/erp/masters.sql");
const ROWS: &str = include_str!("../sql/erp/rows.sql");
const KEYS: &str = include_str!("../sql/erp/keys.sql");
const REFERENCES: &str = include_str!("../sql/erp/references.sql");
const DAY: &str = include_str!("../sql/erp/day.sql");

/// Creates the application's role and the database, and fills it for a number of orders.
pub fn create(server: &Config, database: &str, orders: u32) {
    let mut system = connect(server, "postgres", None);
    let role = format!(
        "DO $$ BEGIN CREATE ROLE {APPLICATION} LOGIN CREATEDB CREATEROLE PASSWORD '{APPLICATION}'; \
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    );
    system.batch_execute(&role).unwrap();
    let create = format!(
        "CREATE DATABASE \"{database}\" OWNER {APPLICATION} ENCODING 'UTF8' TEMPLATE template0"
    );
    system.batch_execute(&create).unwrap();
    connect(server, database, None)
        .batch_execute("CREATE EXTENSION \"uuid-ossp\"; CREATE EXTENSION pg_trgm")
        .unwrap();

    let filling = Filling {
        low: 1,
        high: orders,
        orders,
        partners: (orders / 20).max(50),
        products: (orders / 40).max(50),
    };
    let mut client = connect(server, database, Some(APPLICATION));
    for script in [FUNCTIONS, TABLES, MASTERS] {
        run(&mut client, &filling.fill_in(script));
    }
    let side_by_side = |script: &str| {
        let parts = Mutex::new(parts(&filling.fill_in(script)).into_iter());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut client = connect(server, database, Some(APPLICATION));
                    loop {
                        let part = parts.lock().unwrap().next();
                        let Some((_, sql)) = part else { break };
                        run(&mut client, &sql);
                    }
                });
            }
        });
    };
    side_by_side(ROWS);
    side_by_side(KEYS);
    run(&mut client, &filling.fill_in(REFERENCES));
    run(&mut client, "SELECT ad_db_modified('Y'); ANALYZE");
}

/// Half a percent more documents, and what changes beside them.
pub fn day(server: &Config, database: &str) {
    let mut client = connect(server, database, Some(APPLICATION));
    let mut count = |table: &str| -> u32 {
        let row = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]);
        u32::try_from(row.unwrap().get::<_, i64>(0)).unwrap()
    };
    let orders = count("c_order");
    // A day's documents must find the partners and products that are there, which do not grow.
    let filling = Filling {
        low: orders + 1,
        high: orders + (orders / 200).max(1),
        orders,
        partners: count("c_bpartner"),
        products: count("m_product"),
    };
    // What others refer to comes first.
    let mut parts = parts(&filling.fill_in(ROWS));
    let order = [
        "c_order",
        "c_orderline",
        "m_inout",
        "c_invoice",
        "c_invoiceline",
    ];
    parts.sort_by_key(|(table, _)| order.iter().position(|t| t == table).unwrap_or(usize::MAX));
    let mut day = client.transaction().unwrap();
    for (table, sql) in parts {
        day.batch_execute(&sql)
            .unwrap_or_else(|e| panic!("{table}: {e:?}"));
    }
    day.batch_execute(&filling.fill_in(DAY)).unwrap();
    day.commit().unwrap();
}

/// Name, record directory and size of every attachment that the database knows.
pub fn attachments(server: &Config, database: &str) -> Vec<(String, String)> {
    connect(server, database, Some(APPLICATION))
        .query(
            "SELECT path, name FROM c_file ORDER BY created, c_file_id",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect()
}

struct Filling {
    low: u32,
    high: u32,
    orders: u32,
    partners: u32,
    products: u32,
}

impl Filling {
    /// Puts the numbers in the places that a script leaves for them.
    fn fill_in(&self, script: &str) -> String {
        script
            .replace(":partners", &self.partners.to_string())
            .replace(":products", &self.products.to_string())
            .replace(":orders", &self.orders.to_string())
            .replace(":low", &self.low.to_string())
            .replace(":high", &self.high.to_string())
    }
}

/// The parts of a script, by the name in the line that opens each.
fn parts(script: &str) -> Vec<(String, String)> {
    script
        .split("\n--- ")
        .skip(1)
        .map(|part| {
            let (name, sql) = part.split_once('\n').unwrap();
            (name.to_owned(), sql.to_owned())
        })
        .collect()
}

fn run(client: &mut Client, sql: &str) {
    client
        .batch_execute(sql)
        .unwrap_or_else(|e| panic!("{e:?}\n{}", &sql[..sql.len().min(500)]));
}

/// A connection as the superuser, or as a role whose password is its name.
fn connect(server: &Config, database: &str, role: Option<&str>) -> Client {
    let mut config = server.clone();
    config.dbname(database);
    if let Some(role) = role {
        config.user(role).password(role);
    }
    // Nothing is lost that could not be made again.
    config.options("-c synchronous_commit=off -c maintenance_work_mem=256MB");
    config
        .connect(NoTls)
        .unwrap_or_else(|e| panic!("{database}: {e}"))
}
