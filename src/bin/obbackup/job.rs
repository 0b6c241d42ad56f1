//! A restore or an undo as a job: others see how it goes, and the page stands in for the application meanwhile.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use obbackup::command::restore::Control;
use obbackup::error::{Error, ErrorKind, IoContext, Result};
use obbackup::instance::Instance;
use obbackup::job::{
    About, Draw, Job, Launch, Launched, Outcome as Ended, Place, Shown, Status, Verb,
};
use obbackup::page::{self, Listening, OwnPort, Ports, Site, StandIn};
use obbackup::progress::Progress;
use obbackup::tomcat::{Application, Tomcat, own_unit};

use crate::Outcome;
use crate::output::{Output, safe};
use crate::session::Session;

/// How long the page on a port of its own stays after the end.
const LAST_LOOK: Duration = Duration::from_secs(5);
/// Tomcat's usual port.
const DEFAULT_PORT: u16 = 8080;

/// The instance, what brings it back, and what runs it.
pub struct Request<'a> {
    pub instance: &'a Instance,
    pub about: About,
    pub tomcat: Option<&'a Tomcat>,
    /// The job that another process has announced.
    pub id: Option<&'a str>,
}

/// Does `work` as a job of its own: with its status for others, and with the page on Tomcat's ports while that is down.
pub fn run<T>(
    session: &Session,
    request: &Request<'_>,
    work: impl FnOnce(Control<'_>, &dyn Progress) -> Result<T>,
) -> Result<T> {
    if request.id.is_some() {
        detach_from_session()?;
    }
    let place = Place::of(request.instance);
    let id = request
        .id
        .map_or_else(Place::new_id, |id| Ok(id.to_owned()))?;
    let context_path = context_path(request.instance, request.tomcat);
    let files = session.status_files(request.instance)?;
    let links = page::proxy_links(&files.page, &context_path);
    let draw: Arc<Draw> = Arc::new(move |status: &Status| page::drawn(status, &links));
    let ports = ports(session, request.tomcat)?;
    let (listening, note) = ports.bind_own();
    let shown = Shown {
        files: Some((files, draw)),
        page_port: listening.as_ref().map(Listening::port),
    };
    let job = Job::begin(&place, &id, request.about.clone(), shown)?;
    let http_port = request.tomcat.and_then(Tomcat::http_port);
    let own_port = OwnPort::new(&context_path, &job, http_port.unwrap_or(DEFAULT_PORT))?;
    let done = session.work(|progress| {
        let watched = job.watch(progress);
        if let Some(warning) = note {
            watched.warn(&warning);
        }
        if let Some(listening) = listening {
            let opened = own_port.open(listening, &job);
            opened.unwrap_or_else(|error| watched.warn(&error.to_string()));
        }
        let site = Arc::new(Site::new(&context_path, job.board())?);
        let stand_in = request
            .tomcat
            .map(|tomcat| StandIn::new(tomcat, &job, site, &ports, &own_port));
        let control = Control {
            application: stand_in.as_ref().map(|it| it as &dyn Application),
            ..Control::default()
        };
        work(control, &watched)
    });
    job.finish(match &done {
        Ok(_) => Ended::restored(&request.about),
        Err(error) => Ended::failed(error),
    })?;
    if own_port.is_open() {
        // Whoever follows there gets to see the end.
        thread::sleep(LAST_LOOK);
    }
    done
}

/// Where the page can be.
pub fn ports(session: &Session, tomcat: Option<&Tomcat>) -> Result<Ports> {
    let connectors = tomcat.map(Tomcat::connectors).unwrap_or_default();
    Ok(Ports::of(connectors, &session.restore_section()?))
}

/// What a plan says of the page.
pub fn page_note(session: &Session, tomcat: Option<&Tomcat>) -> Result<String> {
    Ok(match ports(session, tomcat)?.found() {
        Ok(found) => format!("the page that people see is {found}"),
        Err(error) => format!("the page that people see: {error}"),
    })
}

fn context_path(instance: &Instance, tomcat: Option<&Tomcat>) -> String {
    tomcat.map_or_else(
        || format!("/{}", instance.context_name),
        |tomcat| tomcat.context_path().to_owned(),
    )
}

/// A session of its own, which no terminal's end and no signal to the parent's group reaches.
fn detach_from_session() -> Result<()> {
    match rustix::process::setsid() {
        // A service has one already.
        Ok(_) | Err(rustix::io::Errno::PERM) => Ok(()),
        Err(error) => Err(error).io_context(|| "cannot make a session".to_owned()),
    }
}

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    launched: Launched,
    /// The page, as a path on the application's own server.
    status_path: String,
    /// The page on a port of its own, all through the restore.
    page_port: Option<u16>,
}

/// Begins this very command again, in a process that outlives this one.
pub fn detach(
    session: &Session,
    verb: Verb,
    instance: &Instance,
    tomcat: Option<&Tomcat>,
) -> Result<Outcome> {
    let place = Place::of(instance);
    if place.is_busy()? {
        return Err(Error::new(
            ErrorKind::Locked,
            "another restore of this instance is running",
        )
        .hint("Follow it with `obbackup status --follow`."));
    }
    let id = Place::new_id()?;
    // In its place, because behind `--` nothing is an option any more.
    let job = OsString::from(format!("--job={id}"));
    // Tomcat's service takes along whatever it started, and this process may be one of those.
    let in_service = tomcat
        .and_then(Tomcat::unit)
        .is_some_and(|unit| own_unit().as_deref() == Some(unit));
    let mut arguments = Vec::new();
    if !in_service && !session.output.json {
        // What a service says is for people, in its journal; this one is heard by `Launch` alone.
        arguments.push(OsString::from("--json"));
    }
    arguments.extend(std::env::args_os().skip(1).map(|word| {
        if word == "--detach" {
            job.clone()
        } else {
            word
        }
    }));
    let launch = Launch {
        verb,
        program: std::env::current_exe().io_context(|| "cannot find this program".to_owned())?,
        arguments,
        environment: std::env::vars_os().collect(),
        directory: std::env::current_dir().unwrap_or_else(|_| Path::new("/").to_owned()),
    };
    let launched = launch.run(&place, &id, in_service)?;
    let document = Document {
        status_path: format!("{}/", context_path(instance, tomcat)),
        page_port: place.status(&id)?.and_then(|status| status.page_port),
        launched,
    };
    session.output.show(&document, |_| text(&document))?;
    Ok(Outcome::Good)
}

fn text(document: &Document) -> String {
    let launched = &document.launched;
    let mut fields = vec![
        ("Job", launched.job.clone()),
        ("Status", safe(&launched.status_file.display().to_string())),
        ("Log", safe(&launched.log_file.display().to_string())),
        (
            "Page",
            format!("{}?token={}", document.status_path, launched.token),
        ),
    ];
    fields.extend(launched.unit.clone().map(|unit| ("Service", unit)));
    Output::fields(&fields) + "\nFollow it: obbackup status --follow\n"
}
