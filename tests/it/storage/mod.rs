//! The storages against real servers and devices, and what goes wrong with those.

mod conformance;
#[path = "../../../src/storage/contract.rs"]
mod contract;
mod copies;
mod devices;
mod faults;
mod story;

// What the conformance suite is written in.
use obbackup::error::{ErrorKind, Result};
use obbackup::storage::{Object, Storage};
