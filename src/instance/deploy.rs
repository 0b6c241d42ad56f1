//! Where the web application of an instance is deployed.
//!
//! A build copies it to `$CATALINA_BASE/webapps/<context.name>`, or below `$CATALINA_HOME` where that
//! is not set (`build.xml`: `jakarta.base`; `src/build.xml`: `copy.files`); with `deploy.mode=war` Tomcat
//! unpacks the same directory. Nothing in the instance says where its Tomcat is, so a directory counts
//! only if the copy of the properties in its `WEB-INF` names the same `source.path`.

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::properties::Properties;
use super::resolve_existing;
use crate::config::Configuration;
use crate::error::{Error, ErrorKind, Result};

/// The directory, and what a person should know about it. An absent one is neither an error nor worth a
/// word each night: the sources can be built and deployed again.
pub(super) fn find(
    source_path: &Path,
    context_name: &str,
    environment: &Environment,
    configuration: &Configuration,
) -> Result<(Option<PathBuf>, Vec<String>)> {
    if let Some(path) = &configuration.instance.deploy_path {
        if !path.is_absolute() {
            return Err(Error::new(
                ErrorKind::Usage,
                "deploy_path of [instance] is not an absolute path",
            )
            .hint("It is the web application's directory: …/webapps/openbravo"));
        }
        let note = format!("deploy_path: there is no directory `{}`", path.display());
        return Ok(if path.is_dir() {
            (Some(path.clone()), Vec::new())
        } else {
            (None, vec![note])
        });
    }
    let below = |directory: &Path| directory.join("webapps").join(context_name);
    let named = environment
        .catalina_base
        .as_ref()
        .or(environment.catalina_home.as_ref());
    if let Some(path) = named.map(|directory| below(directory))
        && path.is_dir()
    {
        return Ok(match deployed_sources(&path) {
            Some(other) if resolve_existing(&other) != source_path => {
                let note = format!(
                    "`{}` is the web application of another instance, `{}`, and is left out",
                    path.display(),
                    other.display()
                );
                (None, vec![note])
            }
            _ => (Some(path), Vec::new()),
        });
    }
    let found = environment
        .tomcat_directories
        .iter()
        .map(|directory| below(directory))
        .find(|path| {
            deployed_sources(path).is_some_and(|owner| resolve_existing(&owner) == source_path)
        });
    Ok((found, Vec::new()))
}

/// Where the web application of an instance belongs that is not deployed yet: below `webapps` of the Tomcat that is
/// named, else of the first that is installed here.
pub(super) fn place(context_name: &str, environment: &Environment) -> Option<PathBuf> {
    let named = environment
        .catalina_base
        .as_ref()
        .or(environment.catalina_home.as_ref());
    let webapps = |directory: &PathBuf| directory.join("webapps");
    named
        .into_iter()
        .chain(&environment.tomcat_directories)
        .map(webapps)
        .find(|webapps| webapps.is_dir())
        .map(|webapps| webapps.join(context_name))
}

/// The `source.path` of the instance that is deployed at `path`, if one is.
pub fn deployed_sources(path: &Path) -> Option<PathBuf> {
    let properties = Properties::read(&path.join("WEB-INF/Openbravo.properties")).ok()?;
    properties.filled("source.path").map(PathBuf::from)
}
