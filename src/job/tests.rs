//! A job writes what happens to it, where others find it.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::error::ErrorKind;
use crate::format::id::Digest256;
use crate::progress::{Recorded, Silent};

fn place(directory: &std::path::Path) -> Place {
    Place::at(directory, crate::config::Owner::of(directory).unwrap())
}

pub(crate) fn about() -> About {
    About {
        instance: "openbravo".to_owned(),
        backup: Some(Digest256::of(b"backup")),
        label: Some("before <the> change".to_owned()),
        taken_at: Utc::now(),
        verb: Verb::Restore,
    }
}

fn wait(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_is_reported_is_seen_by_others_and_passed_on() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path());
    let id = Place::new_id().unwrap();
    let files = place.status_files(None);
    let draw = |status: &Status| Drawn {
        page: format!("page {}", status.percent),
        state: format!("{:?}", status.stage),
    };
    let job = Job::begin(
        &place,
        &id,
        about(),
        Shown {
            files: Some((files.clone(), Arc::new(draw))),
            page_port: Some(8089),
        },
    )
    .unwrap();
    assert!(place.is_busy().unwrap());
    let first = place.last().unwrap().unwrap();
    assert_eq!(
        (first.job.as_str(), first.stage),
        (id.as_str(), Stage::Planning)
    );
    let error = Job::begin(&place, "x", about(), Shown::default())
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Locked);

    let inner = Recorded::default();
    let watched = job.watch(&inner);
    watched.stage("staging", Some(1000));
    watched.stage("database", Some(600));
    watched.advance(500);
    watched.warn("odd");
    assert_eq!(inner.stages(), ["staging", "database"]);
    assert_eq!(inner.done_bytes(), 500);
    // The thread that writes hears of one thing after another, and writes one file after another.
    wait(|| {
        let status = job.board().status();
        status.stage == Stage::Staging
            && status.activity.as_deref() == Some("database")
            && status.done_bytes == 500
            && status.percent == 55
            && status.warnings == ["odd"]
    });
    wait(|| std::fs::read_to_string(&files.page).unwrap() == "page 55");
    wait(|| std::fs::read_to_string(&files.state).unwrap() == "Staging");
    assert_eq!(
        files.page.metadata().unwrap().permissions().mode() & 0o777,
        0o644
    );

    job.finish(Outcome::restored(&about())).unwrap();
    // A child that another thread begins holds all files of this process until it is what it shall be.
    wait(|| !place.is_busy().unwrap());
    let last = place.last().unwrap().unwrap();
    assert_eq!(last.outcome.unwrap().verdict, Verdict::Restored);
    assert_eq!((last.stage, last.percent), (Stage::Done, 100));
    assert!(last.finished_at.is_some());
    let status = place.status_path(&id);
    for path in [
        status.clone(),
        place.log_path(&id),
        status.with_file_name("token"),
    ] {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let log = std::fs::read_to_string(place.log_path(&id)).unwrap();
    assert!(
        log.contains("database") && log.contains("warning: odd"),
        "{log}"
    );
    assert!(!log.contains(place.token(&id).unwrap().expose()));
}

#[test]
fn one_that_is_put_back_says_at_which_stage_and_why() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path());
    let job = Job::begin(&place, "1", about(), Shown::default()).unwrap();
    let watched = job.watch(&Silent);
    watched.stage(crate::tomcat::PROBING, None);
    job.trouble(&Error::new(ErrorKind::Failure, "it answers 500"));
    watched.stage("putting back", None);
    let error = Error::new(ErrorKind::RolledBack, "put back").hint("Again.");
    job.finish(Outcome::failed(&error)).unwrap();
    let last = place.last().unwrap().unwrap();
    let expected = PutBack {
        at: Stage::Probing,
        because: "it answers 500".to_owned(),
    };
    assert_eq!(last.put_back, Some(expected));
    let outcome = last.outcome.unwrap();
    assert_eq!((outcome.verdict, outcome.exit_code), (Verdict::PutBack, 16));
    assert_eq!(outcome.hint.as_deref(), Some("Again."));
}

#[test]
fn one_whose_process_is_gone_does_not_look_as_if_it_ran() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path());
    let job = Job::begin(&place, "1", about(), Shown::default()).unwrap();
    let path = place.status_path("1");
    let running = std::fs::read(&path).unwrap();
    job.finish(Outcome::restored(&about())).unwrap();
    // As the file is after a kill: the lock is free, and nobody wrote an end.
    std::fs::write(&path, running).unwrap();
    let status = place.last().unwrap().unwrap();
    assert_eq!(status.outcome.unwrap().exit_code, 17);
    let settled = Outcome::recovered(Verdict::PutBack, "put back");
    place.settle(settled.clone()).unwrap();
    assert_eq!(
        place.last().unwrap().unwrap().outcome,
        Some(settled.clone())
    );
    place.settle(Outcome::restored(&about())).unwrap();
    assert_eq!(place.last().unwrap().unwrap().outcome, Some(settled));
}

#[test]
fn old_jobs_go_and_the_last_good_one_tells_how_long_things_take() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path());
    // Whoever launched it was killed before he could remove its variables.
    let variables = place.environment_path("12");
    std::fs::create_dir_all(variables.parent().unwrap()).unwrap();
    std::fs::write(&variables, "PGPASSWORD=hush").unwrap();
    for number in 10..35 {
        let job = Job::begin(&place, &number.to_string(), about(), Shown::default()).unwrap();
        job.watch(&Silent).stage(crate::tomcat::PROBING, None);
        let outcome = if number == 34 {
            Outcome::failed(&Error::new(ErrorKind::Denied, "no"))
        } else {
            Outcome::restored(&about())
        };
        job.finish(outcome).unwrap();
    }
    assert!(!variables.exists());
    assert!(place.status("14").unwrap().is_none());
    assert!(place.status("15").unwrap().is_some());
    let timings = place.earlier_timings("99");
    assert!(timings.iter().any(|timing| timing.stage == Stage::Probing));
}

#[test]
fn what_somebody_had_to_act_on_is_settled_by_whoever_puts_it_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path());
    let ends = |id: &str, kind| {
        let job = Job::begin(&place, id, about(), Shown::default()).unwrap();
        job.finish(Outcome::failed(&Error::new(kind, "no")))
            .unwrap();
        let settled = Outcome::recovered(Verdict::PutBack, "put back now");
        place.settle(settled).unwrap();
        place.find(id).unwrap().outcome.unwrap()
    };
    let settled = ends("1", ErrorKind::ActionNeeded);
    assert_eq!(
        (settled.verdict, settled.message.as_str()),
        (Verdict::PutBack, "put back now")
    );
    // That one is over.
    assert_eq!(
        ends("2", ErrorKind::Denied).verdict,
        Verdict::NothingChanged
    );
}

/// The reason is what failed first, not what fails while the old state is put back.
#[test]
fn why_the_old_state_is_put_back_stays_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path());
    let job = Job::begin(&place, "1", about(), Shown::default()).unwrap();
    let watched = job.watch(&Silent);
    for (stage, why) in [
        ("waiting for the application", "500"),
        ("starting Tomcat", "no JVM"),
    ] {
        watched.stage(stage, None);
        job.trouble(&Error::new(ErrorKind::Failure, why));
    }
    job.finish(Outcome::failed(&Error::new(ErrorKind::ActionNeeded, "no")))
        .unwrap();
    let put_back = place.find("1").unwrap().put_back.unwrap();
    assert_eq!(
        (put_back.at, put_back.because.as_str()),
        (Stage::Probing, "500")
    );
}
