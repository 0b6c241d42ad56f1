//! Makes a made-up Openbravo instance for the demonstration and the benchmarks, lets a day of business pass in it, and
//! runs a command beside a private server. Not part of the program; see `tests/support/instance`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::{Parser, Subcommand};

use support::cluster::Options;
use support::instance::{Instance, Size};

/// Makes and changes a made-up Openbravo instance.
#[derive(Parser)]
#[command(name = "instance")]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make an instance on the server that PGHOST, PGPORT, PGUSER and PGPASSWORD name.
    Create {
        /// The directory for its files; it holds openbravo/, tomcat/ and attachments/ afterwards.
        directory: PathBuf,
        /// The new database's name.
        #[arg(long, default_value = "openbravo")]
        database: String,
        /// The database's size in megabytes.
        #[arg(long, default_value_t = 45)]
        megabytes: u32,
        /// The number of files of sources and application.
        #[arg(long, default_value_t = 1500)]
        files: u32,
    },
    /// Let a day of business pass: half a percent more documents, some master rows changed, new attachments.
    Day {
        /// The directory that the instance was made in.
        directory: PathBuf,
        /// The database's name.
        #[arg(long, default_value = "openbravo")]
        database: String,
    },
    /// Run a command beside a private server, with PGHOST, PGPORT, PGUSER and PGPASSWORD set for it.
    Beside {
        /// The server's major version.
        #[arg(long, default_value_t = 15)]
        version: u32,
        /// A server setting, as NAME=VALUE; can be given several times.
        #[arg(long = "set", value_name = "NAME=VALUE")]
        settings: Vec<String>,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    let start = Instant::now();
    match Arguments::parse().action {
        Action::Create {
            directory,
            database,
            megabytes,
            files,
        } => {
            let size = Size::of(megabytes, files);
            let instance = Instance::create(&server(), &directory, &database, size);
            eprintln!(
                "made {} and database {} in {:.1} s",
                instance.sources.display(),
                instance.database,
                start.elapsed().as_secs_f64()
            );
        }
        Action::Day {
            directory,
            database,
        } => {
            Instance::at(&directory, &database).day(&server());
            eprintln!("a day passed in {:.1} s", start.elapsed().as_secs_f64());
        }
        Action::Beside {
            version,
            settings,
            command,
        } => return beside(version, &settings, &command),
    }
    ExitCode::SUCCESS
}

fn beside(version: u32, settings: &[String], command: &[String]) -> ExitCode {
    let mut options = Options::new(version);
    for setting in settings {
        let (name, value) = setting
            .split_once('=')
            .unwrap_or_else(|| panic!("{setting} is not NAME=VALUE"));
        options = options.setting(name, value);
    }
    let cluster = match options.start() {
        Ok(cluster) => cluster,
        Err(unavailable) => {
            eprintln!("{unavailable}");
            return ExitCode::FAILURE;
        }
    };
    let mut child = Command::new(&command[0]);
    child.args(&command[1..]);
    cluster.environment(&mut child);
    // The server's own programs first, so that psql and pg_dump are of a version that fits.
    let mut path = vec![cluster.bin("")];
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    child.env("PATH", std::env::join_paths(path).unwrap());
    let status = child
        .status()
        .unwrap_or_else(|e| panic!("{}: {e}", command[0]));
    u8::try_from(status.code().unwrap_or(1)).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The server that the environment names, as client programs read it.
fn server() -> postgres::Config {
    let variable =
        |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.into());
    let mut config = postgres::Config::new();
    config
        .host(&variable("PGHOST", "127.0.0.1"))
        .port(
            variable("PGPORT", "5432")
                .parse()
                .expect("PGPORT is a number"),
        )
        .user(&variable("PGUSER", "postgres"))
        .password(variable("PGPASSWORD", ""));
    config
}
