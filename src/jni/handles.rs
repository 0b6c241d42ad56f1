//! Handles: numbers that stand for opened workplaces, so that no number that Java sends can do harm.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::exception::Failure;
use super::workplace::Workplace;
use crate::error::{Error, ErrorKind, Result};

/// How often what somebody still waits for is given up, while a handle is being closed.
const LOOK: Duration = Duration::from_millis(100);

/// All open handles of this copy of the library.
pub struct Handles {
    state: Mutex<State>,
    /// A call has ended.
    left: Condvar,
}

#[derive(Default)]
struct State {
    /// The handle opened last.
    last: i64,
    open: HashMap<i64, Entry>,
}

struct Entry {
    workplace: Arc<Workplace>,
    /// Calls that are in it now.
    calls: usize,
    closing: bool,
}

impl Handles {
    pub fn new() -> Self {
        Self {
            state: Mutex::default(),
            left: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic happens between the parts of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for `workplace` that was never given out before.
    pub fn open(&self, workplace: Workplace) -> Result<i64> {
        let mut state = self.lock();
        if state.last == 0 {
            // From a random place on: a handle of another copy of the library is none of ours.
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(|error| {
                Error::new(ErrorKind::Failure, "no random number").source(error)
            })?;
            state.last = i64::from_le_bytes(random) & (i64::MAX >> 1) | 1;
        }
        state.last += 1;
        let handle = state.last;
        let entry = Entry {
            workplace: Arc::new(workplace),
            calls: 0,
            closing: false,
        };
        state.open.insert(handle, entry);
        Ok(handle)
    }

    /// Enters the workplace for one call; it stays open until the call is dropped.
    pub fn enter(&self, handle: i64) -> Result<Call<'_>, Failure> {
        let mut state = self.lock();
        match state.open.get_mut(&handle) {
            Some(entry) if !entry.closing => {
                entry.calls += 1;
                Ok(Call {
                    handles: self,
                    handle,
                    workplace: entry.workplace.clone(),
                })
            }
            _ => Err(Failure::Stale),
        }
    }

    /// Lets no call in any more, asks those that are inside to stop, and waits until they have left. A
    /// handle that is closed already, or never was one, is none of our concern.
    pub fn close(&self, handle: i64) {
        let mut state = self.lock();
        if let Some(entry) = state.open.get_mut(&handle) {
            entry.close();
        }
        while let Some(entry) = state.open.get(&handle).filter(|entry| entry.calls > 0) {
            entry.workplace.give_up_waiting();
            state = self.wait(state, LOOK);
        }
        state.open.remove(&handle);
    }

    /// Until a call has ended, but no longer than `at_most`.
    fn wait<'s>(&self, state: MutexGuard<'s, State>, at_most: Duration) -> MutexGuard<'s, State> {
        let waited = self.left.wait_timeout(state, at_most);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Closes all of them. `Failure` where a call is still inside when `patience` is over, naming it.
    pub fn close_all(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        state.open.values_mut().for_each(Entry::close);
        loop {
            state.open.retain(|_, entry| entry.calls > 0);
            let rest = deadline.saturating_duration_since(Instant::now());
            if state.open.is_empty() || rest.is_zero() {
                break;
            }
            let entries = state.open.values();
            entries.for_each(|entry| entry.workplace.give_up_waiting());
            state = self.wait(state, rest.min(LOOK));
        }
        let Some(entry) = state.open.values().next() else {
            return Ok(());
        };
        let doing = entry.workplace.operation().name();
        Err(Error::new(
            ErrorKind::Failure,
            format!(
                "{} has not stopped within {} seconds",
                doing.unwrap_or("a call"),
                patience.as_secs_f32()
            ),
        )
        .hint("A storage or a server does not answer; its threads end when it does."))
    }
}

impl Entry {
    fn close(&mut self) {
        self.closing = true;
        self.workplace.stop();
    }
}

/// A call that is inside of a workplace, or a thread that works for it.
pub struct Call<'a> {
    handles: &'a Handles,
    handle: i64,
    workplace: Arc<Workplace>,
}

impl Deref for Call<'_> {
    type Target = Workplace;

    fn deref(&self) -> &Workplace {
        &self.workplace
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut state = self.handles.lock();
        if let Some(entry) = state.open.get_mut(&self.handle) {
            entry.calls -= 1;
        }
        self.handles.left.notify_all();
    }
}
