//! `schedule`: when backups are taken by themselves, and the runner that takes them.

use std::fmt::Write as _;
use std::num::NonZeroU16;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::{Args, Subcommand};
use comfy_table::Cell;
use serde::Serialize;

use obbackup::command::nights;
use obbackup::command::schedules::{self, Listing, Upcoming, UpcomingOf, absent};
use obbackup::command::service::{self, Program, Service};
use obbackup::config::schedule::ScheduleSection;
use obbackup::error::{Error, Result};
use obbackup::format::manifest::Part;
use obbackup::tomcat::systemd::Systemd;

use crate::Outcome;
use crate::arguments::words;
use crate::interrupt;
use crate::output::{Output, safe};
use crate::session::{Session, zone};

/// Variables that tell the program where things are, and hold no secret.
const VARIABLES: &[&str] = &["CATALINA_BASE", "CATALINA_HOME", "PGPASSFILE"];
const NO_SCHEDULE: &str =
    "There is no schedule. Add one: obbackup schedule set nightly --cron '0 3 * * *'\n";
/// How many coming runs are shown.
const SHOWN: usize = 5;

/// Take backups by themselves
#[derive(Debug, Subcommand)]
pub enum Schedule {
    List(List),
    Next(Next),
    Set(Set),
    Remove(Remove),
    Run(Run),
    Install(Install),
}

/// List the schedules with their last runs and the next five, in their time zones and in UTC
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup schedule list
  obbackup schedule list --json")]
pub struct List {}

/// Show the next five runs, in the schedule's time zone and in UTC
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup schedule next
  obbackup schedule next nightly --json")]
pub struct Next {
    /// Only those of this schedule
    pub name: Option<String>,
}

/// Add a schedule to the configuration, or change it
///
/// What is not named stays as it is. Comments in the configuration file stay too.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup schedule set nightly --cron '0 3 * * *' --time-zone Europe/Madrid
  obbackup schedule set nightly --label nightly --random-delay 15
  obbackup schedule set nightly --disable")]
pub struct Set {
    /// Its name
    pub name: String,

    /// Minute, hour, day of the month, month, day of the week, as in a crontab; or @daily and the like
    #[arg(long, value_name = "EXPRESSION")]
    pub cron: Option<String>,

    /// The time zone of that [default: the machine's]
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,

    /// The repository, a name from the configuration [default: the default one]
    #[arg(long, value_name = "NAME|URL")]
    pub to: Option<String>,

    /// Only these parts, separated by commas
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_parser = words::<Part>(Part::ALL.iter().map(|it| it.word())))]
    pub only: Option<Vec<Part>>,

    /// A text to know its backups by
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,

    /// Start each run up to so many minutes later
    #[arg(long, value_name = "MINUTES")]
    pub random_delay: Option<u16>,

    /// Wait so many minutes for other work on the repository before a run is left out
    #[arg(long, value_name = "MINUTES")]
    pub wait: Option<u16>,

    /// Try a run that failed so many times again, until its next moment [default: 3]
    #[arg(long, value_name = "N")]
    pub retries: Option<u16>,

    /// Wait so many minutes before the first of these, and each time twice as long [default: 10]
    #[arg(long, value_name = "MINUTES")]
    pub retry_after: Option<NonZeroU16>,

    /// Let it run
    #[arg(long, conflicts_with = "disable")]
    pub enable: bool,

    /// Keep it, but do not let it run
    #[arg(long)]
    pub disable: bool,
}

/// Take a schedule out of the configuration
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup schedule remove nightly")]
pub struct Remove {
    /// Its name
    pub name: String,
}

/// Run the schedules until it is stopped
///
/// Takes each backup at its time, one at a time; a run that was missed is caught up once. Where another
/// process runs the schedules already, such as the web application, it waits for that to end and takes
/// over. SIGTERM and Ctrl-C end it within five seconds: a backup is broken off, and taken when the schedules
/// are run again. Changes of the configuration are seen by themselves.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup schedule run
  obbackup schedule run --once --quiet")]
pub struct Run {
    /// Run what is due now and end, for a crontab
    #[arg(long)]
    pub once: bool,
}

/// Have the machine run the schedules
///
/// Writes and enables a service of systemd that runs `obbackup schedule run` as the owner of the instance.
/// Where there is no systemd, prints a line for that user's crontab. To be run again after a local
/// repository was added, since the service may write to those alone that it knows.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup schedule install --dry-run
  obbackup schedule install")]
pub struct Install {
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Also where systemd does not run this machine: print the unit
    #[arg(long, requires = "dry_run")]
    pub systemd: bool,
}

pub fn run(session: &Session, arguments: Schedule) -> Result<Outcome> {
    match arguments {
        Schedule::List(_) => list(session),
        Schedule::Next(arguments) => next(session, &arguments),
        Schedule::Set(arguments) => set(session, arguments),
        Schedule::Remove(arguments) => remove(session, &arguments),
        Schedule::Run(arguments) => runner(session, &arguments),
        Schedule::Install(arguments) => install(session, &arguments),
    }
}

/// The schedules with the runs ahead of those that are enabled.
#[derive(Serialize)]
struct ListingAhead {
    #[serde(flatten)]
    listing: Listing,
    /// The next five of each.
    upcoming: Vec<UpcomingOf>,
}

fn list(session: &Session) -> Result<Outcome> {
    let (instance, configuration) = (session.instance()?, session.configuration()?);
    let now = Utc::now();
    let known = nights::schedules(&configuration, zone())?;
    let listing = ListingAhead {
        listing: schedules::list(&instance, &configuration, &known, now)?,
        upcoming: known
            .into_iter()
            .filter(|schedule| schedule.is_enabled)
            .map(|schedule| schedules::upcoming(schedule, &instance, now, SHOWN))
            .collect(),
    };
    session
        .output
        .show(&listing, |output| listing_text(output, &listing))?;
    Ok(Outcome::Good)
}

fn listing_text(output: &Output, ListingAhead { listing, upcoming }: &ListingAhead) -> String {
    if listing.schedules.is_empty() {
        return NO_SCHEDULE.to_owned();
    }
    let rows = listing.schedules.iter().map(|schedule| {
        let wall = schedule.time_zone.parse().unwrap_or(Tz::UTC);
        let next = schedule
            .next
            .as_ref()
            .map(|next| minute(next.starts_at, wall));
        let last = schedule
            .last
            .as_ref()
            .map(|last| format!("{} {}", minute(last.finished_at, wall), last.outcome));
        vec![
            Cell::new(&schedule.name),
            Cell::new(safe(&schedule.cron)),
            Cell::new(schedule.time_zone),
            Cell::new(safe(&schedule.repository)),
            Cell::new(last.unwrap_or_else(|| "never".to_owned())),
            Cell::new(next.unwrap_or_else(|| "disabled".to_owned())),
        ]
    });
    let header = ["NAME", "CRON", "TIME ZONE", "REPOSITORY", "LAST", "NEXT"];
    let mut text = output.table(&header, &[], rows.collect());
    if !upcoming.is_empty() {
        let _ = write!(text, "\n{}", upcoming_text(output, upcoming));
    }
    match &listing.runner {
        Some(runner) => {
            let _ = writeln!(text, "\nRun by {runner}.");
        }
        None => text.push_str("\nNo process runs them here now: see `obbackup doctor`.\n"),
    }
    text
}

fn minute(moment: DateTime<Utc>, zone: Tz) -> String {
    moment
        .with_timezone(&zone)
        .format("%Y-%m-%d %H:%M %Z")
        .to_string()
}

fn next(session: &Session, arguments: &Next) -> Result<Outcome> {
    let upcoming = schedules::next(
        &session.instance()?,
        &session.configuration()?,
        zone(),
        Utc::now(),
        arguments.name.as_deref(),
        SHOWN,
    )?;
    session.output.show(&upcoming, |output| {
        upcoming_text(output, &upcoming.schedules)
    })?;
    Ok(Outcome::Good)
}

fn upcoming_text(output: &Output, upcoming: &[UpcomingOf]) -> String {
    if upcoming.is_empty() {
        return NO_SCHEDULE.to_owned();
    }
    let mut rows = Vec::new();
    for schedule in upcoming {
        let wall = schedule.time_zone.parse().unwrap_or(Tz::UTC);
        for moment in &schedule.runs {
            let starts_at = moment.coming.starts_at;
            rows.push(vec![
                Cell::new(&schedule.name),
                Cell::new(
                    starts_at
                        .with_timezone(&wall)
                        .format("%a %Y-%m-%d %H:%M:%S %Z"),
                ),
                Cell::new(starts_at.format("%Y-%m-%d %H:%M:%S")),
                Cell::new(if schedule.enabled { "" } else { "disabled" }),
            ]);
        }
    }
    output.table(&["NAME", "LOCAL TIME", "UTC", ""], &[], rows)
}

fn set(session: &Session, arguments: Set) -> Result<Outcome> {
    let instance = session.instance()?;
    let name = arguments.name.clone();
    let mut file = session
        .configuration_file_to_write()?
        .ok_or_else(|| absent(&name))?;
    let known = file.configuration().schedule.get(&name).cloned();
    if known.is_none() && arguments.cron.is_none() {
        return Err(absent(&name).hint("A new one needs --cron."));
    }
    let section = changed(known.unwrap_or_default(), arguments);
    let schedule = nights::set_schedule(&mut file, &name, &section, zone())?;
    file.save(instance.owner)?;
    let upcoming = Upcoming {
        schedules: vec![schedules::upcoming(schedule, &instance, Utc::now(), 1)],
    };
    session.output.show(&upcoming, |output| {
        let mut text = upcoming_text(output, &upcoming.schedules);
        if let Ok(None) = nights::runner(&instance) {
            text.push_str(
                "\nNo process runs the schedules here now: see `obbackup schedule install`.\n",
            );
        }
        text
    })?;
    Ok(Outcome::Good)
}

fn changed(mut section: ScheduleSection, arguments: Set) -> ScheduleSection {
    if let Some(cron) = arguments.cron {
        section.cron = cron;
    }
    if let Some(only) = arguments.only {
        section.only = only.iter().map(|part| part.word().to_owned()).collect();
    }
    section.time_zone = arguments.time_zone.or(section.time_zone);
    section.repository = arguments.to.or(section.repository);
    section.label = arguments.label.or(section.label);
    section.random_delay_minutes = arguments.random_delay.or(section.random_delay_minutes);
    section.wait_minutes = arguments.wait.or(section.wait_minutes);
    section.retries = arguments.retries.or(section.retries);
    section.retry_minutes = arguments.retry_after.or(section.retry_minutes);
    section.enabled = match (arguments.enable, arguments.disable) {
        (true, _) => None,
        (_, true) => Some(false),
        _ => section.enabled,
    };
    section
}

fn remove(session: &Session, arguments: &Remove) -> Result<Outcome> {
    #[derive(Serialize)]
    struct Removed<'a> {
        removed: &'a str,
    }
    let instance = session.instance()?;
    let mut file = session
        .configuration_file_to_write()?
        .ok_or_else(|| absent(&arguments.name))?;
    file.remove_schedule(&arguments.name)?;
    file.save(instance.owner)?;
    let removed = Removed {
        removed: &arguments.name,
    };
    session
        .output
        .show(&removed, |_| format!("Removed: {}\n", removed.removed))?;
    Ok(Outcome::Good)
}

fn runner(session: &Session, arguments: &Run) -> Result<Outcome> {
    let place = session.place()?;
    let stop = interrupt::cancel_flag()?;
    interrupt::end_in_time(stop.clone())?;
    let terminal = session.terminal(stop.clone());
    if arguments.once {
        nights::run_once(&place, &stop, &terminal)?;
    } else {
        nights::run(&place, &stop, &terminal)?;
    }
    terminal.finish();
    Ok(Outcome::Good)
}

fn install(session: &Session, arguments: &Install) -> Result<Outcome> {
    let instance = session.instance()?;
    let program = Program {
        path: std::env::current_exe()
            .map_err(|error| Error::io("cannot tell where this program lies", error))?,
        configuration: match &session.global.config {
            Some(path) => Some(crate::session::absolute(path)?),
            None => None,
        },
        variables: VARIABLES
            .iter()
            .filter_map(|name| {
                let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
                Some(((*name).to_owned(), value))
            })
            .collect(),
    };
    let systemd = Systemd::running();
    let by_systemd = arguments.systemd || systemd.is_some();
    let configuration = session.configuration()?;
    if configuration.schedule.is_empty() {
        session.warn(
            "there is no schedule yet; add one: obbackup schedule set nightly --cron '0 3 * * *'",
        );
    }
    let service = service::plan(&instance, &configuration, &program, by_systemd)?;
    if let (Service::Systemd(unit), Some(systemd), false) = (&service, systemd, arguments.dry_run) {
        service::install(&instance, unit, &systemd)?;
    }
    session
        .output
        .show(&service, |_| service_text(&service, arguments.dry_run))?;
    Ok(Outcome::Good)
}

fn service_text(service: &Service, dry_run: bool) -> String {
    let mut text = String::new();
    match service {
        Service::Systemd(unit) if dry_run => {
            let _ = write!(text, "# {}\n{}", unit.path.display(), unit.text);
        }
        Service::Systemd(unit) => {
            let _ = writeln!(
                text,
                "Written, enabled and started: {}",
                unit.path.display()
            );
            let _ = writeln!(text, "See it: systemctl status {}", unit.name);
        }
        Service::Crontab { user, line } => {
            let _ = writeln!(
                text,
                "There is no systemd here. Add this line to the crontab of {user} (crontab -u {user} -e):\n\n{line}"
            );
        }
    }
    text
}
