//! What stands on the command line: text taken apart, nothing looked up yet.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use crate::arriving::ConnectionArguments;
use obbackup::codec::Compression;
use obbackup::format::manifest::{BackupType, Part};

use crate::copy::Copy;
use crate::storage::{Df, ListStorages, TestStorage};
use crate::undo::Undo;

/// Back up and restore one Openbravo instance as one consistent unit
///
/// A backup holds the instance's PostgreSQL database, its sources, the deployed web application, the
/// attachments and the configuration, all of one moment. Backups lie in a repository; what did not
/// change since the last one is stored only once. The application keeps running meanwhile.
///
/// Everything about the instance comes from its config/Openbravo.properties. Data goes to standard
/// output, progress and errors go to standard error.
#[derive(Debug, Parser)]
#[command(name = "obbackup", version = VERSION, max_term_width = 100, after_long_help = MAIN_EXAMPLES)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// The version, and the commit that it was built from.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("OBBACKUP_REVISION"),
    ")"
);

pub const MAIN_EXAMPLES: &str = "\
Examples:
  obbackup init --instance /opt/openbravo --repository /mnt/backups/openbravo
  cd /opt/openbravo && obbackup backup --label 'before the price change'
  obbackup list --year 2026 --month 11
  obbackup restore latest --to-database check --to-directory /srv/check

`obbackup COMMAND --help` explains a command; `obbackup man | man -l -` shows the manual with exit
codes, files and environment.";

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
#[allow(clippy::struct_excessive_bools)] // Flags are what they are.
pub struct Global {
    /// The configuration file [default: config/obbackup.toml of the instance]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "OBBACKUP_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,

    /// The instance's source.path [default: the one that the current directory is in]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "OBBACKUP_INSTANCE",
        hide_env_values = true
    )]
    pub instance: Option<PathBuf>,

    /// The repository: a name from the configuration, a path, or a URL [default: the configured one]
    #[arg(
        long,
        global = true,
        value_name = "NAME|URL",
        env = "OBBACKUP_REPOSITORY",
        hide_env_values = true
    )]
    pub repository: Option<String>,

    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub json: bool,

    /// No progress; warnings and errors are still shown
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// More detail; on progress, a line for each stage
    #[arg(short, long, global = true)]
    pub verbose: bool,

    /// Never ask; fail where an answer would be needed
    #[arg(long, global = true)]
    pub no_input: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Init(Init),
    Backup(Backup),
    List(List),
    Show(Show),
    Ls(Ls),
    Cat(Cat),
    Verify(Verify),
    Restore(Restore),
    Undo(Undo),
    Status(crate::status::Status),
    Forget(crate::forget::Forget),
    Prune(crate::prune::Prune),
    Pin(crate::pin::Pin),
    Unpin(crate::pin::Unpin),
    Delete(Delete),
    Copy(Copy),
    Doctor(Doctor),
    #[command(subcommand)]
    Storage(Storage),
    #[command(subcommand)]
    Schedule(crate::schedule::Schedule),
    #[command(subcommand)]
    Notify(crate::notify::Notify),
    Log(crate::log::Log),
    Metrics(crate::metrics::Metrics),
    Guard(crate::guard::Guard),
    Completions(Completions),
    Man(Man),
}

/// Create a repository and tell the instance about it
///
/// Makes an empty or new directory a repository, gives the instance an id, and writes both into its
/// config/obbackup.toml. That is all the configuration that the first backup needs.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup init --instance /opt/openbravo --repository /mnt/backups/openbravo
  obbackup init --repository /mnt/second --compression gzip
  obbackup init --repository /mnt/backups/openbravo --take-over
  obbackup init --repository /mnt/backups/openbravo --share")]
pub struct Init {
    /// How to compress: zstd is faster and smaller, gzip needs only the oldest tools
    #[arg(long, default_value = "zstd", value_parser = compression())]
    pub compression: Compression,

    /// Go on here in the place of the instance whose backups a repository holds: this machine continues its
    /// history, and the machine that had it before can write there no more
    #[arg(long, conflicts_with = "share")]
    pub take_over: bool,

    /// Which instance to take over, where there are several: its id or name
    #[arg(long, value_name = "INSTANCE", requires = "take_over")]
    pub of: Option<String>,

    /// Keep this instance's backups in a repository beside those of others
    #[arg(long)]
    pub share: bool,
}

/// Take a backup
///
/// The database is read in one snapshot while the application works on; files that did not change
/// since the last backup are not read again. Ends with exit code 3 if something that was there could
/// not be captured: such a backup is listed as `partial`, and its warnings name what is missing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup backup
  obbackup backup --label 'before the price change' --pin
  obbackup backup --only database --json
  obbackup backup --dry-run")]
pub struct Backup {
    /// Why it is taken
    #[arg(long = "type", value_name = "TYPE", default_value = "manual", value_parser = words::<BackupType>(BackupType::ALL.iter().map(|it| it.word())))]
    pub kind: BackupType,

    /// A text to know it by
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,

    /// Keep it until it is unpinned, whatever the retention says
    #[arg(long)]
    pub pin: bool,

    /// Copy it to this repository too, besides those that the configuration names
    #[arg(long, value_name = "NAME")]
    pub copy_to: Vec<String>,

    /// Only these parts, separated by commas
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_parser = words::<Part>(Part::ALL.iter().map(|it| it.word())))]
    pub only: Vec<Part>,

    /// Read every file, also where size and times say that it did not change
    #[arg(long)]
    pub full_read: bool,

    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// List the backups
///
/// Newest first. Inside an instance only its own backups are shown. Years, months and days are those of
/// the local time zone. With --json, an array under `backups`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup list
  obbackup list --year 2026 --month 11 --day 24
  obbackup list --type automated --json
  obbackup list --repository /mnt/backups/openbravo --all-instances")]
pub struct List {
    /// Only those of this year
    #[arg(long, value_name = "Y", value_parser = clap::value_parser!(i32).range(1970..=9999))]
    pub year: Option<i32>,

    /// Only those of this month
    #[arg(long, value_name = "M", requires = "year", value_parser = clap::value_parser!(u32).range(1..=12))]
    pub month: Option<u32>,

    /// Only those of this day
    #[arg(long, value_name = "D", requires = "month", value_parser = clap::value_parser!(u32).range(1..=31))]
    pub day: Option<u32>,

    /// Only those of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = words::<BackupType>(BackupType::ALL.iter().map(|it| it.word())))]
    pub backup_type: Option<BackupType>,

    /// Also those of other instances
    #[arg(long)]
    pub all_instances: bool,
}

pub const ID_HELP: &str = "The first digits of the backup's id, at least four, or `latest`";

/// Show one backup: what it holds, what it cost, what it warns of
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup show latest
  obbackup show 3f9a01c2 --json")]
pub struct Show {
    #[arg(help = ID_HELP)]
    pub id: String,
}

/// List what is inside a backup
///
/// Without PATH the parts; with one, what lies there: `database` lists the tables, any other part a
/// directory tree.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup ls latest
  obbackup ls latest database
  obbackup ls latest sources/modules
  obbackup ls 3f9a01c2 table:public.c_order")]
pub struct Ls {
    #[arg(help = ID_HELP)]
    pub id: String,

    /// A part, or a path below one
    pub path: Option<OsString>,
}

/// Print one file, or the rows of one table, to standard output
///
/// A table's rows come as COPY text, which `COPY … FROM STDIN` takes.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup cat latest configuration/Openbravo.properties
  obbackup cat latest table:public.c_order > c_order.copy")]
pub struct Cat {
    #[arg(help = ID_HELP)]
    pub id: String,

    /// A file below a part, or table:SCHEMA.NAME
    #[arg(value_name = "PATH|TABLE")]
    pub place: OsString,
}

/// Check that the repository is sound
///
/// Checks that everything that the backups need is there and has the right length; with --read-data
/// every byte is read and proven. Ends with exit code 15, naming each damaged object and the backups
/// that it matters to, if data is lost.
///
/// With --drill a backup is restored for trial, into a scratch database on the instance's server and a
/// scratch directory; rows, foreign keys, attachments and module versions are compared with what the
/// backup says, and everything is removed again. Nothing live is touched. The result is written down:
/// `list` and `show` tell it.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup verify
  obbackup verify latest --read-data
  obbackup verify --drill
  obbackup verify 3f9a01c2 --drill --scratch /srv/scratch --json")]
pub struct Verify {
    /// Only what this backup needs: the first digits of its id, at least four, or `latest`
    pub id: Option<String>,

    /// Read every byte, instead of believing names and lengths
    #[arg(long)]
    pub read_data: bool,

    /// Restore it for trial [default: the latest]
    #[arg(long, conflicts_with = "read_data")]
    pub drill: bool,

    /// Restore the files below this directory [default: that of the configuration, else /tmp or /var/tmp]
    #[arg(long, value_name = "DIR", requires = "drill")]
    pub scratch: Option<PathBuf>,

    /// Print what the drill would do, and do nothing
    #[arg(long, requires = "drill")]
    pub dry_run: bool,
}

/// Restore a backup: in place of the instance, or beside it
///
/// Without a target the instance is replaced: a backup of the present state is taken, the new database and
/// files are made complete and proven beside the live ones, the application is stopped, old and new change
/// places by renames, and the application is started and asked whether it answers. Where it does not, or
/// where anything fails, all is put back (exit code 16). The old state is kept, and `obbackup undo`
/// brings it back.
///
/// With --to-database the data goes into that new database, with --to-directory the files go below
/// that empty or new directory; nothing live is touched.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup restore latest --dry-run
  obbackup restore latest
  obbackup restore 3f9a01c2 --only attachments --yes
  obbackup restore latest --to-database check --to-directory /srv/check
  obbackup restore latest --path sources/modules --to-directory /srv/modules
  obbackup restore latest --yes --detach
  obbackup restore latest --to-database test --neutralize
  obbackup restore latest --repository /mnt/backups/openbravo --instance /opt/openbravo --connection postgresql://tad@localhost:5432/openbravo")]
#[allow(clippy::struct_excessive_bools)] // Flags are what they are.
pub struct Restore {
    #[arg(help = ID_HELP)]
    pub id: String,

    /// Only these parts, separated by commas
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_parser = words::<Part>(Part::ALL.iter().map(|it| it.word())))]
    pub only: Vec<Part>,

    /// Of the files only this file or directory; may be given several times
    #[arg(long, value_name = "PART/PATH")]
    pub path: Vec<OsString>,

    /// Into a new database of this name, on the instance's server
    #[arg(long, value_name = "NAME")]
    pub to_database: Option<String>,

    /// Into this directory, which must be empty or new: DIR/sources, DIR/attachments, …
    #[arg(long, value_name = "DIR")]
    pub to_directory: Option<PathBuf>,

    /// Make the copy harmless before it ever starts: background processes, mail servers and calls to other
    /// systems off, its purpose Testing, its clients named TEST …; prints what was changed
    #[arg(long, conflicts_with = "path")]
    pub neutralize: bool,

    /// For want of room, delete the old state before the new one is complete: the safety backup is then the
    /// only way back
    #[arg(long, conflicts_with_all = ["to_database", "to_directory"])]
    pub in_place: bool,

    /// Do not take a backup of the present state before it is replaced
    #[arg(long, conflicts_with_all = ["to_database", "to_directory"])]
    pub no_safety_backup: bool,

    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Do not ask for the instance's name
    #[arg(long)]
    pub yes: bool,

    /// Run on when this program, its terminal or Tomcat ends; follow it with `obbackup status --follow`
    #[arg(long, requires = "yes", conflicts_with_all = ["to_database", "to_directory", "dry_run"])]
    pub detach: bool,

    /// The job that another process has announced
    #[arg(long, hide = true, conflicts_with_all = ["to_database", "to_directory"])]
    pub job: Option<String>,

    #[command(flatten)]
    pub connection: ConnectionArguments,
}

/// Delete one backup, and give back the room that only it needed
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup delete 3f9a01c2
  obbackup delete 3f9a01c2 --yes --json")]
pub struct Delete {
    /// The first digits of the backup's id, at least four
    pub id: String,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Check that backups and restores can work here
///
/// Looks at the instance's configuration, the database and its version, the PostgreSQL clients, roles
/// and privileges, the directories, the repository and its free space, and says what to do about
/// whatever is wrong. Changes nothing. Ends with exit code 0 if all is well, 3 if there are warnings,
/// 1 if a backup or a restore would fail.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup doctor
  obbackup doctor --instance /opt/openbravo --json
  obbackup doctor --proxy-snippets")]
pub struct Doctor {
    /// Print what Apache or nginx needs to show the page of a restore while Tomcat is down, and nothing else
    #[arg(long)]
    pub proxy_snippets: bool,
}

/// About the places that repositories lie in
#[derive(Debug, Subcommand)]
pub enum Storage {
    List(ListStorages),
    Test(TestStorage),
    Df(Df),
}

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup completions bash > /etc/bash_completion.d/obbackup
  obbackup completions zsh > /usr/local/share/zsh/site-functions/_obbackup")]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Print the manual page of this program or of one of its commands
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup man | man -l -
  obbackup man restore | man -l -
  obbackup man > /usr/local/share/man/man1/obbackup.1")]
pub struct Man {
    /// The command, such as `restore` or `storage df`
    pub command: Vec<String>,
}

/// The words of a type of the library.
pub fn words<T>(words: impl Iterator<Item = &'static str>) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = obbackup::error::Error> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| word.parse::<T>())
}

fn compression() -> impl TypedValueParser<Value = Compression> {
    PossibleValuesParser::new(["zstd", "gzip"]).map(|word| match word.as_str() {
        "gzip" => Compression::Gzip,
        _ => Compression::Zstd,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_with_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path}");
            let leaf = command.get_subcommands().next().is_none();
            if leaf {
                let examples = command.get_after_long_help().map(ToString::to_string);
                let examples = examples.unwrap_or_default();
                assert!(examples.starts_with("Examples:\n"), "{path}");
                for line in examples.lines().filter(|line| line.starts_with("  ")) {
                    let line = line
                        .split(" | ")
                        .next()
                        .unwrap()
                        .split(" > ")
                        .next()
                        .unwrap();
                    let words = line.trim().split(' ').map(|word| word.trim_matches('\''));
                    // A quoted label of several words is one argument; any one of them does here.
                    let words: Vec<_> = words
                        .filter(|word| !["the", "price", "change", "3", "*"].contains(word))
                        .collect();
                    assert!(Arguments::try_parse_from(&words).is_ok(), "{line}");
                }
            }
            for argument in command
                .get_arguments()
                .filter(|argument| !argument.is_hide_set())
            {
                assert!(
                    argument.get_help().is_some(),
                    "{path} {}",
                    argument.get_id()
                );
            }
            command
                .get_subcommands()
                .for_each(|command| check(command, &path));
        }
        let command = Arguments::command();
        command
            .get_subcommands()
            .for_each(|command| check(command, "obbackup"));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "list --month 3",
            "list --year 2026 --day 3",
            "list --year 2026 --month 13",
            "list --type nightly",
            "backup --only databse",
            "backup --neutralize",
            "restore",
            "restore latest --no-safety-backup --to-database x",
            "undo latest",
            "undo --detach",
            "undo --yes --detach --dry-run",
            "restore latest --in-place --to-database x",
            "restore latest --detach",
            "restore latest --to-database x --yes --detach",
            "-q -v list",
            "storage",
            "frobnicate",
            "completions tcsh-like",
        ] {
            let words = std::iter::once("obbackup").chain(line.split(' '));
            let error = Arguments::try_parse_from(words).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
        let parsed =
            Arguments::try_parse_from(["obbackup", "backup", "--only", "database,sources"]);
        let Command::Backup(backup) = parsed.unwrap().command else {
            panic!("another command");
        };
        assert_eq!(backup.only, [Part::Database, Part::Sources]);
    }
}
