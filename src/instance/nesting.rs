//! A repository inside what it backs up would grow with each backup; an instance inside its repository
//! would be hit by whatever hits that. Both are refused.

use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::Instance;
use crate::error::{Error, ErrorKind, Result};

/// Refuses a repository at `location` that lies inside a directory of the instance or holds one, through
/// whatever links or mounts. Neither has to exist yet. `Usage` where it is refused. A bucket is nowhere near.
pub fn check_nesting(location: &str, instance: &Instance) -> Result<()> {
    if location.contains("://") {
        return Ok(());
    }
    let repository_path = Path::new(location);
    let repository = resolve_existing(repository_path);
    let mut directories: Vec<PathBuf> =
        instance.roots().into_iter().map(|root| root.root).collect();
    // What does not exist yet may exist tomorrow.
    directories.extend(
        [&instance.attach_path, &instance.reprintable_path]
            .into_iter()
            .flatten()
            .map(|path| resolve_existing(path)),
    );
    for directory in directories {
        let refused = |inner: &str, outer: &str| {
            Error::new(
                ErrorKind::Usage,
                format!(
                    "{inner} inside {outer}: `{}` and `{}`",
                    repository_path.display(),
                    directory.display()
                ),
            )
            .hint("Choose a directory outside of it, best on another disk.")
        };
        if is_inside(&repository, &directory) {
            return Err(refused("the repository lies", "the instance"));
        }
        if is_inside(&directory, &repository) {
            return Err(refused("the instance lies", "the repository"));
        }
    }
    Ok(())
}

/// `path` with symbolic links resolved as far as it exists, and without `.` and `..` beyond.
pub fn resolve_existing(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        let Ok(mut resolved) = std::fs::canonicalize(ancestor) else {
            continue;
        };
        let Ok(rest) = path.strip_prefix(ancestor) else {
            break;
        };
        for component in rest.components() {
            match component {
                Component::Normal(name) => resolved.push(name),
                Component::ParentDir => {
                    resolved.pop();
                }
                _ => {}
            }
        }
        return resolved;
    }
    path.to_owned()
}

/// By name, and by what the directories are: a bind mount gives one directory two names.
fn is_inside(inner: &Path, outer: &Path) -> bool {
    if inner.starts_with(outer) {
        return true;
    }
    let Some(identity) = identity(outer) else {
        return false;
    };
    inner
        .ancestors()
        .any(|path| self::identity(path) == Some(identity))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
