//! The schedules of a workplace: listed, changed, and run by a thread of this process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use serde::Serialize;

use super::handles::Call;
use super::operation::{Polled, Slot};
use super::requests::{Schedule, changed};
use super::workplace::Workplace;
use crate::command::document::to_json;
use crate::command::nights::{self, Place};
use crate::command::schedules;
use crate::error::{Error, Result};

/// What the operation of the thread is called.
const OPERATION: &str = "schedules";
const PAUSE: Duration = Duration::from_millis(20);

/// The thread that runs the schedules, if there is one.
#[derive(Default)]
pub struct Schedules {
    slot: Slot,
    is_started: AtomicBool,
    is_stopping: AtomicBool,
    /// Why the thread ended by itself.
    failure: Mutex<Option<String>>,
}

impl Schedules {
    /// Asks the thread to end.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }
}

/// The thread's place. It is inside of the workplace like a call: closing the handle stops it and waits
/// for it. However it ends, the workplace learns of that.
struct Running(Call<'static>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.schedules().is_started.store(false, Ordering::SeqCst);
    }
}

impl Running {
    fn work(&self, nights: &Place) {
        let here = self.0.schedules();
        let outcome = here.slot.run(OPERATION, |progress| {
            nights::run(nights, &here.is_stopping, progress)
        });
        *here.failure.lock().unwrap_or_else(PoisonError::into_inner) =
            outcome.err().map(|error| error.to_string());
    }
}

/// Does what is asked for. Every answer but that of `next` is the list as it is then.
pub fn answer(place: Call<'static>, request: Schedule) -> Result<String> {
    match request {
        Schedule::List {} => list(&place),
        Schedule::Next { name, count } => to_json(&schedules::next(
            &place.instance()?,
            &place.configuration()?,
            place.zone(),
            Utc::now(),
            name.as_deref(),
            usize::from(count),
        )?),
        Schedule::Set { name, schedule } => {
            let mut file = place.configuration_file()?;
            let known = file.configuration().schedule.get(&name).cloned();
            if known.is_none() && !schedule.contains_key("cron") {
                return Err(schedules::absent(&name).hint("A new one needs a cron expression."));
            }
            let section = changed(&known.unwrap_or_default(), schedule)?;
            nights::set_schedule(&mut file, &name, &section, place.zone())?;
            file.save(place.instance()?.owner)?;
            list(&place)
        }
        Schedule::Remove { name } => {
            let mut file = place.configuration_file()?;
            file.remove_schedule(&name)?;
            file.save(place.instance()?.owner)?;
            list(&place)
        }
        Schedule::Run {} => run(place),
        Schedule::Stop {} => {
            let here = place.schedules();
            here.stop();
            while here.is_started.load(Ordering::SeqCst) {
                std::thread::sleep(PAUSE);
            }
            list(&place)
        }
    }
}

fn list(place: &Workplace) -> Result<String> {
    #[derive(Serialize)]
    struct Answer {
        #[serde(flatten)]
        listing: schedules::Listing,
        /// Whether a thread of this workplace runs them, or waits for another process to end that does.
        started_here: bool,
        /// What the thread is doing.
        progress: Polled,
        /// Why it ended by itself.
        failure: Option<String>,
    }
    let configuration = place.configuration()?;
    let known = nights::schedules(&configuration, place.zone())?;
    let listing = schedules::list(&place.instance()?, &configuration, &known, Utc::now())?;
    let here = place.schedules();
    to_json(&Answer {
        listing,
        started_here: here.is_started.load(Ordering::SeqCst),
        progress: here.slot.poll(),
        failure: here
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone(),
    })
}

/// Starts the thread, unless there is one.
fn run(place: Call<'static>) -> Result<String> {
    let nights = Place {
        source_path: place.instance()?.source_path,
        configuration_path: place.configuration_file()?.path().to_owned(),
        environment: place.environment().clone(),
        surroundings: place.surroundings()?,
        zone: place.zone(),
    };
    let here = place.schedules();
    if here.is_started.swap(true, Ordering::SeqCst) {
        return list(&place);
    }
    here.is_stopping.store(false, Ordering::SeqCst);
    let answer = list(&place);
    let running = Running(place);
    std::thread::Builder::new()
        .name("obbackup-nights".to_owned())
        .spawn(move || running.work(&nights))
        .map_err(|error| Error::io("cannot start a thread", error))?;
    answer
}
