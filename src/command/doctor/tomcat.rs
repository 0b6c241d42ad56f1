//! Whether a restore in place could stop, start and ask the web application's server.

use super::{Check, Examined};
use crate::page::Ports;
use crate::tomcat::Tomcat;

const PAGE: &str = "status page";

/// Everything that it needs of Tomcat.
pub(super) fn checks(examined: &Examined<'_>) -> Vec<Check> {
    let tomcat = match &examined.tomcat {
        Ok(Some(tomcat)) => tomcat,
        Ok(None) => {
            let found = "none was found; a restore in place cannot stop and start it";
            return vec![
                Check::warning("tomcat", found)
                    .remedy("Set `base`, or `stop` and `start`, under [tomcat] in obbackup.toml."),
            ];
        }
        Err(error) => return vec![Check::failed("tomcat", error)],
    };
    let page = Ports::of(tomcat.connectors(), &examined.configuration.restore).found();
    let mut checks = examine(tomcat);
    checks.push(match page {
        Ok(found) => Check::ok(PAGE, found),
        Err(error) => Check::failed(PAGE, &error).tolerated(),
    });
    checks
}

/// Whether it can be stopped, started and asked. A failure stands in the way of a restore in place.
pub fn examine(tomcat: &Tomcat) -> Vec<Check> {
    tomcat
        .examine()
        .into_iter()
        .map(|finding| match finding.result {
            Ok(found) => Check::ok(finding.name, found),
            Err(error) if finding.is_needed => Check::failed(finding.name, &error),
            Err(error) => Check::failed(finding.name, &error).tolerated(),
        })
        .collect()
}
