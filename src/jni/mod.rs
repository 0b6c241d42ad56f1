//! The native side of `org.openbravo.backup.BackupNative`: numbers and JSON in, JSON or an exception out.
//!
//! A call comes in through `exports`, is looked up in `handles`, and done by `calls` in a `workplace`. Everything that
//! a call starts ends before it returns; nothing here ever calls Java, and no thread of this crate is known to the JVM.

mod calls;
mod children;
mod exception;
mod exports;
mod hand_over;
mod handles;
mod memory;
mod operation;
mod requests;
mod schedules;
mod workplace;
