//! The storages against real servers and devices, and what goes wrong with those.

mod conformance;
#[path = "../../../src/storage/contract.rs"]
mod contract;

// What the conformance suite is written in.
use obbackup::error::{ErrorKind, Result};
use obbackup::storage::{Object, Storage};
