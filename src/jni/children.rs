//! Children of the JVM: they must not keep its sockets and files.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Descriptors that a child needs: the three standard ones.
const KEPT: libc::c_int = 3;
/// How many descriptors are looked at, where the kernel cannot mark them all at once.
const LIMIT: libc::c_int = 65_536;

/// Lets `command` start with the three standard descriptors alone.
///
/// A JVM opens sockets without the close-on-exec flag. A child that had them too would hold Tomcat's port
/// after Tomcat has stopped, and would keep clients waiting for the end of an answer. The flags are set in
/// the child: setting them in the JVM would take descriptors from under programs that the JVM is just
/// starting itself.
pub fn keep_nothing(command: &mut Command) {
    // SAFETY: between fork and exec only system calls are made; nothing is allocated and nothing locked.
    unsafe {
        command.pre_exec(close_all_on_exec);
    }
}

#[allow(clippy::unnecessary_wraps)] // As `pre_exec` wants it.
fn close_all_on_exec() -> io::Result<()> {
    // SAFETY: plain numbers go in, and flags of this process's own descriptors change.
    let marked = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            KEPT,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if marked == 0 {
        return Ok(());
    }
    // Linux before 5.11.
    for descriptor in KEPT..LIMIT {
        // SAFETY: as above; a number that is no descriptor is refused.
        unsafe {
            libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    #[test]
    fn a_child_has_the_standard_descriptors_alone() {
        let (reader, _writer) = io::pipe().unwrap();
        // A number that no program has by itself.
        // SAFETY: the copy is ours, and nobody else's.
        let inherited =
            unsafe { OwnedFd::from_raw_fd(libc::fcntl(reader.as_raw_fd(), libc::F_DUPFD, 100)) };
        let number = inherited.as_raw_fd().to_string();
        let descriptors = |prepare: fn(&mut Command)| {
            let mut command = Command::new("ls");
            command.arg("/proc/self/fd");
            prepare(&mut command);
            let output = command.output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let with = descriptors(|_| {});
        assert!(with.lines().any(|line| line == number), "{with}");
        let without = descriptors(keep_nothing);
        assert!(!without.lines().any(|line| line == number), "{without}");
    }
}
