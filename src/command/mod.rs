//! What the command line, and later the window, ask for: each makes a plan first and runs it second.

pub mod contents;
pub mod delete;
pub mod list;
pub mod storage;
