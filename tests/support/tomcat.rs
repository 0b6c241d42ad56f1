//! A real Tomcat with a small application on an instance's database and directories.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::instance::Instance;
use super::programs;

/// Ends every JVM of the directory when its standard input ends, that is when the value is dropped or its process
/// has died in whatever way.
const WARDEN: &str = r#"
trap '' INT TERM HUP
cat
for _ in 1 2 3; do
    for file in /proc/[0-9]*/cmdline; do
        if tr '\0' '\n' <"$file" 2>/dev/null | grep -qxF -- "-Dcatalina.base=$1"; then
            pid=${file#/proc/}
            kill -KILL "${pid%/cmdline}"
        fi
    done
    sleep 0.1
done
"#;

/// What the application answers with when it works.
pub const LOGIN: &str = "Please log in";

const SERVER_XML: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Server port="-1" shutdown="SHUTDOWN">
  <Service name="Catalina">
    <Connector port="${test.port:-PORT}" protocol="HTTP/1.1" connectionTimeout="20000" maxThreads="20"/>
    <Engine name="Catalina" defaultHost="localhost">
      <Host name="localhost" appBase="webapps" unpackWARs="false" autoDeploy="false"/>
    </Engine>
  </Service>
</Server>
"#;

const WEB_XML: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<web-app xmlns="http://xmlns.jcp.org/xml/ns/javaee" version="4.0" metadata-complete="true">
  <welcome-file-list><welcome-file>index.jsp</welcome-file></welcome-file-list>
</web-app>
"#;

const INDEX: &str = "<% response.sendRedirect(\"login.jsp\"); %>\n";

/// Says what it sees: a setting of the database, and a file of the deployed application.
const LOGIN_PAGE: &str = r#"<%@ page contentType="text/html; charset=UTF-8" session="false"
    import="java.sql.*,java.util.*,java.io.*,java.nio.file.*" %><%
Properties properties = new Properties();
try (InputStream in = application.getResourceAsStream("/WEB-INF/Openbravo.properties")) { properties.load(in); }
Class.forName("org.postgresql.Driver");
String url = properties.getProperty("bbdd.url") + "/" + properties.getProperty("bbdd.sid");
String file = new String(Files.readAllBytes(Paths.get(application.getRealPath("/state.txt"))), "UTF-8").trim();
try (Connection connection = DriverManager.getConnection(url,
        properties.getProperty("bbdd.user"), properties.getProperty("bbdd.password"));
     Statement statement = connection.createStatement();
     ResultSet row = statement.executeQuery("SELECT note FROM application_state")) {
  row.next();
%><!doctype html>
<html lang="en"><head><title>Openbravo</title></head><body>
<h1>Please log in</h1><p>database: <%= row.getString(1) %>;</p><p>files: <%= file %>;</p>
</body></html>
<% } %>
"#;

/// A Tomcat around an instance's deployed application.
pub struct Tomcat {
    /// `CATALINA_BASE`.
    pub base: PathBuf,
    /// `CATALINA_HOME`.
    pub home: PathBuf,
    /// Its HTTP port.
    pub port: u16,
    warden: Child,
}

impl Tomcat {
    /// Makes the directory around `instance.deploy` and puts the application there; starts nothing. An error says
    /// what is not at hand.
    pub fn around(instance: &Instance) -> Result<Self, String> {
        let home = programs::cache().join("tomcat/9");
        let driver = programs::cache().join("tomcat/postgresql.jar");
        let has_java = Command::new("java").arg("-version").output().is_ok();
        if !home.join("bin/catalina.sh").exists() || !driver.exists() || !has_java {
            return Err("Tomcat 9 or Java is not at hand: run `make setup`".to_owned());
        }
        let base = instance
            .deploy
            .parent()
            .and_then(Path::parent)
            .unwrap()
            .to_owned();
        let port = free_port();
        for name in ["conf", "lib", "bin", "logs", "temp", "work"] {
            fs::create_dir_all(base.join(name)).unwrap();
        }
        for name in ["web.xml", "logging.properties"] {
            fs::copy(home.join("conf").join(name), base.join("conf").join(name)).unwrap();
        }
        // Nothing in the libraries concerns this application: do not look through them.
        let properties = fs::read_to_string(home.join("conf/catalina.properties")).unwrap()
            + "\ntomcat.util.scan.StandardJarScanFilter.jarsToSkip=*.jar\n";
        fs::write(base.join("conf/catalina.properties"), properties).unwrap();
        let server = SERVER_XML.replace("PORT", &port.to_string());
        fs::write(base.join("conf/server.xml"), server).unwrap();
        fs::copy(&driver, base.join("lib/postgresql.jar")).unwrap();
        let settings = "CATALINA_OPTS=\"-Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC\"\n";
        fs::write(base.join("bin/setenv.sh"), settings).unwrap();
        let warden = Command::new("sh")
            .args(["-c", WARDEN, "warden"])
            .arg(&base)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The made-up libraries are no libraries, and the made-up web.xml is none.
        fs::remove_dir_all(instance.deploy.join("WEB-INF/lib")).unwrap();
        for (name, text) in [
            ("WEB-INF/web.xml", WEB_XML),
            ("index.jsp", INDEX),
            ("login.jsp", LOGIN_PAGE),
        ] {
            fs::write(instance.deploy.join(name), text).unwrap();
        }
        Ok(Self {
            base,
            home,
            port,
            warden,
        })
    }

    /// Gives what it writes to a user who is not root, where root runs this, and lets that user in; so that it has to
    /// be started as that user.
    pub fn give_to_server_user(&self) {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let status = Command::new("chown")
            .args(["-R", "postgres:postgres"])
            .args(["logs", "temp", "work"].map(|name| self.base.join(name)))
            .status()
            .unwrap();
        assert!(status.success());
        for directory in self.base.ancestors().skip(1).take(2) {
            if directory.starts_with(std::env::temp_dir()) && directory != std::env::temp_dir() {
                fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
    }

    /// Starts it by its own script, and waits until the application answers.
    pub fn start(&self) {
        self.start_with(&[]);
    }

    /// The same with variables of its own.
    pub fn start_with(&self, variables: &[(&str, &Path)]) {
        let status = Command::new(self.home.join("bin/catalina.sh"))
            .arg("start")
            .env("CATALINA_BASE", &self.base)
            .env("CATALINA_HOME", &self.home)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        self.wait_for(LOGIN);
    }

    /// Waits until the login page has this text.
    pub fn wait_for(&self, text: &str) {
        let begun = Instant::now();
        loop {
            let answer = get(self.port, "/openbravo/login.jsp");
            if answer.as_ref().is_ok_and(|answer| answer.contains(text)) {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_mins(2),
                "{answer:?}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The processes of this Tomcat.
    pub fn processes(&self) -> Vec<u32> {
        let word = format!("-Dcatalina.base={}", self.base.display());
        fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| {
                let pid = entry.file_name().to_str()?.parse().ok()?;
                let line = fs::read(entry.path().join("cmdline")).ok()?;
                line.split(|byte| *byte == 0)
                    .any(|part| part == word.as_bytes())
                    .then_some(pid)
            })
            .collect()
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        let mut text = String::new();
        for entry in fs::read_dir(self.base.join("logs")).unwrap().flatten() {
            let written = fs::read_to_string(entry.path()).unwrap_or_default();
            let _ = writeln!(text, "{}:\n{written}", entry.path().display());
        }
        text
    }
}

impl Drop for Tomcat {
    fn drop(&mut self) {
        drop(self.warden.stdin.take());
        let _ = self.warden.wait();
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The whole answer to a plain GET, head and body.
pub fn get(port: u16, path: &str) -> std::io::Result<String> {
    ask(
        port,
        &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"),
    )
}

/// The whole answer to a request that is written out.
pub fn ask(port: u16, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
