//! Backup and restore of one Openbravo instance as one consistent unit.
//!
//! An *instance* is a PostgreSQL database, sources, the deployed web application, attachments and
//! configuration. A *backup* is one restorable state of it in a *repository*, which lies on a *storage*.
//!
//! Data flows one way each time:
//!
//! - backup: `source` → `chunk` → `codec` → `repository` writer → `storage`
//! - restore: `storage` → `repository` reader → `codec` → `target`
//!
//! The modules below stand in dependency order: each imports from those above it alone, which
//! `tests/architecture.rs` holds. The library never prints, never reads the environment and never
//! exits; it returns errors.

pub mod error;

pub mod wording;

pub mod progress;

pub mod config;

pub mod format;

pub mod codec;

pub mod chunk;

pub mod tree;

pub mod postgresql;

pub mod storage;

pub mod repository;

pub mod instance;

pub mod tomcat;

pub mod source;

pub mod target;

pub mod log;

pub mod notify;

pub mod job;

pub mod page;

pub mod schedule;

pub mod command;
