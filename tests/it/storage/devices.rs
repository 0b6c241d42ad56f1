//! Repositories on devices that are mounted, unmounted, exchanged, full, or know less than a disk does.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use obbackup::codec::Compression;
use obbackup::config::RepositorySection;
use obbackup::error::ErrorKind;
use obbackup::repository::Repository;
use obbackup::storage;

use super::contract;
use crate::support::backups::{contents, read_back, take};
use crate::support::cluster::skipped;
use crate::support::tree::is_root;

/// A mounted file system, unmounted at the end.
struct Device {
    point: PathBuf,
    what: Vec<String>,
}

impl Device {
    fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
        let output = Command::new(program).args(arguments).output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(format!("{program}: {error}")),
        }
    }

    /// A tmpfs of a fixed size.
    fn memory(directory: &Path, megabytes: u32) -> Result<Self, String> {
        let what = ["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"];
        Self::mounted(directory.join("memory"), &what)
    }

    /// A file system in a file.
    fn image(
        directory: &Path,
        program: &str,
        options: &[&str],
        megabytes: u64,
    ) -> Result<Self, String> {
        let image = directory.join(format!("{program}.image"));
        let file = fs::File::create(&image).unwrap();
        file.set_len(megabytes << 20).unwrap();
        let image = image.to_str().unwrap();
        Self::run(program, &[options, &[image]].concat())?;
        Self::mounted(directory.join("device"), &["-o", "loop", image])
    }

    /// A file system that a program serves: exFAT, which has no hard links, no owners, no modes, and no difference
    /// between upper and lower case.
    fn served(directory: &Path) -> Result<Self, String> {
        let image = directory.join("stick.image");
        let file = fs::File::create(&image).unwrap();
        file.set_len(64 << 20).unwrap();
        let image = image.to_str().unwrap();
        Self::run("mkfs.exfat", &[image])?;
        let what = ["-t", "exfat-fuse", "-o", "loop", image];
        Self::mounted(directory.join("stick"), &what)
    }

    /// Sends a signal to the program that serves it.
    fn signal(&self, signal: &str) {
        let point = self.point.to_str().unwrap().as_bytes();
        let serves = |pid: &str| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0);
            words
                .next()
                .is_some_and(|program| program.ends_with(b"exfat-fuse"))
                && words.any(|word| word == point)
        };
        let mut sent = 0;
        for entry in fs::read_dir("/proc").unwrap() {
            let pid = entry.unwrap().file_name().into_string().unwrap();
            if pid.bytes().all(|byte| byte.is_ascii_digit()) && serves(&pid) {
                Self::run("kill", &[signal, &pid]).unwrap();
                sent += 1;
            }
        }
        assert!(sent > 0, "nothing serves {}", self.point.display());
    }

    fn mounted(point: PathBuf, what: &[&str]) -> Result<Self, String> {
        if !is_root() {
            return Err("mounting needs root".to_owned());
        }
        fs::create_dir_all(&point).unwrap();
        let device = Self {
            point,
            what: what.iter().map(|word| (*word).to_owned()).collect(),
        };
        device.mount()?;
        Ok(device)
    }

    fn mount(&self) -> Result<(), String> {
        let point = self.point.to_str().unwrap();
        let what: Vec<&str> = self.what.iter().map(String::as_str).collect();
        Self::run("mount", &[&what[..], &[point]].concat())
    }

    fn unmount(&self) {
        Self::run("umount", &[self.point.to_str().unwrap()]).unwrap();
    }

    fn section(&self, require_mount: bool) -> RepositorySection {
        RepositorySection {
            require_mount,
            ..RepositorySection::at(self.point.join("openbravo").to_str().unwrap())
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = Self::run("umount", &["--lazy", self.point.to_str().unwrap()]);
    }
}

fn on_device(made: Result<Device, String>, test: impl FnOnce(&Device)) {
    match made {
        Ok(device) => test(&device),
        Err(why) => skipped(&why),
    }
}

fn keeps_contract_and_backups(device: &Device) {
    let section = device.section(true);
    let storage = storage::open(&section, None).unwrap();
    let repository = Repository::init(storage.clone(), Compression::Zstd).unwrap();
    let id = take(&repository, 1).unwrap();
    assert!(read_back(&repository, &id).unwrap() == contents(1));
    let again = Repository::at(&section, None, None).unwrap();
    assert_eq!(again.backups().unwrap().backups.len(), 1);
    drop((repository, again));
    // A storage of its own beside it, empty as the suite wants it.
    let beside = RepositorySection::at(device.point.join("suite").to_str().unwrap());
    contract::holds(&*storage::open(&beside, None).unwrap());
}

#[test]
fn a_disk_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let made = Device::image(directory.path(), "mkfs.ext4", &["-q", "-F"], 64);
    on_device(made, keeps_contract_and_backups);
}

/// No hard links, no owners, no modes, no difference between upper and lower case.
#[test]
fn a_fat_stick_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let made = Device::image(directory.path(), "mkfs.vfat", &["-F", "32"], 64);
    on_device(made, keeps_contract_and_backups);
}

#[test]
fn a_stick_with_another_file_system_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    on_device(Device::served(directory.path()), keeps_contract_and_backups);
}

/// A short patience, as tests have it.
fn impatient(device: &Device) -> RepositorySection {
    RepositorySection {
        stall_seconds: NonZeroU32::new(1),
        give_up_after_seconds: NonZeroU32::new(3),
        ..device.section(false)
    }
}

#[test]
fn a_share_that_hangs_is_given_up_and_works_again_when_it_answers() {
    let directory = tempfile::tempdir().unwrap();
    on_device(Device::served(directory.path()), |device| {
        let storage = storage::open(&impatient(device), None).unwrap();
        let repository = Repository::init(storage, Compression::Zstd).unwrap();
        let id = take(&repository, 1).unwrap();
        device.signal("-STOP");
        let began = Instant::now();
        let refused = take(&repository, 2);
        let waited = began.elapsed();
        device.signal("-CONT");
        let refused = refused.unwrap_err();
        assert!(
            refused.to_string().contains("does not answer"),
            "{refused:?}"
        );
        assert!(
            refused
                .hint_text()
                .is_some_and(|hint| hint.contains("share"))
        );
        assert!(waited < Duration::from_mins(1), "{waited:?}");
        assert!(read_back(&repository, &id).unwrap() == contents(1));
        take(&repository, 2).unwrap();
    });
}

#[test]
fn a_share_whose_server_is_gone_is_told_and_serves_again_when_mounted_anew() {
    let directory = tempfile::tempdir().unwrap();
    on_device(Device::served(directory.path()), |device| {
        let section = impatient(device);
        let storage = storage::open(&section, None).unwrap();
        let repository = Repository::init(storage, Compression::Zstd).unwrap();
        let id = take(&repository, 1).unwrap();
        device.signal("-KILL");
        let refused = take(&repository, 2).unwrap_err();
        let hint = refused.hint_text().unwrap_or_default();
        assert!(hint.contains("mounted anew"), "{refused:?}");
        device.unmount();
        device.mount().unwrap();
        let again = Repository::at(&section, None, None).unwrap();
        assert!(read_back(&again, &id).unwrap() == contents(1));
        take(&again, 2).unwrap();
    });
}

#[test]
fn an_absent_mount_is_an_error_and_never_a_directory_on_the_root_disk() {
    let directory = tempfile::tempdir().unwrap();
    on_device(Device::memory(directory.path(), 64), |device| {
        let section = device.section(true);
        let open = || storage::open(&section, None);
        device.unmount();
        let refused = Repository::init(open().unwrap(), Compression::Zstd)
            .err()
            .unwrap();
        assert!(refused.to_string().contains("not mounted"), "{refused:?}");
        assert_eq!(fs::read_dir(&device.point).unwrap().count(), 0);

        device.mount().unwrap();
        let repository = Repository::init(open().unwrap(), Compression::Zstd).unwrap();
        let first = take(&repository, 1).unwrap();
        // It goes away during the work.
        device.unmount();
        let refused = take(&repository, 2).err().unwrap();
        assert!(refused.to_string().contains("mounted"), "{refused:?}");
        assert!(refused.hint_text().is_some());
        let refused = Repository::at(&section, None, None).err().unwrap();
        assert!(refused.to_string().contains("not mounted"), "{refused:?}");
        assert_eq!(fs::read_dir(&device.point).unwrap().count(), 0);

        // A tmpfs is empty after that: another device, without the marker.
        device.mount().unwrap();
        let refused = Repository::at(&section, None, None).err().unwrap();
        assert!(
            refused.hint_text().unwrap().contains("touch"),
            "{refused:?}"
        );
        assert!(repository.resolve(&first.to_hex(), None).is_err());
        let refused = take(&repository, 2).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Io, "{refused:?}");
        assert_eq!(fs::read_dir(&device.point).unwrap().count(), 0);
    });
}

#[test]
fn without_the_setting_too_a_mount_that_goes_away_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    on_device(Device::memory(directory.path(), 64), |device| {
        let storage = storage::open(&device.section(false), None).unwrap();
        let repository = Repository::init(storage, Compression::Zstd).unwrap();
        take(&repository, 1).unwrap();
        device.unmount();
        let refused = take(&repository, 2).err().unwrap();
        assert!(refused.to_string().contains("unmounted"), "{refused:?}");
        assert_eq!(fs::read_dir(&device.point).unwrap().count(), 0);
    });
}
