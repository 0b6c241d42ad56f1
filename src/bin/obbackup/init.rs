//! `init`: a place becomes a repository, and the instance knows of it.

use obbackup::command::init::{Claim, Initialized, init};
use obbackup::error::{Error, ErrorKind, Result};

use crate::Outcome;
use crate::arguments::Init;
use crate::output::{Output, counted, safe};
use crate::session::Session;

pub fn run(session: &Session, arguments: &Init) -> Result<Outcome> {
    let claim = match (arguments.take_over, arguments.share) {
        (true, _) => Claim::TakeOver {
            of: arguments.of.clone(),
        },
        (false, true) => Claim::Share,
        (false, false) => Claim::New,
    };
    if session.global.repository.is_none() && claim == Claim::New {
        return Err(
            Error::new(ErrorKind::Usage, "the repository to create is not named")
                .hint("Add --repository DIR: an empty or a new directory, best on another disk."),
        );
    }
    let instance = session.instance_if_any()?;
    let choice = session.repository_choice()?;
    let mut file = session.configuration_file_to_write()?;
    let made = init(
        session.storage_itself()?,
        &choice.section.url,
        arguments.compression,
        &claim,
        instance.as_ref(),
        file.as_mut(),
    )?;
    session.output.show(&made, |_| text(&made))?;
    Ok(Outcome::Good)
}

fn text(made: &Initialized) -> String {
    let mut fields = vec![
        ("Repository", safe(&made.repository)),
        ("Id", made.repository_id.clone()),
    ];
    if let Some(path) = &made.configuration {
        fields.push(("Written down in", safe(&path.display().to_string())));
    }
    if let Some(taken) = &made.taken_over {
        fields.push((
            "Taken over",
            safe(&format!(
                "{} on {}, {}",
                taken.name,
                taken.host,
                counted(taken.backups, "backup")
            )),
        ));
    }
    let mut text = Output::fields(&fields);
    text.push_str(match (&made.configuration, &made.taken_over) {
        (Some(_), None) => "\nReady. Take the first backup: obbackup backup\n",
        (_, Some(_)) => {
            "\nReady. The next backup goes on where the old machine ended; that one can write no more.\n"
        }
        (None, None) => "\nReady. No instance was named, so no configuration knows of it yet.\n",
    });
    text
}
