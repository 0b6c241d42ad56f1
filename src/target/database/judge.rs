//! What creating each thing of the definitions takes.

use super::archive::{Archive, Entry};
use super::facts::Facts;
use super::roles;

/// Every entry of the definitions, judged.
#[derive(Default)]
pub(super) struct Judged {
    pub keep: Vec<i64>,
    pub system: Vec<String>,
    pub skipped: Vec<String>,
    pub refused: Vec<String>,
}

impl Judged {
    pub fn of(archive: &Archive, facts: &Facts, as_system: bool) -> Self {
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
                Needs::Nothing | Needs::SystemRoleOrNothing(_) | Needs::IsThere => {}
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

/// What `pg_restore` creates only together with the database: the state that we carry ourselves.
pub(super) fn is_of_database(entry: &Entry) -> bool {
    let kind = entry.kind();
    kind.starts_with("DATABASE")
        || (matches!(kind.as_ref(), "ACL" | "COMMENT" | "SECURITY LABEL")
            && entry.tag().starts_with("DATABASE "))
}
