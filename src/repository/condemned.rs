//! Packs that are to be deleted: named first, deleted when a time of grace is over and they still are not needed.
//!
//! # Why nothing is lost, even where a lease was not seen
//!
//! Leases keep a remover from working beside a writer. They can fail: a listing of a distant storage may be old, a
//! machine may have slept beyond its lease. Then only this holds:
//!
//! 1. A writer looks at what is condemned before it believes that a pack is there, and counts chunks that lie in
//!    condemned packs alone as absent: it stores them again. The new packs carry a salt, so that none of them can have
//!    the name of a condemned one.
//! 2. When all of its chunks are stored, it looks again. What it relies on and was condemned meanwhile is stored again
//!    too; what is gone altogether makes the backup fail. Then, within the time of a lease, it writes its manifest.
//! 3. A remover names packs that it finds unneeded, lets the grace pass, and looks at all manifests anew. It deletes
//!    those that still are not needed; the others it pardons.
//!
//! Let a manifest need pack P. Was P named before the writer's last look, then the writer stored those chunks again and
//! does not need P. Was it named after that look, then the remover's second look comes later than the look by the
//! grace, so later than the manifest, and pardons P. This asks of clocks and listings only that they be wrong by less
//! than the grace. Where a lease is surely seen the grace may be nothing: then no writer is between its two looks.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::Repository;
use super::identity::Worker;
use crate::error::{ErrorKind, Result};
use crate::format::id::{Digest256, random_id};
use crate::format::record::Condemnation;
use crate::format::{path, sealed};
use crate::storage::Object;

/// All packs that are condemned.
#[derive(Debug, Clone, Default)]
pub struct Condemned {
    lists: Vec<Condemnation>,
    since: HashMap<Digest256, DateTime<Utc>>,
}

impl Condemned {
    /// Whether nothing is condemned.
    pub fn is_empty(&self) -> bool {
        self.since.is_empty()
    }

    /// Whether the pack is.
    pub fn contains(&self, pack: &Digest256) -> bool {
        self.since.contains_key(pack)
    }

    /// Whether the pack's grace is over. One that was condemned in the future, by a wrong clock, has all of it
    /// before it.
    pub fn is_due(&self, pack: &Digest256, grace: TimeDelta, now: DateTime<Utc>) -> bool {
        self.since
            .get(pack)
            .is_some_and(|since| *since <= now && now - *since >= grace)
    }

    /// Those that were condemned after `now`.
    pub(super) fn dated_after(&self, now: DateTime<Utc>) -> HashSet<Digest256> {
        let future = self.since.iter().filter(|(_, since)| **since > now);
        future.map(|(pack, _)| *pack).collect()
    }

    fn add(&mut self, list: Condemnation) {
        for pack in &list.packs {
            // The later time where two lists name it: it gives more grace.
            let since = self.since.entry(*pack).or_insert(list.at);
            *since = list.at.max(*since);
        }
        self.lists.push(list);
    }
}

impl Repository {
    /// What is condemned now.
    ///
    /// A list that cannot be read condemns nothing: no remover can act on it either.
    pub fn condemned(&self) -> Result<Condemned> {
        let listed = self.room(path::CONDEMNED)?;
        Ok(self.condemned_among(&listed, &Condemned::default())?.0)
    }

    /// What the lists among `listed` condemn, with what is `known` already, as no list ever changes; and whether all of
    /// them were still there when they were read. Where one was not, what it named may be gone since the listing.
    pub(super) fn condemned_among(
        &self,
        listed: &[Object],
        known: &Condemned,
    ) -> Result<(Condemned, bool)> {
        let mut condemned = Condemned::default();
        let mut unknown = Vec::new();
        for object in listed {
            let is_it = |list: &&Condemnation| path::condemnation(list.at, &list.id) == object.path;
            match known.lists.iter().find(is_it) {
                Some(list) => condemned.add(list.clone()),
                None => unknown.push(object),
            }
        }
        let mut all_there = true;
        for read in self.each(&unknown, |object| {
            self.read_proven(&object.path, sealed::unseal)
        }) {
            match read {
                Ok(list) => condemned.add(list),
                Err(error) if error.kind() == ErrorKind::Damaged => {}
                Err(error) if error.kind() == ErrorKind::NotFound => all_there = false,
                Err(error) => return Err(error),
            }
        }
        Ok((condemned, all_there))
    }

    /// Condemns `packs`; durable when this returns.
    pub(super) fn condemn(
        &self,
        condemned: &mut Condemned,
        packs: Vec<Digest256>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        if packs.is_empty() {
            return Ok(());
        }
        let list = Condemnation {
            id: random_id(8)?,
            at,
            by: Worker::this().name(),
            packs,
        };
        self.storage()
            .create(&path::condemnation(at, &list.id), &sealed::seal(&list)?)?;
        condemned.add(list);
        Ok(())
    }

    /// Strikes from the lists what `is_settled`: pardoned, or gone. A list that is left with something is written
    /// anew, with its old time, before it is removed.
    pub(super) fn settle(
        &self,
        condemned: &mut Condemned,
        is_settled: impl Fn(&Digest256) -> bool,
    ) -> Result<()> {
        let lists = std::mem::take(condemned).lists;
        for list in lists {
            let (settled, open): (Vec<_>, Vec<_>) =
                list.packs.iter().partition(|pack| is_settled(pack));
            if settled.is_empty() {
                condemned.add(list);
                continue;
            }
            self.condemn(condemned, open, list.at)?;
            match self
                .storage()
                .delete(&path::condemnation(list.at, &list.id))
            {
                // It may be deleted later; what it names too much is only stored again.
                Err(error) if error.kind() == ErrorKind::Denied => {}
                result => result?,
            }
        }
        Ok(())
    }
}
