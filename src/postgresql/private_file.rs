//! Short-lived files for the client programs, which have no name: even `kill -9` leaves nothing of them.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{IoContext, Result};

/// A file that only this process and what it starts can read, and only while this value lives.
pub struct PrivateFile {
    /// Keeps the file; its last descriptor is its end.
    _file: File,
    path: PathBuf,
}

impl PrivateFile {
    /// A file with `bytes` in it, on the file system of `directory`.
    pub fn write(bytes: &[u8], directory: &Path) -> Result<Self> {
        let what = || format!("cannot write a file in `{}`", directory.display());
        let mut file = tempfile::tempfile_in(directory).io_context(what)?;
        // `pg_dump` insists on it for passwords, and so do we, before anything is in it.
        file.set_permissions(Permissions::from_mode(0o600))
            .io_context(what)?;
        file.write_all(bytes).io_context(what)?;
        // Through the descriptor of this process, so that the child need not inherit it and each that
        // opens the path reads from the beginning.
        let path = PathBuf::from(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            file.as_raw_fd()
        ));
        Ok(Self { _file: file, path })
    }

    /// By which a program of the same user opens it.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_open_it_while_it_lives_and_nothing_is_in_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let file = PrivateFile::write(b"hush", directory.path()).unwrap();
        for _ in 0..2 {
            let output = std::process::Command::new("cat").arg(file.path()).output();
            assert_eq!(output.unwrap().stdout, b"hush");
        }
        let mode = std::fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
        let path = file.path().to_owned();
        drop(file);
        assert!(std::fs::read(path).is_err());
    }
}
