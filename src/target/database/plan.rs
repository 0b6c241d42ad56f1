//! What a restore into a new database would do, and what stands in its way.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::archive::{Archive, Entry};
use super::facts::{Facts, is_superuser};
use super::judge::{Judged, is_of_database};
use super::{DatabaseTarget, catalog_entries, disordered, order, roles};
use crate::chunk::{ChunkReader, ChunkSource};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::database::{DatabaseEntry, DatabaseState, Grant};
use crate::format::id::ChunkId;
use crate::format::manifest::DatabasePart;
use crate::postgresql::Session;
use crate::postgresql::client::{database_error, version_text};
use crate::postgresql::programs::Program;

/// More definitions than this are no database of this world; it bounds the memory.
const DEFINITIONS_LIMIT_BYTES: u64 = 1 << 30;

/// What [`DatabaseTarget::run`] will do.
#[derive(Debug, Clone)]
pub struct DatabasePlan {
    /// The database to create.
    pub database: String,
    /// Its owner.
    pub owner: String,
    /// The role that creates everything: the system role, else the application's.
    pub role: String,
    /// The server's `server_version_num`.
    pub server_version: u32,
    /// Definitions to create.
    pub definitions: u64,
    /// Tables with rows to load.
    pub tables: u64,
    /// Rows to load.
    pub rows: u64,
    /// Bytes of rows and large objects to load.
    pub bytes: u64,
    /// Foreign keys to create.
    pub foreign_keys: u64,
    /// Those of them that the backup's database had not validated either, as `schema.table name`.
    pub unvalidated_foreign_keys: Vec<String>,
    /// What the system role is needed and used for.
    pub system_role_needed_for: Vec<String>,
    /// What will not be there, each with the reason.
    pub skipped: Vec<String>,
    /// What makes the restore impossible, each with the reason.
    pub refused: Vec<String>,
    pub(super) as_system: bool,
    pub(super) state: DatabaseState,
    pub(super) roles: RoleMap,
    pub(super) archive: Vec<u8>,
    /// The numbers of the entries to create, when it is not all of them.
    pub(super) only: Option<Vec<i64>>,
    pub(super) keep_tablespaces: bool,
    /// Whether the last definitions watch those after them.
    pub(super) has_event_triggers: bool,
    pub(super) program: Program,
}

impl DatabasePlan {
    /// An error with every reason, when the restore is impossible.
    pub fn check(&self) -> Result<()> {
        if self.refused.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Denied,
            format!(
                "database `{}` cannot be restored: {}",
                self.database,
                self.refused.join("; ")
            ),
        )
        .hint(if self.as_system {
            "Create what is missing on the server, or leave missing roles out."
        } else {
            "Give the system role (bbdd.systemUser) to obbackup, or create what is missing on the \
             server."
        }))
    }
}

/// Which role stands here for one of the backup.
#[derive(Debug, Clone, Default)]
pub(super) struct RoleMap {
    names: BTreeMap<String, Option<String>>,
    application: String,
}

impl RoleMap {
    /// Who is granted what `role` was; `None` for nobody.
    pub fn grantee(&self, role: &str) -> Option<String> {
        match self.names.get(role) {
            Some(mapped) => mapped.clone(),
            None => Some(role.to_owned()),
        }
    }

    /// Who owns what `role` owned.
    pub fn owner(&self, role: &str) -> String {
        self.grantee(role)
            .unwrap_or_else(|| self.application.clone())
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

const WHAT: &str = "cannot plan the restore of the database";

impl DatabaseTarget {
    /// Looks at the backup and at the server, and changes nothing.
    ///
    /// `AlreadyExists` when there is such a database, `Incompatible` when the server or `pg_restore` is
    /// older than the backup's; what else stands in the way is in the plan.
    pub fn plan<S: ChunkSource + ?Sized>(
        &self,
        part: &DatabasePart,
        source: &S,
    ) -> Result<DatabasePlan> {
        let (mut session, as_system, mut skipped) = self.connect_for_plan()?;
        let facts = Facts::read(&mut session, as_system)?;
        self.check_versions(part, &facts)?;
        self.check_absent(&mut session)?;
        let program = self
            .options
            .programs
            .pg_restore(part.client_version, facts.version)?;
        let contents = Contents::read(part, source)?;
        let mut archive = Archive::parse(&contents.archive)?;
        order::largest_first(&mut archive, &contents.table_bytes);
        let mut refused = Vec::new();
        let application = &self.address.user;
        if !facts.may_create_databases {
            refused.push(format!(
                "role `{application}` may not create databases (ALTER ROLE … CREATEDB)"
            ));
        }
        if !facts.roles.contains(application) {
            refused.push(format!("there is no role `{application}` here"));
        }
        let mut state = self.state(&contents.state, part);
        let map = self.map_roles(part, &archive, &contents, &state, &facts, &mut skipped);
        let map = match map {
            Ok(map) => map,
            Err(missing) => {
                refused.extend(missing);
                RoleMap::default()
            }
        };
        if !map.is_empty() {
            rename_roles(&mut archive, &map);
        }
        let judged = Judged::of(&archive, &facts, as_system);
        refused.extend(judged.refused);
        skipped.extend(judged.skipped);
        if !as_system {
            let is_own = |role: &str| map.grantee(role).as_ref() == Some(application);
            skipped.extend(Facts::take_closed(&mut session, &mut state, is_own)?);
        }
        let keep_tablespaces = check_tablespaces(&archive, &state, &facts, &mut skipped);
        let owner = if as_system {
            map.owner(&state.owner)
        } else {
            application.clone()
        };
        take_over(&mut state, &map, &owner);
        let everything = judged.keep.len() == archive.entries.len();
        let mut kinds = archive.entries.iter().map(Entry::kind);
        let has_event_triggers = kinds.any(|kind| kind == "EVENT TRIGGER");
        let (foreign_keys, unvalidated_foreign_keys) = foreign_keys(&archive, &judged.keep);
        Ok(DatabasePlan {
            database: self.address.database.clone(),
            owner,
            role: self.address(as_system).user,
            server_version: facts.version,
            definitions: judged.keep.len() as u64,
            tables: part.tables,
            rows: part.rows,
            bytes: part.bytes.saturating_sub(contents.archive.len() as u64),
            foreign_keys,
            unvalidated_foreign_keys,
            system_role_needed_for: judged.system,
            skipped,
            refused,
            as_system,
            state,
            roles: map,
            archive: archive.to_bytes(),
            only: (!everything).then_some(judged.keep),
            keep_tablespaces,
            has_event_triggers,
            program,
        })
    }

    fn connect_for_plan(&self) -> Result<(Session, bool, Vec<String>)> {
        let mut skipped = Vec::new();
        if let Some(system) = &self.options.system {
            let mut session = self.maintenance(true)?;
            if is_superuser(&mut session)? {
                return Ok((session, true, skipped));
            }
            skipped.push(format!(
                "role `{}` is not used: it is no superuser",
                system.user
            ));
        }
        let mut session = self.maintenance(false)?;
        let as_system = is_superuser(&mut session)?;
        Ok((session, as_system, skipped))
    }

    fn check_versions(&self, part: &DatabasePart, facts: &Facts) -> Result<()> {
        let (theirs, ours) = (part.server_version / 10_000, facts.version / 10_000);
        if ours >= theirs {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Incompatible,
            format!(
                "the backup is of PostgreSQL {}, the server at {}:{} is PostgreSQL {}",
                version_text(part.server_version),
                self.address.host,
                self.address.port,
                version_text(facts.version)
            ),
        )
        .hint(format!("Restore into PostgreSQL {theirs} or newer.")))
    }

    fn check_absent(&self, session: &mut Session) -> Result<()> {
        let database = &self.address.database;
        let row = session
            .client
            .query_opt(
                "SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1",
                &[database],
            )
            .map_err(|error| database_error(WHAT, error))?;
        if row.is_none() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::AlreadyExists,
            format!("there is a database `{database}` already"),
        )
        .hint("A restore goes into a new database: give another name, or rename or drop that one."))
    }

    /// The state that the new database is to have.
    fn state(&self, backup: &DatabaseState, part: &DatabasePart) -> DatabaseState {
        let mut state = match &self.options.state {
            Some(state) => DatabaseState {
                encoding: backup.encoding.clone(),
                collate: backup.collate.clone(),
                ctype: backup.ctype.clone(),
                locale_provider: backup.locale_provider.clone(),
                locale: backup.locale.clone(),
                icu_rules: backup.icu_rules.clone(),
                ..state.clone()
            },
            None => backup.clone(),
        };
        state.name.clone_from(&self.address.database);
        if state.owner.is_empty() {
            state.owner.clone_from(&part.application_role);
        }
        state
    }

    /// The application's role of the backup becomes the one of this place; `Err` holds the reasons
    /// for which that is not enough.
    fn map_roles(
        &self,
        part: &DatabasePart,
        archive: &Archive,
        contents: &Contents,
        state: &DatabaseState,
        facts: &Facts,
        skipped: &mut Vec<String>,
    ) -> std::result::Result<RoleMap, Vec<String>> {
        let application = &self.address.user;
        let mut map = RoleMap {
            names: BTreeMap::new(),
            application: application.clone(),
        };
        if part.application_role != *application {
            map.names
                .insert(part.application_role.clone(), Some(application.clone()));
        }
        let mut needed = contents.roles.clone();
        needed.extend(state_roles(state));
        for entry in archive
            .entries
            .iter()
            .filter(|entry| !is_of_database(entry))
        {
            if !entry.owner().is_empty() {
                needed.insert(entry.owner().into_owned());
            }
            if names_roles(entry) {
                needed.extend(roles::named(&entry.definition()));
            }
        }
        let missing: Vec<_> = needed
            .into_iter()
            .filter(|role| !facts.roles.contains(role) && !map.names.contains_key(role))
            .collect();
        if self.options.ignore_missing_roles {
            for role in missing {
                skipped.push(format!(
                    "role `{role}` is missing: what it owned goes to `{application}`, what was \
                     granted to it is not"
                ));
                map.names.insert(role, None);
            }
            return Ok(map);
        }
        if missing.is_empty() {
            return Ok(map);
        }
        Err(missing
            .into_iter()
            .map(|role| format!("there is no role `{role}` here"))
            .collect())
    }
}

/// What of the backup the plan rests on.
struct Contents {
    state: DatabaseState,
    archive: Vec<u8>,
    /// Of tables with rows, by schema and name.
    table_bytes: HashMap<String, u64>,
    /// The roles of the large objects.
    roles: BTreeSet<String>,
}

impl Contents {
    fn read<S: ChunkSource + ?Sized>(part: &DatabasePart, source: &S) -> Result<Self> {
        let mut state = None;
        let mut archive = None;
        let mut table_bytes = HashMap::new();
        let mut roles = BTreeSet::new();
        let mut count = 0;
        for entry in catalog_entries(source, &part.catalog) {
            count += 1;
            match entry? {
                DatabaseEntry::Database(found) => state = Some(found),
                DatabaseEntry::Ddl { bytes, chunks, .. } => {
                    archive = Some(read_archive(source, bytes, &chunks)?);
                }
                DatabaseEntry::Table(table) => {
                    table_bytes.insert(format!("{}.{}", table.schema, table.name), table.bytes);
                }
                DatabaseEntry::LargeObject { owner, grants, .. } => {
                    roles.insert(owner);
                    roles.extend(grant_roles(grants.iter().flatten()));
                }
                _ => {}
            }
        }
        match (state, archive) {
            (Some(state), Some(archive)) if count == part.catalog.entries => Ok(Self {
                state,
                archive,
                table_bytes,
                roles,
            }),
            _ => Err(disordered()),
        }
    }
}

fn read_archive<S: ChunkSource + ?Sized>(
    source: &S,
    bytes: u64,
    chunks: &[ChunkId],
) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    let mut reader = std::io::Read::take(
        ChunkReader::new(source, chunks),
        bytes.min(DEFINITIONS_LIMIT_BYTES) + 1,
    );
    std::io::Read::read_to_end(&mut reader, &mut archive)
        .io_context(|| "cannot read the definitions".to_owned())?;
    if archive.len() as u64 == bytes {
        Ok(archive)
    } else {
        Err(disordered())
    }
}

fn grant_roles<'g>(grants: impl Iterator<Item = &'g Grant>) -> BTreeSet<String> {
    grants
        .flat_map(|grant| [Some(grant.grantor.clone()), grant.grantee.clone()])
        .flatten()
        .collect()
}

fn state_roles(state: &DatabaseState) -> BTreeSet<String> {
    let mut roles = grant_roles(state.grants.iter().flatten());
    roles.insert(state.owner.clone());
    roles.extend(state.settings.iter().filter_map(|one| one.role.clone()));
    roles
}

/// How many foreign keys will be created, and which of them the server will not check.
fn foreign_keys(archive: &Archive, keep: &[i64]) -> (u64, Vec<String>) {
    let keep: BTreeSet<_> = keep.iter().collect();
    let keys: Vec<_> = archive
        .entries
        .iter()
        .filter(|entry| entry.kind() == "FK CONSTRAINT" && keep.contains(&entry.id))
        .collect();
    let unvalidated = keys
        .iter()
        .filter(|entry| {
            let definition = entry.definition();
            let words = definition.trim_end().trim_end_matches(';');
            words.ends_with(" NOT VALID") || words.ends_with(" NOT ENFORCED")
        })
        .map(|entry| entry.name())
        .collect();
    (keys.len() as u64, unvalidated)
}

/// Kinds whose definition has roles in it.
fn names_roles(entry: &Entry) -> bool {
    matches!(
        entry.kind().as_ref(),
        "ACL" | "DEFAULT ACL" | "POLICY" | "USER MAPPING"
    )
}

fn rename_roles(archive: &mut Archive, map: &RoleMap) {
    for entry in &mut archive.entries {
        let owner = entry.owner().into_owned();
        if !owner.is_empty() && map.owner(&owner) != owner {
            entry.set_owner(&map.owner(&owner));
        }
        if names_roles(entry) {
            let definition = entry.definition().into_owned();
            let renamed = roles::rewrite(&definition, |role| map.grantee(role));
            if roles::named(&definition)
                .iter()
                .any(|role| map.grantee(role).as_ref() != Some(role))
            {
                entry.set_definition(renamed);
            }
        }
    }
}

/// What the database's old owner granted and holds is the new one's, as `ALTER DATABASE … OWNER` does it.
fn take_over(state: &mut DatabaseState, map: &RoleMap, owner: &str) {
    let old = std::mem::replace(&mut state.owner, owner.to_owned());
    if map.owner(&old) == owner {
        return;
    }
    for grant in state.grants.iter_mut().flatten() {
        if grant.grantor == old {
            owner.clone_into(&mut grant.grantor);
        }
        if grant.grantee.as_ref() == Some(&old) {
            grant.grantee = Some(owner.to_owned());
        }
    }
}

fn check_tablespaces(
    archive: &Archive,
    state: &DatabaseState,
    facts: &Facts,
    skipped: &mut Vec<String>,
) -> bool {
    let mut used: BTreeSet<_> = archive
        .entries
        .iter()
        .map(|entry| entry.tablespace().into_owned())
        .filter(|name| !name.is_empty())
        .collect();
    used.extend(state.tablespace.clone());
    let missing: Vec<_> = used.difference(&facts.tablespaces).cloned().collect();
    for name in &missing {
        skipped.push(format!(
            "tablespace `{name}` is missing or closed: everything goes to the default one"
        ));
    }
    missing.is_empty()
}
