//! The storages against real servers and devices, and what goes wrong with those.

mod budget;
mod conformance;
#[path = "../../../src/storage/contract.rs"]
mod contract;
mod copies;
mod credentials;
mod devices;
mod faults;
mod locked;
mod machines;
mod overwriting;
mod permissions;
mod stopping;
mod story;

// What the conformance suite is written in.
use obbackup::error::{ErrorKind, Result};
use obbackup::storage::{Object, Storage};
