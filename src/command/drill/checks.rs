//! What a drill looks at in what it restored.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::Serialize;

use crate::command::attachments::{files_query, path_of};
use crate::command::contents::{file_entries, table_entries};
use crate::command::database::Connection;
use crate::error::Result;
use crate::format::bytes::ByteString;
use crate::format::database::Table;
use crate::format::manifest::{DatabasePart, Manifest, Part};
use crate::format::record::DrillCertificate;
use crate::instance::modules_of_sources;
use crate::postgresql::Session;
use crate::postgresql::client::{database_error, get};
use crate::postgresql::{copy_text, quote};
use crate::progress::Progress;
use crate::repository::reader::Reader;
use crate::source::files::{PathSet, paths_present};
use crate::target::database::{DatabasePlan, RestoredDatabase};

/// A check names so many things; the rest are counted.
const NAMED: usize = 20;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How it came out.
    pub result: Verdict,
    /// What was found.
    pub found: String,
    /// What does not hold, each naming the thing.
    pub problems: Vec<String>,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As at backup.
    Passed,
    /// Not as at backup.
    Failed,
    /// There was nothing to look at.
    Skipped,
}

impl Check {
    /// Passed without problems, else failed.
    pub(super) fn of(name: &'static str, found: String, problems: Vec<String>) -> Self {
        let result = if problems.is_empty() {
            Verdict::Passed
        } else {
            Verdict::Failed
        };
        Self {
            name,
            result,
            found,
            problems,
        }
    }

    fn skipped(name: &'static str, reason: &str) -> Self {
        Self {
            name,
            result: Verdict::Skipped,
            found: reason.to_owned(),
            problems: Vec::new(),
        }
    }
}

/// Problems, of which only the first are kept.
#[derive(Default)]
struct Problems {
    named: Vec<String>,
    count: usize,
}

impl Problems {
    fn add(&mut self, problem: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(problem());
        }
    }

    fn finish(mut self) -> Vec<String> {
        let more = self.count - self.named.len();
        if more > 0 {
            self.named.push(format!("and {more} more"));
        }
        self.named
    }
}

const WHAT: &str = "cannot look at the restored database";

/// A backup that was restored for trial.
pub(super) struct Trial<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) reader: &'a Reader,
    /// Below it each file part.
    pub(super) directory: &'a Path,
    /// The restored database.
    pub(super) database: Option<TrialDatabase<'a>>,
    pub(super) progress: &'a dyn Progress,
}

/// The database of a trial.
pub(super) struct TrialDatabase<'a> {
    /// To the restored database, not to the live one.
    pub(super) connection: &'a Connection,
    pub(super) plan: &'a DatabasePlan,
    pub(super) restored: &'a RestoredDatabase,
    pub(super) part: &'a DatabasePart,
}

impl Trial<'_> {
    /// Looks at everything; what was counted goes to `figures`.
    pub(super) fn checks(&self, figures: &mut DrillCertificate) -> Result<Vec<Check>> {
        let mut checks = Vec::new();
        if let Some(database) = &self.database {
            let mut session = database.session()?;
            checks.push(self.rows(&mut session, figures)?);
            checks.push(foreign_keys(database, &mut session, figures)?);
            checks.push(db_modified(database));
            let mut session = database.as_application()?;
            checks.push(self.attachments(&mut session, figures)?);
            checks.push(self.modules(&mut session, figures)?);
        }
        Ok(checks)
    }

    /// Every table has as many rows as the backup's catalog says.
    fn rows(&self, session: &mut Session, figures: &mut DrillCertificate) -> Result<Check> {
        let roots = partition_roots(session)?;
        // Rows of a partition may have found another partition, so those of a tree count together.
        let mut trees: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
        let mut problems = Problems::default();
        let count_of = |session: &mut Session, table: &Table| -> Result<u64> {
            let name = quote::qualified(&table.schema, &table.name);
            let rows: i64 = session
                .client
                .query_one(&format!("SELECT count(*) FROM ONLY {name}"), &[])
                .map_err(|error| database_error(WHAT, error))
                .and_then(|row| get(&row, 0))?;
            Ok(u64::try_from(rows).unwrap_or_default())
        };
        for table in table_entries(self.reader, self.manifest)? {
            self.progress.check()?;
            let there = count_of(session, &table)?;
            figures.tables += 1;
            figures.rows += there;
            let name = (table.schema.clone(), table.name.clone());
            if table.extension.is_some() {
                // They come on top of what the extension itself puts there.
                if there < table.rows {
                    problems.add(|| differs(&name, there, table.rows));
                }
                continue;
            }
            let tree = roots.get(&name).cloned().unwrap_or(name);
            let sums = trees.entry(tree).or_default();
            sums.0 += there;
            sums.1 += table.rows;
        }
        for (name, (there, expected)) in &trees {
            if there != expected {
                problems.add(|| differs(name, *there, *expected));
            }
        }
        let found = format!(
            "{} in {}",
            counted(figures.rows, "row"),
            counted(figures.tables, "table")
        );
        Ok(Check::of("rows", found, problems.finish()))
    }

    /// Every file that a row of `c_file` names is among the restored ones, unless the backup never had it.
    fn attachments(&self, session: &mut Session, figures: &mut DrillCertificate) -> Result<Check> {
        const NAME: &str = "attachments";
        let Some(part) = self.manifest.files_part(Part::Attachments) else {
            return Ok(Check::skipped(NAME, "the backup has no attachments"));
        };
        let Some(query) = files_query(|table| has_table(session, table))? else {
            return Ok(Check::skipped(NAME, "the database names no files"));
        };
        let known: PathSet = paths_present(file_entries(self.reader, part))?;
        let root = self.directory.join(Part::Attachments.word());
        let mut problems = Problems::default();
        let mut absent = 0_u64;
        session.stream(WHAT, &query, |row| {
            let path = path_of(row);
            figures.attachments += 1;
            if root
                .join(OsStr::from_bytes(&path))
                .symlink_metadata()
                .is_ok()
            {
                return Ok(());
            }
            if known.contains(&path) {
                problems.add(|| {
                    let path = ByteString(path.clone());
                    format!("attachment `{path}` is in the backup and was not restored")
                });
            } else {
                absent += 1;
            }
            Ok(())
        })?;
        let mut found = format!(
            "{} named by the database",
            counted(figures.attachments, "file")
        );
        if absent > 0 {
            found = format!("{found}, {absent} of them absent already when the backup was taken");
        }
        Ok(Check::of(NAME, found, problems.finish()))
    }

    /// Sources and database speak of the same modules in the same versions.
    fn modules(&self, session: &mut Session, figures: &mut DrillCertificate) -> Result<Check> {
        const NAME: &str = "modules";
        if self.manifest.files_part(Part::Sources).is_none() {
            return Ok(Check::skipped(NAME, "the backup has no sources"));
        }
        if !has_table(session, "ad_module")? {
            return Ok(Check::skipped(NAME, "the database has no modules"));
        }
        let sources: BTreeMap<_, _> =
            modules_of_sources(&self.directory.join(Part::Sources.word()))
                .into_iter()
                .map(|module| (module.package, module.version))
                .collect();
        let mut database = BTreeMap::new();
        session.stream(WHAT, MODULES, |row| {
            let mut fields = copy_text::fields(row)
                .map(|field| String::from_utf8_lossy(&field.unwrap_or_default()).into_owned());
            let (package, version, only_here) = (fields.next(), fields.next(), fields.next());
            database.insert(
                package.unwrap_or_default(),
                (
                    version.unwrap_or_default(),
                    only_here.as_deref() == Some("t"),
                ),
            );
            Ok(())
        })?;
        let mut problems = Problems::default();
        for (package, version) in &sources {
            figures.modules += 1;
            match database.get(package) {
                Some((there, _)) if there == version => {}
                Some((there, _)) => problems.add(|| {
                    format!(
                        "module {package} is {version} in the sources and {there} in the database"
                    )
                }),
                None => problems.add(|| {
                    format!("module {package} {version} is in the sources and not in the database")
                }),
            }
        }
        for (package, (version, only_here)) in &database {
            if !only_here && !sources.contains_key(package) {
                problems.add(|| {
                    format!("module {package} {version} is in the database and not in the sources")
                });
            }
        }
        let found = format!("{} in the sources", counted(figures.modules, "module"));
        Ok(Check::of(NAME, found, problems.finish()))
    }
}

/// Package, version, and whether the sources need not have it: what is being developed in the
/// application's own windows is not exported yet, what is being uninstalled has lost its files already.
const MODULES: &str = "SELECT m.javapackage, m.version, \
        coalesce(pg_catalog.to_jsonb(m) ->> 'isindevelopment', 'N') = 'Y' \
        OR coalesce(pg_catalog.to_jsonb(m) ->> 'status', 'A') = 'U' \
    FROM ad_module m WHERE m.javapackage IS NOT NULL AND m.version IS NOT NULL";

impl TrialDatabase<'_> {
    /// As whoever restored it: may read everything.
    fn session(&self) -> Result<Session> {
        match &self.connection.system {
            Some(system) if system.user == self.plan.role => Session::open(system),
            _ => Session::open(&self.connection.application),
        }
    }

    /// Finds tables as the application does.
    fn as_application(&self) -> Result<Session> {
        let mut session = Session::open(&self.connection.application)?;
        session.run(WHAT, "SET search_path TO DEFAULT")?;
        Ok(session)
    }
}

fn differs((schema, name): &(String, String), there: u64, expected: u64) -> String {
    format!("table {schema}.{name} has {there} rows, and had {expected} at backup")
}

fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

fn has_table(session: &mut Session, name: &str) -> Result<bool> {
    let sql = format!(
        "SELECT pg_catalog.to_regclass({})::text",
        quote::literal(name)
    );
    Ok(session.value(WHAT, &sql)?.is_some())
}

/// For each partition the root of its tree, both by schema and name.
fn partition_roots(session: &mut Session) -> Result<BTreeMap<(String, String), (String, String)>> {
    let rows = session
        .client
        .query(
            "SELECT n.nspname::text, c.relname::text, rn.nspname::text, r.relname::text
            FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_class r ON r.oid = pg_catalog.pg_partition_root(c.oid)
            JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
            WHERE c.relispartition AND c.relkind = 'r'",
            &[],
        )
        .map_err(|error| database_error(WHAT, error))?;
    rows.iter()
        .map(|row| Ok(((get(row, 0)?, get(row, 1)?), (get(row, 2)?, get(row, 3)?))))
        .collect()
}

/// Every foreign key is there, and the server has checked every row against it.
///
/// It does that when it creates a key, which it refuses where a row has nothing to refer to; only those that the
/// backup's database had not validated itself are made without.
fn foreign_keys(
    database: &TrialDatabase<'_>,
    session: &mut Session,
    figures: &mut DrillCertificate,
) -> Result<Check> {
    let rows = session
        .client
        .query(
            "SELECT n.nspname || '.' || c.relname || ' ' || k.conname, k.convalidated
            FROM pg_catalog.pg_constraint k
            JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_depend d
                WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
            ORDER BY 1",
            &[],
        )
        .map_err(|error| database_error(WHAT, error))?;
    let mut unvalidated = Vec::new();
    for row in &rows {
        let name: String = get(row, 0)?;
        if !get::<bool>(row, 1)? {
            unvalidated.push(name);
        }
    }
    let there = rows.len() as u64;
    let expected = database.plan.foreign_keys;
    let known = &database.plan.unvalidated_foreign_keys;
    figures.foreign_keys = there - unvalidated.len() as u64;
    let mut problems = Problems::default();
    if there != expected {
        problems.add(|| format!("there are {there} foreign keys, and the backup has {expected}"));
    }
    for name in unvalidated.iter().filter(|name| !known.contains(name)) {
        problems.add(|| format!("foreign key {name} was not checked"));
    }
    let mut found = format!("{} hold", counted(figures.foreign_keys, "foreign key"));
    if !unvalidated.is_empty() {
        found = format!("{found}, {} NOT VALID as at backup", unvalidated.len());
    }
    Ok(Check::of("foreign keys", found, problems.finish()))
}

/// `ad_db_modified('N')` answers what it answered at backup.
fn db_modified(database: &TrialDatabase<'_>) -> Check {
    const NAME: &str = "ad_db_modified";
    let answer = |answer: &Option<String>| match answer {
        Some(text) => format!("`{text}`"),
        None => "nothing".to_owned(),
    };
    let (before, now) = (&database.part.db_modified, &database.restored.db_modified);
    let Some(text) = before else {
        return Check::skipped(NAME, "the database answered nothing at backup");
    };
    if before == now {
        return Check::of(NAME, format!("answers `{text}` as at backup"), Vec::new());
    }
    let differs = format!(
        "answers {}, and answered {} at backup",
        answer(now),
        answer(before)
    );
    let (theirs, ours) = (
        database.part.server_version / 10_000,
        database.plan.server_version / 10_000,
    );
    // Its sum is over the text of definitions, which another version writes differently.
    if theirs != ours && now.is_some() {
        let found =
            format!("{differs}: PostgreSQL {ours} writes definitions differently than {theirs}");
        return Check::skipped(NAME, &found);
    }
    Check::of(
        NAME,
        answer(now),
        vec![format!("ad_db_modified('N') {differs}")],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_problems_are_named() {
        let mut problems = Problems::default();
        for number in 0..25 {
            problems.add(|| format!("{number}"));
        }
        let named = problems.finish();
        assert_eq!(named.len(), NAMED + 1);
        assert_eq!(named.last().map(String::as_str), Some("and 5 more"));
        let check = Check::of("x", String::new(), named);
        assert_eq!(check.result, Verdict::Failed);
        assert_eq!(
            Check::of("x", String::new(), vec![]).result,
            Verdict::Passed
        );
    }
}
