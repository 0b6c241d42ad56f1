//! Memory that an operation has used: a JVM lives for months, and should not keep it until the next night.
#![allow(unsafe_code)]

/// Gives what is free of the C library's heap back to the system.
pub fn give_back() {
    // SAFETY: it takes no pointer, and looks after its own locks.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
