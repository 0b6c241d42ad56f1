//! Entries of a database catalog: the database itself, its DDL, its tables' ranges, and what DDL and
//! tables do not carry.

use serde::{Deserialize, Serialize};

use super::id::ChunkId;

/// One entry. A table's ranges follow it directly, in page order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DatabaseEntry {
    /// The database-level state; the first entry.
    Database(DatabaseState),
    /// The DDL as one `pg_dump -Fc` archive.
    Ddl {
        /// The sections in it: `pre-data` and `post-data`; `pg_restore --section` takes them apart.
        sections: Vec<String>,
        /// Bytes of the archive.
        bytes: u64,
        /// The archive.
        chunks: Vec<ChunkId>,
    },
    /// A table with rows of its own.
    Table(Table),
    /// Rows of the table above.
    Range(Range),
    /// Where a sequence stands.
    Sequence {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
        /// `last_value`.
        last_value: i64,
        /// Whether `last_value` was handed out already.
        is_called: bool,
    },
    /// A large object.
    LargeObject {
        /// Its number.
        oid: u32,
        /// The owning role.
        owner: String,
        /// Privileges on it; absent: the server's default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grants: Option<Vec<Grant>>,
        /// Its comment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
        /// Bytes.
        bytes: u64,
        /// Its content.
        chunks: Vec<ChunkId>,
    },
}

/// A table, or the configuration rows of an extension's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The columns of each row, in COPY order; generated ones are not among them.
    pub columns: Vec<String>,
    /// The encoding of the rows: the database's own.
    pub encoding: String,
    /// The extension whose configuration rows these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// Rows over all ranges.
    pub rows: u64,
    /// Bytes of COPY text over all ranges.
    pub bytes: u64,
}

/// A stretch of a table's heap, as COPY text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// First page of the heap.
    pub first_page: u64,
    /// Pages, in blocks of the server; absent: to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<u64>,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of COPY text.
    pub bytes: u64,
    /// The COPY text.
    pub chunks: Vec<ChunkId>,
    /// Reserved: what tells that the range did not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Reserved: the transactions that the fingerprint holds for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<(u64, u64)>,
}

/// What belongs to the database itself, which no DDL section carries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DatabaseState {
    /// Its name.
    pub name: String,
    /// The owning role.
    pub owner: String,
    /// Its encoding.
    pub encoding: String,
    /// `LC_COLLATE`.
    pub collate: String,
    /// `LC_CTYPE`.
    pub ctype: String,
    /// `libc`, `icu` or `builtin`.
    pub locale_provider: String,
    /// The locale of ICU or the built-in provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// ICU collation rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icu_rules: Option<String>,
    /// The default tablespace where it is not `pg_default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tablespace: Option<String>,
    /// Concurrent connections allowed; -1: no limit.
    pub connection_limit: i32,
    /// Whether it is a template.
    pub is_template: bool,
    /// Its comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Privileges on it; absent: the server's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<Grant>>,
    /// `ALTER DATABASE … SET`, and `ALTER ROLE … IN DATABASE … SET`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
}

/// One privilege that one role gave another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who gave it.
    pub grantor: String,
    /// Who has it; absent: PUBLIC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grantee: Option<String>,
    /// `CONNECT`, `CREATE`, `TEMPORARY`, `SELECT`, …
    pub privilege: String,
    /// Whether it may be passed on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub grantable: bool,
}

/// One configuration parameter set for the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Only for this role; absent: for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The parameter's name.
    pub name: String,
    /// Its value as stored.
    pub value: String,
}
