//! `list`: the backups, newest first.

use std::fmt::Write as _;

use chrono::{DateTime, Local, Months, NaiveDate, NaiveTime, TimeZone, Utc};
use comfy_table::{Cell, Color};

use obbackup::command::list::{BackupSummary, ListOptions, Listing, list};
use obbackup::error::{Error, ErrorKind, Result};
use obbackup::format::age;
use obbackup::format::manifest::Status;

use crate::Outcome;
use crate::arguments::List;
use crate::output::{Output, counted, duration, local_minute, safe, size};
use crate::session::Session;

pub fn run(session: &Session, arguments: &List) -> Result<Outcome> {
    let (from, until) = match arguments.year {
        Some(year) => period(year, arguments.month, arguments.day, &Local)
            .map(|(from, until)| (Some(from), Some(until)))?,
        None => (None, None),
    };
    let instance = if arguments.all_instances {
        None
    } else {
        session.instance_if_any()?
    };
    let repository = session.repository()?;
    let options = ListOptions {
        instance: instance.map(|instance| instance.id),
        from,
        until,
        backup_type: arguments.backup_type,
    };
    let listing = list(&repository, &options)?;
    let narrowed = from.is_some() || arguments.backup_type.is_some();
    session.output.show(&listing, |output| {
        text(
            output,
            &listing,
            options.instance.is_none(),
            narrowed,
            Utc::now(),
        )
    })?;
    if !session.global.json {
        for damaged in &listing.damaged {
            session.warn(&format!("{}: {}", damaged.object, damaged.problem));
        }
    }
    Ok(Outcome::Good)
}

fn text(
    output: &Output,
    listing: &Listing,
    all_instances: bool,
    narrowed: bool,
    now: DateTime<Utc>,
) -> String {
    let mut text = String::new();
    if listing.backups.is_empty() {
        text.push_str(if narrowed {
            "No backup fits.\n"
        } else {
            "There is no backup yet. Take one: obbackup backup\n"
        });
    } else {
        let mut header = vec![
            "ID", "DATE", "AGE", "TYPE", "LABEL", "SIZE", "STORED", "DURATION", "STATUS",
        ];
        let wide = all_instances || output.verbose;
        if wide {
            header.push("INSTANCE");
        }
        let drilled = listing.backups.iter().any(|backup| backup.drill.is_some());
        if drilled {
            header.push("DRILLED");
        }
        let rows = listing
            .backups
            .iter()
            .map(|backup| row(output, backup, wide, drilled, now))
            .collect();
        text.push_str(&output.table(&header, &[2, 5, 6, 7], rows));
    }
    if listing.other_instances > 0 {
        let others = counted(listing.other_instances, "backup");
        let _ = writeln!(
            text,
            "
{others} of other instances: see --all-instances"
        );
    }
    text
}

fn row(
    output: &Output,
    backup: &BackupSummary,
    wide: bool,
    drilled: bool,
    now: DateTime<Utc>,
) -> Vec<Cell> {
    let status = status_text(backup.status, backup.pinned);
    let color = match backup.status {
        Status::Good => Color::Green,
        Status::Partial => Color::Yellow,
    };
    let mut row = vec![
        Cell::new(backup.id.short()),
        Cell::new(local_minute(backup.finished_at)),
        Cell::new(age(now, backup.finished_at)),
        Cell::new(backup.backup_type.word()),
        Cell::new(safe(backup.label.as_deref().unwrap_or_default())),
        Cell::new(size(backup.database_bytes + backup.files_bytes)),
        Cell::new(size(backup.stored_bytes)),
        Cell::new(duration(backup.duration_seconds)),
        output.colored(&status, color),
    ];
    if wide {
        row.push(Cell::new(safe(&format!(
            "{}@{}",
            backup.instance, backup.host
        ))));
    }
    if drilled {
        row.push(match &backup.drill {
            None => Cell::new(""),
            Some(drill) if drill.certificate.passed => Cell::new(age(now, drill.at)),
            Some(drill) => output.colored(&format!("failed {}", age(now, drill.at)), Color::Red),
        });
    }
    row
}

/// The status, with what keeps the backup from being forgotten.
pub fn status_text(status: Status, pinned: bool) -> String {
    if pinned {
        format!("{status}, pinned")
    } else {
        status.to_string()
    }
}

/// A year, a month or a day of `zone`: from its first moment until the next one's.
fn period<Z: TimeZone>(
    year: i32,
    month: Option<u32>,
    day: Option<u32>,
    zone: &Z,
) -> Result<(DateTime<Utc>, DateTime<Utc>)> {
    let first = NaiveDate::from_ymd_opt(year, month.unwrap_or(1), day.unwrap_or(1));
    let next = first.and_then(|first| match (month, day) {
        (_, Some(_)) => first.succ_opt(),
        (Some(_), None) => first.checked_add_months(Months::new(1)),
        (None, None) => first.checked_add_months(Months::new(12)),
    });
    let (Some(first), Some(next)) = (first, next) else {
        return Err(Error::new(ErrorKind::Usage, "there is no such day")
            .hint("Give --year, --month and --day as they stand in the calendar."));
    };
    Ok((begin(first, zone), begin(next, zone)))
}

/// The first moment of a day. Where daylight saving leaves midnight out, the day begins later.
fn begin<Z: TimeZone>(day: NaiveDate, zone: &Z) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    (0..=4)
        .find_map(|hours| {
            let local = midnight + chrono::Duration::hours(hours);
            zone.from_local_datetime(&local).earliest()
        })
        .map_or_else(|| midnight.and_utc(), |begin| begin.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::FixedOffset;

    #[test]
    fn periods_begin_and_end_with_local_days() {
        let zone = FixedOffset::east_opt(3600).unwrap();
        for (month, day, from, until) in [
            (None, None, "2025-12-31T23:00:00Z", "2026-12-31T23:00:00Z"),
            (
                Some(12),
                None,
                "2026-11-30T23:00:00Z",
                "2026-12-31T23:00:00Z",
            ),
            (
                Some(2),
                Some(28),
                "2026-02-27T23:00:00Z",
                "2026-02-28T23:00:00Z",
            ),
        ] {
            let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
            let period = period(2026, month, day, &zone).unwrap();
            assert_eq!(period, (time(from), time(until)));
        }
        assert!(period(2026, Some(2), Some(30), &zone).is_err());
    }

    #[test]
    fn an_empty_list_says_what_to_do() {
        let output = Output::new(false, false);
        let listing = Listing {
            backups: vec![],
            damaged: vec![],
            other_instances: 1,
        };
        let now = Utc::now();
        let shown = text(&output, &listing, false, false, now);
        assert!(
            shown.contains("obbackup backup") && shown.contains("1 backup of other"),
            "{shown}"
        );
        assert!(text(&output, &listing, false, true, now).starts_with("No backup fits."));
    }
}
