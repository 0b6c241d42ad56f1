//! A web application's server made of files: it is up while a file is there, and does as another one says.

use std::fs;
use std::path::{Path, PathBuf};

use obbackup::error::{Error, ErrorKind, Result};
use obbackup::progress::Progress;
use obbackup::tomcat::Application;

/// Seen alike by every process that looks at its directory.
pub struct FileApplication {
    directory: PathBuf,
}

impl FileApplication {
    /// In a directory, which is made.
    pub fn at(directory: &Path) -> Self {
        fs::create_dir_all(directory).unwrap();
        Self {
            directory: directory.to_owned(),
        }
    }

    /// Starts it as an administrator would.
    pub fn bring_up(&self) {
        fs::write(self.directory.join("up"), "").unwrap();
    }

    /// From now on it does not do one of `stop`, `start` and `probe`, the first so many times.
    pub fn refuse(&self, what: &str, times: u32) {
        fs::write(self.directory.join(format!("no-{what}")), times.to_string()).unwrap();
    }

    /// What was asked of it so far.
    pub fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.directory.join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        self.directory.join("up").exists()
    }

    fn call(&self, what: &str) -> Result<()> {
        let mut calls = self.calls();
        calls.push(what.to_owned());
        fs::write(self.directory.join("calls"), calls.join("\n")).unwrap();
        let refusals = self.directory.join(format!("no-{what}"));
        let left = fs::read_to_string(&refusals).map_or(0, |text| text.parse::<u32>().unwrap());
        if left == 0 {
            return Ok(());
        }
        fs::write(refusals, (left - 1).to_string()).unwrap();
        Err(Error::new(
            ErrorKind::Failure,
            format!("the application does not {what}"),
        ))
    }
}

impl Application for FileApplication {
    fn name(&self) -> String {
        "files".to_owned()
    }

    fn is_running(&self) -> Result<bool> {
        Ok(self.is_up())
    }

    fn stop(&self, _progress: &dyn Progress) -> Result<()> {
        self.call("stop")?;
        fs::remove_file(self.directory.join("up")).unwrap();
        Ok(())
    }

    fn start(&self, _progress: &dyn Progress) -> Result<()> {
        self.call("start")?;
        self.bring_up();
        Ok(())
    }

    fn probe(&self, _progress: &dyn Progress) -> Result<()> {
        assert!(self.is_up(), "asked whether it answers while it is down");
        self.call("probe")
    }

    fn how_to_start(&self) -> String {
        "touch up".to_owned()
    }
}
