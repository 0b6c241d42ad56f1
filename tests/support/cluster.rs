//! A private PostgreSQL server that lives as long as its value.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::programs;
use super::server::{Server, without_settings};

/// The superuser's name; its password is [`Cluster::password`].
pub const SUPERUSER: &str = "postgres";

const PASSWORD: &str = "su per'user";
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Stops the server and removes its directory when its standard input ends, that is when the cluster is
/// dropped or its process has died in whatever way.
const WARDEN: &str = r#"
trap '' INT TERM HUP
cat
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]; then
    kill -QUIT "$pid"
    for _ in $(seq 100); do [ -e "$1/data/postmaster.pid" ] || break; sleep 0.05; done
fi
# An initdb that has outlived its parent still writes for a moment.
for _ in $(seq 50); do rm -rf "$1" && [ ! -e "$1" ] && break; sleep 0.1; done
"#;

/// Why there is no server of a version: its programs are not on this machine.
#[derive(Debug)]
pub struct Unavailable {
    /// The major version.
    pub version: u32,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PostgreSQL {} is not at hand: run `make setup`",
            self.version
        )
    }
}

/// How a cluster is made; [`Cluster::start`] takes the defaults.
#[derive(Debug, Clone)]
pub struct Options {
    version: u32,
    initdb: Vec<String>,
    settings: Vec<(String, String)>,
}

impl Options {
    /// A server of a major version with everything else as tests want it: fast and not durable.
    pub fn new(version: u32) -> Self {
        let settings = [
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("synchronous_commit", "off"),
            ("max_wal_size", "4GB"),
            ("jit", "off"),
            ("timezone", "UTC"),
            ("lc_messages", "C"),
        ];
        Self {
            version,
            initdb: Vec::new(),
            settings: settings
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
        }
    }

    /// A server setting, as in `postgresql.conf`; the last one of a name counts.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// An argument for `initdb`, such as `--data-checksums`.
    pub fn initdb(mut self, argument: &str) -> Self {
        self.initdb.push(argument.into());
        self
    }

    /// Makes the cluster and waits until it takes connections.
    ///
    /// # Panics
    /// When the version is at hand but does not come up: that is a failure and no reason to skip a test.
    pub fn start(self) -> Result<Cluster, Unavailable> {
        let unavailable = Unavailable {
            version: self.version,
        };
        let Some(programs) = programs::server(self.version) else {
            return Err(unavailable);
        };
        let Some(clients) = programs::client_for(self.version) else {
            return Err(unavailable);
        };
        let mut cluster = Cluster {
            version: self.version,
            home: home(),
            port: 0,
            programs,
            clients,
            server: None,
            warden: None,
        };
        cluster.guard();
        cluster.initialise(&self);
        cluster.start_again();
        Ok(cluster)
    }
}

/// A running server with a superuser, reachable over a socket without and over loopback with a password.
#[derive(Debug)]
pub struct Cluster {
    version: u32,
    home: PathBuf,
    port: u16,
    programs: PathBuf,
    clients: PathBuf,
    server: Option<Child>,
    warden: Option<Child>,
}

// All clusters have the same host, user and password, but callers should not need to know.
#[allow(clippy::unused_self)]
impl Cluster {
    /// A server of a major version.
    pub fn start(version: u32) -> Result<Self, Unavailable> {
        Options::new(version).start()
    }

    /// The one server of a version that tests share which need nothing of their own but a database.
    pub fn shared(version: u32) -> Result<&'static Self, Unavailable> {
        static SHARED: [OnceLock<Cluster>; 7] = [const { OnceLock::new() }; 7];
        let unavailable = Unavailable { version };
        if !programs::available_versions().contains(&version) {
            return Err(unavailable);
        }
        let slot = &SHARED[(version - programs::VERSIONS.start()) as usize];
        Ok(slot.get_or_init(|| Self::start(version).expect("it is at hand")))
    }

    /// The major version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The address to connect to over TCP.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The port, the same for TCP and the socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the Unix socket, over which nobody is asked for a password.
    pub fn socket(&self) -> PathBuf {
        self.home.join("socket")
    }

    /// The superuser.
    pub fn user(&self) -> &'static str {
        SUPERUSER
    }

    /// The superuser's password, with characters that need quoting wherever quoting can be forgotten.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The data directory; it belongs to the user that the server runs as.
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.home.join("log")).unwrap_or_default()).into_owned()
    }

    /// The connection string of a database for the superuser over TCP.
    pub fn url(&self, database: &str) -> String {
        let password = PASSWORD.replace(' ', "%20").replace('\'', "%27");
        format!(
            "postgresql://{SUPERUSER}:{password}@{}:{}/{database}",
            self.host(),
            self.port
        )
    }

    /// A connection of the superuser over TCP.
    pub fn connect(&self, database: &str) -> postgres::Client {
        Server::connect(self, database)
    }

    /// The settings of a connection of the superuser over TCP.
    pub fn config(&self, database: &str) -> postgres::Config {
        let mut config = postgres::Config::new();
        config
            .host(self.host())
            .port(self.port)
            .user(SUPERUSER)
            .password(PASSWORD);
        config.dbname(database);
        config
    }

    /// A client program that can work on this server, such as `pg_dump`.
    pub fn bin(&self, program: &str) -> PathBuf {
        self.clients.join(program)
    }

    /// A client program set up, by environment variables, to connect as the superuser.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin(program));
        self.environment(&mut command);
        command
    }

    /// Lets a command's client library connect as the superuser.
    pub fn environment(&self, command: &mut Command) {
        without_settings(command)
            .env("PGHOST", self.host())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", SUPERUSER)
            .env("PGPASSWORD", PASSWORD);
    }

    /// Runs SQL with `psql`, statement by statement, and returns what it prints: rows as lines, columns
    /// separated by `|`.
    ///
    /// # Panics
    /// When a statement fails.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        self.run_psql(database, ["-f", "-"], sql)
    }

    /// Runs a file with `psql`, with variables for it, and returns what it prints.
    ///
    /// # Panics
    /// When a statement fails.
    pub fn psql_file(&self, database: &str, file: &Path, variables: &[(&str, &str)]) -> String {
        let mut arguments: Vec<String> = variables
            .iter()
            .flat_map(|(name, value)| ["-v".into(), format!("{name}={value}")])
            .collect();
        arguments.extend(["-f".into(), file.display().to_string()]);
        self.run_psql(database, arguments, "")
    }

    fn run_psql(
        &self,
        database: &str,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        input: &str,
    ) -> String {
        let mut psql = self
            .command("psql")
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql runs");
        let mut stdin = psql.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            // It answers while it reads; and where it stops early, its message says more than our broken pipe.
            scope.spawn(move || stdin.write_all(input.as_bytes()));
            psql.wait_with_output().expect("psql runs")
        });
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "psql on {database} of PostgreSQL {}: {errors}",
            self.version
        );
        let printed = String::from_utf8(output.stdout).unwrap();
        printed.trim_end_matches('\n').to_owned()
    }

    /// Creates an empty database.
    pub fn create_database(&self, name: &str) {
        Server::create_database(self, name);
    }

    /// Stops the server as an administrator would; [`Self::start_again`] brings it back.
    pub fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// Ends the server as a crash would: it recovers from its log at the next start.
    pub fn crash(&mut self) {
        self.end(Signal::QUIT);
    }

    /// Starts the server after it was stopped, on another port.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "the server is running");
        // Between our look at a port and the server's bind somebody else may take it.
        for _ in 0..5 {
            self.port = free_port();
            if self.try_start() {
                return;
            }
        }
        panic!(
            "PostgreSQL {} does not start:\n{}",
            self.version,
            self.log()
        );
    }

    fn try_start(&mut self) -> bool {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.home.join("log"))
            .unwrap();
        let mut server = programs::as_server_user(self.programs.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("postgres runs");
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            // The eighth line of the lock file tells the state; `pg_ctl -w` looks at the same place.
            let status = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            if status
                .lines()
                .nth(7)
                .is_some_and(|line| line.trim() == "ready")
            {
                self.server = Some(server);
                return true;
            }
            if server.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(
                Instant::now() < deadline,
                "PostgreSQL does not get ready:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn end(&mut self, signal: Signal) {
        let mut server = self.server.take().expect("the server is running");
        let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.unwrap(), signal).unwrap();
        server.wait().unwrap();
    }

    fn guard(&mut self) {
        let warden = Command::new("sh")
            .args(["-c", WARDEN, "warden"])
            .arg(&self.home)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        self.warden = Some(warden);
    }

    fn initialise(&self, options: &Options) {
        let password = self.home.join("password");
        fs::write(&password, format!("{PASSWORD}\n")).unwrap();
        let output = programs::as_server_user(self.programs.join("initdb"))
            .arg("-D")
            .arg(self.data())
            .args([
                "-U",
                SUPERUSER,
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256"])
            .arg(format!("--pwfile={}", password.display()))
            .args(&options.initdb)
            .output()
            .expect("initdb runs");
        assert!(
            output.status.success(),
            "initdb of PostgreSQL {}: {output:?}",
            self.version
        );
        fs::remove_file(password).unwrap();

        let mut configuration = fs::File::options()
            .append(true)
            .open(self.data().join("postgresql.conf"))
            .unwrap();
        writeln!(configuration, "listen_addresses = '{}'", self.host()).unwrap();
        writeln!(
            configuration,
            "unix_socket_directories = '{}'",
            self.socket().display()
        )
        .unwrap();
        for (name, value) in &options.settings {
            writeln!(configuration, "{name} = '{}'", value.replace('\'', "''")).unwrap();
        }
    }
}

impl Server for Cluster {
    fn config(&self, database: &str) -> postgres::Config {
        Self::config(self, database)
    }

    fn command(&self, program: &str) -> Command {
        Self::command(self, program)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(mut warden) = self.warden.take() else {
            return;
        };
        drop(warden.stdin.take());
        if let Some(mut server) = self.server.take() {
            let _ = server.wait();
        }
        let _ = warden.wait();
    }
}

/// A directory that the server's user owns, with a path short enough for a socket in it.
fn home() -> PathBuf {
    let mut base = std::env::temp_dir();
    if base.as_os_str().len() > 60 {
        base = PathBuf::from("/tmp");
    }
    let home = tempfile::Builder::new()
        .prefix("obb-cluster-")
        .tempdir_in(base)
        .unwrap()
        .keep();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(home.join("socket")).unwrap();
    if rustix::process::geteuid().is_root() {
        let owned = [home.clone(), home.join("socket")];
        let status = Command::new("chown")
            .arg("postgres:postgres")
            .args(owned)
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "no user postgres: run `make setup`"
        );
    }
    home
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port()
}

/// Runs a test on the shared server of a version; says by name when it must be skipped.
pub fn on_version(version: u32, test: impl FnOnce(&Cluster)) {
    match Cluster::shared(version) {
        Ok(cluster) => test(cluster),
        Err(unavailable) => skipped(&unavailable),
    }
}

/// Says that a test was skipped, and why: past the capture of a passing test's output, so that it is seen.
pub fn skipped(why: &dyn fmt::Display) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

/// One test for each server version: `each_version!(name, |cluster| { … })`.
#[macro_export]
macro_rules! each_version {
    ($name:ident, $test:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $crate::each_version!(@ $test, v12 12, v13 13, v14 14, v15 15, v16 16, v17 17, v18 18);
        }
    };
    (@ $test:expr, $($test_name:ident $version:literal),*) => {
        $(#[test]
        fn $test_name() {
            $crate::support::cluster::on_version($version, $test);
        })*
    };
}
