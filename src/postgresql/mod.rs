//! What reading and writing a PostgreSQL database have in common: addresses, connections, the client
//! programs, and stopping them.

pub mod address;
pub mod child;
pub mod client;
pub mod copy_text;
pub mod private_file;
pub mod programs;
pub mod quote;
pub mod watch;

pub use address::DatabaseAddress;
pub use client::Session;
pub use programs::Programs;
