//! What a restore into a new database would do, and what stands in its way.

use std::collections::{BTreeMap, BTreeSet};

use super::archive::{Archive, Entry};
use super::{DatabaseTarget, catalog_entries, disordered, roles};
use crate::chunk::{ChunkReader, ChunkSource};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::database::{DatabaseEntry, DatabaseState, Grant};
use crate::format::id::ChunkId;
use crate::format::manifest::DatabasePart;
use crate::postgresql::Session;
use crate::postgresql::client::{database_error, get, version_text};
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

/// What the server has.
struct Facts {
    version: u32,
    roles: BTreeSet<String>,
    /// Roles whose objects the connecting role may create.
    mine: BTreeSet<String>,
    tablespaces: BTreeSet<String>,
    /// Extensions, and whether a role that owns the database may create them.
    extensions: BTreeMap<String, bool>,
    may_create_databases: bool,
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
        let state = self.state(&contents.state, part);
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
        let keep_tablespaces = check_tablespaces(&archive, &state, &facts, &mut skipped);
        let owner = if as_system {
            map.owner(&state.owner)
        } else {
            application.clone()
        };
        let everything = judged.keep.len() == archive.entries.len();
        Ok(DatabasePlan {
            database: self.address.database.clone(),
            owner,
            role: self.address(as_system).user,
            server_version: facts.version,
            definitions: judged.keep.len() as u64,
            tables: part.tables,
            rows: part.rows,
            bytes: part.bytes.saturating_sub(contents.archive.len() as u64),
            system_role_needed_for: judged.system,
            skipped,
            refused,
            as_system,
            state,
            roles: map,
            archive: archive.to_bytes(),
            only: (!everything).then_some(judged.keep),
            keep_tablespaces,
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

fn is_superuser(session: &mut Session) -> Result<bool> {
    Ok(session.value(WHAT, "SHOW is_superuser")?.as_deref() == Some("on"))
}

impl Facts {
    fn read(session: &mut Session, as_system: bool) -> Result<Self> {
        let trusted = if session.version >= 130_000 {
            "bool_or(trusted)"
        } else {
            "false"
        };
        let extensions = names(
            session,
            &format!(
                "SELECT name::text, {trusted} FROM pg_catalog.pg_available_extension_versions
                GROUP BY name"
            ),
        )?;
        let roles = names(
            session,
            "SELECT rolname::text, pg_catalog.pg_has_role(oid, 'MEMBER') FROM pg_catalog.pg_roles",
        )?;
        let tablespaces = names(
            session,
            "SELECT spcname::text, pg_catalog.has_tablespace_privilege(oid, 'CREATE')
            FROM pg_catalog.pg_tablespace",
        )?;
        let may_create = session.value(
            WHAT,
            "SELECT 'yes'::text FROM pg_catalog.pg_roles
            WHERE rolname = current_user AND (rolcreatedb OR rolsuper)",
        )?;
        Ok(Self {
            version: session.version,
            mine: granted(&roles),
            roles: roles.into_keys().collect(),
            tablespaces: if as_system {
                tablespaces.into_keys().collect()
            } else {
                granted(&tablespaces)
            },
            extensions,
            may_create_databases: may_create.is_some(),
        })
    }
}

fn names(session: &mut Session, sql: &str) -> Result<BTreeMap<String, bool>> {
    let rows = session
        .client
        .query(sql, &[])
        .map_err(|error| database_error(WHAT, error))?;
    rows.iter()
        .map(|row| Ok((get(row, 0)?, get(row, 1)?)))
        .collect()
}

fn granted(names: &BTreeMap<String, bool>) -> BTreeSet<String> {
    let granted = names.iter().filter(|(_, granted)| **granted);
    granted.map(|(name, _)| name.clone()).collect()
}

/// What of the backup the plan rests on.
struct Contents {
    state: DatabaseState,
    archive: Vec<u8>,
    /// The roles of the large objects.
    roles: BTreeSet<String>,
}

impl Contents {
    fn read<S: ChunkSource + ?Sized>(part: &DatabasePart, source: &S) -> Result<Self> {
        let mut state = None;
        let mut archive = None;
        let mut roles = BTreeSet::new();
        let mut count = 0;
        for entry in catalog_entries(source, &part.catalog) {
            count += 1;
            match entry? {
                DatabaseEntry::Database(found) => state = Some(found),
                DatabaseEntry::Ddl { bytes, chunks, .. } => {
                    archive = Some(read_archive(source, bytes, &chunks)?);
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

/// Kinds whose definition has roles in it.
fn names_roles(entry: &Entry) -> bool {
    matches!(
        entry.kind().as_ref(),
        "ACL" | "DEFAULT ACL" | "POLICY" | "USER MAPPING"
    )
}

/// What `pg_restore` creates only together with the database: the state that we carry ourselves.
fn is_of_database(entry: &Entry) -> bool {
    let kind = entry.kind();
    kind.starts_with("DATABASE")
        || (matches!(kind.as_ref(), "ACL" | "COMMENT" | "SECURITY LABEL")
            && entry.tag().starts_with("DATABASE "))
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

/// Every entry of the definitions, judged.
#[derive(Default)]
struct Judged {
    keep: Vec<i64>,
    system: Vec<String>,
    skipped: Vec<String>,
    refused: Vec<String>,
}

impl Judged {
    fn of(archive: &Archive, facts: &Facts, as_system: bool) -> Self {
        let mut judged = Self::default();
        for entry in &archive.entries {
            if is_of_database(entry) {
                continue;
            }
            if let Some(reason) = missing_extension(entry, facts) {
                judged.refused.push(reason);
                continue;
            }
            match needs(entry, facts) {
                Needs::Nothing => {}
                Needs::SystemRole(reason) => {
                    let what = format!("{}: {reason}", entry.describe());
                    if as_system {
                        judged.system.push(what);
                    } else {
                        judged.refused.push(what);
                    }
                }
                Needs::SystemRoleOrNothing(reason) if !as_system => {
                    let what = format!("{}: {reason}", entry.describe());
                    judged.skipped.push(what);
                    continue;
                }
                Needs::IsThere if !as_system => continue,
                Needs::SystemRoleOrNothing(_) | Needs::IsThere => {}
            }
            judged.keep.push(entry.id);
        }
        judged
    }
}

/// What creating an entry takes.
enum Needs {
    Nothing,
    SystemRole(String),
    /// It changes nothing that the application would notice, so it is not worth refusing for.
    SystemRoleOrNothing(String),
    /// Every new database has it, and the superuser's it is.
    IsThere,
}

fn missing_extension(entry: &Entry, facts: &Facts) -> Option<String> {
    (entry.kind() == "EXTENSION" && !facts.extensions.contains_key(entry.tag().as_ref()))
        .then(|| format!("extension `{}` is not installed on the server", entry.tag()))
}

fn needs(entry: &Entry, facts: &Facts) -> Needs {
    let (kind, tag, owner) = (entry.kind(), entry.tag(), entry.owner());
    let definition = entry.definition();
    let superuser = || Needs::SystemRole("only a superuser may create it".to_owned());
    if kind == "EXTENSION" {
        return match facts.extensions.get(tag.as_ref()) {
            Some(true) => Needs::Nothing,
            _ => Needs::SystemRole("the extension is not a trusted one".to_owned()),
        };
    }
    if let Some(extension) = tag.strip_prefix("EXTENSION ") {
        // Whoever creates an extension owns it; the one that every database has is the superuser's.
        let own = facts.extensions.get(extension.trim_matches('"')) == Some(&true);
        return if own && extension != "plpgsql" {
            Needs::Nothing
        } else {
            Needs::SystemRoleOrNothing("the extension belongs to a superuser".to_owned())
        };
    }
    let is_public = (kind == "SCHEMA" && tag == "public") || tag == "SCHEMA public";
    if is_public {
        // Since 15 the schema belongs to the database's owner.
        let mine = facts.version >= 150_000
            && (kind != "SCHEMA" || owner == "pg_database_owner" || facts.mine.contains(&*owner));
        return if mine {
            Needs::Nothing
        } else if kind == "SCHEMA" || (kind == "ACL" && is_default_of_public(&definition)) {
            Needs::IsThere
        } else {
            Needs::SystemRoleOrNothing("the schema belongs to a superuser".to_owned())
        };
    }
    match kind.as_ref() {
        "EVENT TRIGGER"
        | "FOREIGN DATA WRAPPER"
        | "SUBSCRIPTION"
        | "ACCESS METHOD"
        | "OPERATOR CLASS"
        | "OPERATOR FAMILY"
        | "TEXT SEARCH PARSER"
        | "TEXT SEARCH TEMPLATE"
        | "SHELL TYPE"
        | "PROCEDURAL LANGUAGE" => return superuser(),
        "TYPE" if definition.contains("INTERNALLENGTH") => return superuser(),
        "CAST" if definition.contains("WITHOUT FUNCTION") => return superuser(),
        "FUNCTION" | "PROCEDURE" if has_unsafe_language(&definition) => return superuser(),
        "PUBLICATION" | "PUBLICATION TABLES IN SCHEMA"
            if kind != "PUBLICATION" || definition.contains("FOR ALL TABLES") =>
        {
            return superuser();
        }
        _ => {}
    }
    if owner.is_empty() || facts.mine.contains(owner.as_ref()) {
        Needs::Nothing
    } else {
        Needs::SystemRole(format!("it belongs to role `{owner}`"))
    }
}

/// Before 15 `pg_dump` writes these rights also where nobody has changed them.
fn is_default_of_public(definition: &str) -> bool {
    definition.contains("GRANT ALL ON SCHEMA public TO PUBLIC;")
        && roles::named(definition).is_empty()
}

/// `pg_dump` writes the language first on a line of its own, before the body.
fn has_unsafe_language(definition: &str) -> bool {
    let language = definition
        .split_once("\n    LANGUAGE ")
        .and_then(|(_, rest)| rest.split_whitespace().next());
    matches!(language, Some("c" | "internal"))
}
