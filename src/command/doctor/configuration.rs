//! The configuration file: whether others can read or change it, and whether old backups go by themselves.

use std::os::unix::fs::MetadataExt;

use super::{Check, Examined};
use crate::config::Owner;

/// Nothing where there is no file: its absence costs nothing.
pub(super) fn checks(examined: &Examined<'_>) -> Vec<Check> {
    const NAME: &str = "configuration file";
    let path = examined.instance.configuration_path();
    let shown = path.display();
    let Ok(metadata) = std::fs::metadata(&path) else {
        return Vec::new();
    };
    let owner = Owner {
        uid: metadata.uid(),
        gid: metadata.gid(),
    };
    let mode = metadata.mode() & 0o7777;
    let check = if mode & 0o077 != 0 {
        Check::warning(
            NAME,
            format!("`{shown}` has mode {mode:04o}: others can read it"),
        )
        .remedy(format!("chmod 600 '{shown}'"))
    } else if owner.uid != examined.instance.owner.uid {
        Check::warning(
            NAME,
            format!(
                "`{shown}` belongs to user {}, and the sources to user {}",
                owner.uid, examined.instance.owner.uid
            ),
        )
        .remedy(format!(
            "chown --reference='{}' '{shown}'",
            examined.instance.source_path.display()
        ))
    } else {
        Check::ok(NAME, format!("{shown}, for its owner alone"))
    };
    vec![check, retention(examined)]
}

fn retention(examined: &Examined<'_>) -> Check {
    const NAME: &str = "retention";
    let retention = &examined.configuration.retention;
    if retention.has_rules() {
        return Check::ok(NAME, "old backups are forgotten by rules");
    }
    Check::ok(
        NAME,
        "no rules: every backup is kept until somebody deletes it",
    )
}
