//! `man` and `completions`: made from the definition of the arguments, so that they cannot differ from it.

use clap::CommandFactory;
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, bold, roman};

use obbackup::error::{Error, ErrorKind, IoContext, Result};

use crate::Outcome;
use crate::arguments::{Arguments, Completions, Man};
use crate::output::print;

const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "Done. Only this counts as a good backup."),
    ("1", "Failed for a reason without a code of its own."),
    ("2", "The arguments or the configuration make no sense."),
    (
        "3",
        "Done in part: the backup lacks something that could not be read.",
    ),
    ("10", "There is no such repository, backup or part of one."),
    ("11", "Somebody else holds the lock."),
    ("12", "The key is wrong or missing."),
    ("13", "No space."),
    (
        "14",
        "A version does not fit: of the repository, the server or its clients.",
    ),
    ("15", "The verification found damage."),
    (
        "16",
        "The restore failed, and everything is as it was before.",
    ),
    (
        "17",
        "The restore failed, and somebody has to act; the message says how.",
    ),
    ("130", "Stopped by a signal, or not confirmed."),
];

const FILES: &[(&str, &str)] = &[
    (
        "SOURCE.PATH/config/Openbravo.properties",
        "Where everything about the instance comes from; overridden by the file that the JVM property \
         properties.path names, else by HOSTNAME.Openbravo.properties beside it.",
    ),
    (
        "SOURCE.PATH/config/obbackup.toml",
        "The configuration: the instance's id, repositories, a direct way to the database, exclusions. \
         Mode 0600, owned by the owner of the sources.",
    ),
    (
        "~/.pgpass",
        "Passwords of the database, where the properties hold none.",
    ),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("OBBACKUP_INSTANCE", "The same as --instance."),
    ("OBBACKUP_REPOSITORY", "The same as --repository."),
    ("OBBACKUP_CONFIG", "The same as --config."),
    (
        "CATALINA_BASE, CATALINA_HOME",
        "Where the web application is deployed, below webapps/.",
    ),
    (
        "CATALINA_OPTS, JAVA_OPTS, JAVA_TOOL_OPTIONS",
        "Searched for -Dproperties.path= and -Dmachine.name=, which choose the overriding properties.",
    ),
    ("PGPASSFILE", "The password file, instead of ~/.pgpass."),
    (
        "PGHOST, PGPORT, PGUSER, PGDATABASE",
        "The connection for the new database, for a restore on a machine without a configured instance.",
    ),
    (
        "PGPASSWORD, OBBACKUP_SYSTEM_PASSWORD",
        "The passwords of that role, and of the one that --system-role names.",
    ),
    ("PATH", "Searched for pg_dump and pg_restore."),
    ("TMPDIR", "Where short-lived private files lie."),
    (
        "TZ",
        "The time zone of the times that are shown, and of --year, --month and --day.",
    ),
    ("NO_COLOR", "If set, nothing is colored."),
];

pub fn completions(arguments: &Completions) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        "obbackup",
        &mut script,
    );
    print(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Good)
}

pub fn man(arguments: &Man) -> Result<Outcome> {
    let page = page(&arguments.command)?;
    print(&String::from_utf8_lossy(&page))?;
    Ok(Outcome::Good)
}

/// The page of the command at `path`, of the program itself where that is empty.
fn page(path: &[String]) -> Result<Vec<u8>> {
    let mut root = Arguments::command().disable_help_subcommand(true);
    root.build();
    let mut command = &root;
    for name in path {
        command = command.find_subcommand(name).ok_or_else(|| {
            let names: Vec<_> = command
                .get_subcommands()
                .map(|command| command.get_name().to_owned())
                .collect();
            Error::new(
                ErrorKind::Usage,
                format!("there is no command `{}`", path.join(" ")),
            )
            .hint(format!("One of: {}.", names.join(", ")))
        })?;
    }
    let name = std::iter::once("obbackup")
        .chain(path.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join("-");
    let examples = command
        .get_after_long_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let has_subcommands = command.get_subcommands().next().is_some();
    let page = Page::new(command.clone())
        .title(name.to_uppercase())
        .manual("Openbravo backup")
        .source(format!("obbackup {}", env!("CARGO_PKG_VERSION")));
    let mut out = Vec::new();
    render(&page, &examples, has_subcommands, path.is_empty(), &mut out)
        .io_context(|| "cannot write the manual page".to_owned())?;
    Ok(out)
}

fn render(
    page: &Page,
    examples: &str,
    has_subcommands: bool,
    is_main: bool,
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    if has_subcommands {
        page.render_subcommands_section(out)?;
    }
    let mut roff = Roff::default();
    table(&mut roff, "EXIT STATUS", EXIT_STATUS);
    table(&mut roff, "FILES", FILES);
    table(&mut roff, "ENVIRONMENT", ENVIRONMENT);
    // Indented lines of the help's examples are commands, the others are text.
    let (commands, rest): (Vec<_>, Vec<_>) = examples
        .lines()
        .skip(1)
        .partition(|line| line.starts_with("  "));
    if !commands.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        roff.control("nf", []);
        for command in commands {
            roff.text([roman(command.trim_start())]);
        }
        roff.control("fi", []);
    }
    let rest = rest.join(" ");
    if !rest.trim().is_empty() {
        roff.control("PP", []);
        roff.text([roman(rest.trim())]);
    }
    roff.control("SH", ["SEE ALSO"]);
    let see = if is_main {
        "pg_dump(1), pg_restore(1), psql(1)"
    } else {
        "obbackup(1)"
    };
    roff.text([roman(see)]);
    roff.to_writer(out)
}

fn table(roff: &mut Roff, heading: &str, rows: &[(&str, &str)]) {
    roff.control("SH", [heading]);
    for (term, text) in rows {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(*text)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_the_sections_that_man_promises() {
        let text = |path: &[&str]| {
            let path: Vec<_> = path.iter().map(ToString::to_string).collect();
            String::from_utf8(page(&path).unwrap()).unwrap()
        };
        for path in [&[][..], &["restore"], &["storage", "df"]] {
            let page = text(path);
            for section in ["NAME", "EXIT STATUS", "FILES", "ENVIRONMENT", "EXAMPLES"] {
                let (plain, quoted) = (format!(".SH {section}\n"), format!(".SH \"{section}\"\n"));
                assert!(
                    page.contains(&plain) || page.contains(&quoted),
                    "{path:?} {section}"
                );
            }
        }
        assert_eq!(
            page(&["nothing".to_owned()]).unwrap_err().kind(),
            ErrorKind::Usage
        );
    }

    #[test]
    fn exit_codes_are_those_of_the_error_table() {
        for kind in [
            ErrorKind::Failure,
            ErrorKind::Usage,
            ErrorKind::Partial,
            ErrorKind::NotFound,
            ErrorKind::Locked,
            ErrorKind::WrongKey,
            ErrorKind::NoSpace,
            ErrorKind::Incompatible,
            ErrorKind::Damaged,
            ErrorKind::RolledBack,
            ErrorKind::ActionNeeded,
            ErrorKind::Cancelled,
        ] {
            let code = kind.exit_code().to_string();
            assert!(
                EXIT_STATUS.iter().any(|(shown, _)| *shown == code),
                "{code}"
            );
        }
    }
}
