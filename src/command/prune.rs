//! Giving back the room of what no backup needs.

use chrono::{TimeDelta, Utc};

use super::tenant;
use crate::config::retention::RetentionSection;
use crate::error::Result;
use crate::format::id::random_id;
use crate::format::record::{LeaseMode, Run};
use crate::instance::Instance;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::glance::Rooms;
use crate::repository::identity::Worker;
use crate::repository::prune::{PruneOptions, Pruned};

/// What the configuration says of pruning; `grace` overrides it.
pub fn options(retention: &RetentionSection, grace: Option<TimeDelta>) -> PruneOptions {
    PruneOptions {
        grace: grace.unwrap_or_else(|| retention.grace()),
        repack_above_percent: retention.repack_above_percent(),
        now: Utc::now(),
    }
}

/// Says what pruning would do, and changes nothing.
pub fn plan(
    repository: &Repository,
    options: &PruneOptions,
    progress: &dyn Progress,
) -> Result<Pruned> {
    repository.until_stopped(progress, || repository.prune_plan(options, progress))
}

/// Prunes, and records the run. `instance` is whoever asks for it; the whole repository is pruned.
pub fn run(
    instance: Option<&Instance>,
    repository: &Repository,
    options: &PruneOptions,
    progress: &dyn Progress,
) -> Result<Pruned> {
    repository.until_stopped(progress, || {
        let started_at = Utc::now();
        let before = repository.glance_to_write(Rooms::Small)?;
        if let Some(instance) = instance {
            before.check_tenure(tenant(instance))?;
        }
        let host = instance.map_or(&Worker::this().host, |instance| &instance.host);
        let id = instance.map_or("", |instance| instance.id.as_str());
        repository.storage().release_reserve()?;
        let lock = before.lock(LeaseMode::Exclusive, id, "prune")?;
        let left = repository.storage().clear_remains()?;
        let mut pruned = repository.prune(&lock, options, progress)?;
        pruned.freed_bytes += left;
        repository.record(&Run::ended(random_id(8)?, "prune", id, host, started_at))?;
        repository.storage().hold_reserve()?;
        Ok(pruned)
    })
}
