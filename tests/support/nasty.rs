//! The nasty database: one of everything that PostgreSQL can hold and a backup can lose.

use std::path::Path;

use super::cluster::{Cluster, SUPERUSER};

/// What the nasty database is to hold beside what it always holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nasty {
    /// The size of the two largest values, in MiB; 0 is taken as 1.
    pub big_megabytes: u32,
    /// Also what PostgreSQL's own `pg_dump` and `pg_restore` cannot bring back.
    pub unsupported: bool,
    /// A database with a subscription cannot be dropped.
    pub no_subscription: bool,
}

impl Nasty {
    /// Creates a database of this name and fills it.
    pub fn create(self, cluster: &Cluster, database: &str) {
        cluster.create_database(database);
        // Roles belong to the server: two databases made at once would create them twice.
        let mut lock = cluster.connect(SUPERUSER);
        lock.batch_execute("SELECT pg_advisory_lock(4711)").unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/sql/nasty.sql");
        let big = self.big_megabytes.max(1).to_string();
        let mut variables = vec![("big_megabytes", big.as_str())];
        if self.unsupported {
            variables.push(("unsupported", "yes"));
        }
        if self.no_subscription {
            variables.push(("no_subscription", "yes"));
        }
        cluster.psql_file(database, &file, &variables);
    }
}
