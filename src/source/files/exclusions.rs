//! What is left out of a file part, and why.

use crate::tree::{Stat, split};

/// What a walk leaves out: a table of patterns, and directories by what they are.
#[derive(Debug, Clone, Default)]
pub struct Exclusions {
    rules: &'static [Rule],
    directories: Vec<(u64, u64)>,
}

/// One line of a table.
#[derive(Debug)]
struct Rule {
    /// A path below the root; `*` in a component stands for anything but `/`.
    pattern: &'static str,
    /// Names that are kept although the pattern fits.
    except: &'static [&'static str],
}

const fn rule(pattern: &'static str) -> Rule {
    Rule {
        pattern,
        except: &[],
    }
}

/// What a build makes out of the rest, by the targets `clean`, `core.lib`, `wad.lib`, `trl.lib`,
/// `compile.*`, `build.war` and `apply.module` of Openbravo 24Q4. Anchored at the root: a module's own
/// `build/classes` is shipped with it, is needed by the first build, and stays.
const SOURCES: &[Rule] = &[
    // Classes of everything, and the sources that `sqlc` writes.
    rule("build"),
    // Classes for `apply.module` alone, which deletes them itself.
    rule("build.apply"),
    // Windows and buttons that `wad` generates.
    rule("srcAD"),
    // Entities that `generate.entities` writes; `.keep` holds the directory, which `javac` requires.
    Rule {
        pattern: "src-gen/*",
        except: &[".keep"],
    },
    // The application before it is copied to Tomcat; `clean` spares these two, so they are no products.
    Rule {
        pattern: "WebContent/*",
        except: &["META-INF", "WEB-INF", ".keep"],
    },
    Rule {
        pattern: "WebContent/WEB-INF/*",
        except: &[".keep"],
    },
    // API documentation (`build.docs`); what else lies in `docs` is somebody's own.
    rule("docs/api"),
    // Where Module Management unpacks what it installs.
    rule("tmp"),
    // What `npm ci` puts back from `package-lock.json`; a module's own node_modules stay.
    rule("node_modules"),
    // Classes and documentation of the three libraries that the build itself needs first, …
    rule("src-core/build"),
    rule("src-core/docs"),
    rule("src-wad/build"),
    rule("src-wad/docs"),
    rule("src-trl/build"),
    rule("src-trl/docs"),
    rule("src-db/build"),
    // … those libraries, and where they are copied to.
    rule("src-core/lib/openbravo-core.jar"),
    rule("src-wad/lib/openbravo-wad.jar"),
    rule("src-trl/lib/openbravo-trl.jar"),
    rule("lib/runtime/openbravo-core.jar"),
    rule("lib/runtime/openbravo-wad.jar"),
    rule("lib/runtime/openbravo-trl.jar"),
    // The packed application (`build.war`).
    rule("lib/*.war"),
];

impl Exclusions {
    /// Nothing is left out.
    pub fn none() -> Self {
        Self::default()
    }

    /// What a build of Openbravo regenerates is left out.
    pub fn sources() -> Self {
        Self {
            rules: SOURCES,
            directories: Vec::new(),
        }
    }

    /// Leaves out also the directory with this device and inode, under whatever name it is met: the
    /// repository, other parts.
    #[must_use]
    pub fn and_directory(mut self, identity: (u64, u64)) -> Self {
        self.directories.push(identity);
        self
    }

    /// Whether a rule leaves out whatever is at `path`, directories by what they are aside.
    pub fn rules_leave_out(&self, path: &[u8]) -> bool {
        !path.is_empty() && self.rules.iter().any(|rule| rule.fits(path))
    }

    /// Whether a rule may leave out something below `path`.
    pub fn rules_reach_below(&self, path: &[u8]) -> bool {
        self.rules.iter().any(|rule| {
            let mut patterns = rule.pattern.as_bytes().split(|byte| *byte == b'/');
            path.split(|byte| *byte == b'/').all(|name| {
                patterns
                    .next()
                    .is_some_and(|pattern| name_fits(name, pattern))
            }) && patterns.next().is_some()
        })
    }

    /// Whether the thing at `path` is left out, with all that is in it. The root never is.
    pub(super) fn leaves_out(&self, path: &[u8], stat: &Stat) -> bool {
        if path.is_empty() {
            return false;
        }
        self.directories.contains(&stat.identity()) || self.rules.iter().any(|rule| rule.fits(path))
    }
}

impl Rule {
    fn fits(&self, path: &[u8]) -> bool {
        let mut names = path.split(|byte| *byte == b'/');
        let mut patterns = self.pattern.as_bytes().split(|byte| *byte == b'/');
        loop {
            match (names.next(), patterns.next()) {
                (Some(name), Some(pattern)) if name_fits(name, pattern) => {}
                (None, None) => break,
                _ => return false,
            }
        }
        let (_, name) = split(path);
        !self.except.iter().any(|kept| kept.as_bytes() == name)
    }
}

/// `pattern` has one `*` at most.
fn name_fits(name: &[u8], pattern: &[u8]) -> bool {
    match pattern.iter().position(|byte| *byte == b'*') {
        None => name == pattern,
        Some(star) => {
            let (start, end) = (&pattern[..star], &pattern[star + 1..]);
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::file::Time;
    use crate::tree::Kind;

    fn left_out(path: &str) -> bool {
        let stat = Stat {
            kind: Kind::Directory,
            mode: 0,
            uid: 0,
            gid: 0,
            size_bytes: 0,
            allocated_bytes: 0,
            mtime: Time::default(),
            ctime: Time::default(),
            device: 1,
            inode: 2,
            links: 1,
        };
        Exclusions::sources().leaves_out(path.as_bytes(), &stat)
    }

    #[test]
    fn what_a_build_makes_is_left_out_and_nothing_else() {
        for path in [
            "build",
            "build.apply",
            "srcAD",
            "src-gen/org",
            "WebContent/web",
            "WebContent/index.jsp",
            "WebContent/WEB-INF/lib",
            "docs/api",
            "tmp",
            "node_modules",
            "src-core/lib/openbravo-core.jar",
            "lib/runtime/openbravo-wad.jar",
            "lib/openbravo.war",
        ] {
            assert!(left_out(path), "{path}");
        }
        for path in [
            "",
            "src-gen",
            "src-gen/.keep",
            "WebContent",
            "WebContent/META-INF",
            "WebContent/WEB-INF",
            "WebContent/WEB-INF/.keep",
            "docs",
            "lib/build",
            "lib/runtime/postgresql-42.7.3.jar",
            "lib/runtime/x.war",
            "modules/org.openbravo.advpaymentmngt/build/classes",
            "modules/org.openbravo.advpaymentmngt/build",
            "modules/x/tmp",
            "src-util/modulescript/build/classes",
            "config/Openbravo.properties",
            "builds",
        ] {
            assert!(!left_out(path), "{path}");
        }
    }
}
