//! What the tests, the demonstration and the benchmarks share: servers, databases and files to work on.

// Each of them uses a part.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// Made-up sizes need no exact numbers.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

pub mod application;
pub mod backups;
pub mod browser;
pub mod chunks;
pub mod cluster;
pub mod equality;
pub mod http;
pub mod instance;
pub mod lenient;
pub mod nasty;
pub mod programs;
pub mod proxy;
pub mod receiver;
pub mod s3;
pub mod server;
pub mod small;
pub mod tomcat;
pub mod tree;
pub mod warden;
