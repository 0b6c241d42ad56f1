//! A clean machine gets an instance out of a repository: another server, role, database, host, directories and user.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::cluster::{Cluster, skipped};
use crate::support::equality;
use crate::support::tree::{assert_same, is_root};
use crate::world::{World, errors};

/// On the old machine, and on the new one; neither has a name here.
const OLD_USER: u32 = 4141;
const NEW_USER: u32 = 4242;
const ROLE: &str = "erp_app";
const PASSWORD: &str = "new 'pass";

/// A machine with a newer server and a Tomcat, and nothing of Openbravo.
struct Machine {
    directory: tempfile::TempDir,
    cluster: Cluster,
}

impl Machine {
    fn new() -> Option<Self> {
        let cluster = [17, 16, 18]
            .into_iter()
            .find_map(|version| Cluster::start(version).ok());
        let Some(cluster) = cluster else {
            skipped(&"a second server, newer than 15, is not at hand");
            return None;
        };
        cluster.psql(
            "postgres",
            &format!(
                "CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{}'",
                PASSWORD.replace('\'', "''")
            ),
        );
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("tomcat9/webapps")).unwrap();
        Some(Self { directory, cluster })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, instance: &str, arguments: &[&str]) -> Command {
        // The machine has the clients of its own server.
        let clients = self.cluster.bin("pg_dump").parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap();
        let all = [clients].into_iter().chain(std::env::split_paths(&path));
        let mut command = Command::new(env!("CARGO_BIN_EXE_obbackup"));
        command
            .env_clear()
            .env("PATH", std::env::join_paths(all).unwrap())
            .env("HOME", self.path("home"))
            .env("CATALINA_BASE", self.path("tomcat9"))
            .arg("--instance")
            .arg(self.path(instance))
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn json(&self, instance: &str, arguments: &[&str]) -> Value {
        let arguments = [&["--json"], arguments].concat();
        let output = self.command(instance, &arguments).output().unwrap();
        document(&arguments, &output)
    }

    fn refused(&self, instance: &str, arguments: &[&str], code: i32, words: &[&str]) {
        let output = self.command(instance, arguments).output().unwrap();
        let text = errors(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        for word in words {
            assert!(
                text.contains(word),
                "{arguments:?} does not say {word:?}: {text}"
            );
        }
    }
}

fn document(arguments: &[&str], output: &Output) -> Value {
    assert!(output.status.success(), "{arguments:?}: {}", errors(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn chown(user: u32, paths: &[&Path]) {
    let status = Command::new("chown")
        .args(["-hR", &format!("{user}:{user}")])
        .args(paths)
        .status();
    assert!(status.unwrap().success());
}

/// Every object of a repository and its bytes.
fn objects(repository: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut open = vec![repository.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            match entry.metadata().unwrap() {
                metadata if metadata.is_dir() => open.push(entry.path()),
                metadata => found.push((entry.path(), metadata.len())),
            }
        }
    }
    found.sort();
    found
}

/// What a properties file says, the last of a key.
fn property(file: &Path, key: &str) -> String {
    let text = fs::read_to_string(file).unwrap();
    let line = text
        .lines()
        .rev()
        .find(|line| line.starts_with(&format!("{key}=")));
    line.unwrap_or_else(|| panic!("no {key} in {}", file.display()))[key.len() + 1..].to_owned()
}

fn set_time(path: &Path, like: &Path) {
    let modified = fs::metadata(like).unwrap().modified().unwrap();
    fs::File::open(path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
}

#[test]
fn an_instance_comes_to_a_clean_machine_and_goes_on_there() {
    let (Some(world), Some(machine)) = (World::new("clean_origin"), Machine::new()) else {
        return;
    };
    let origin = &world.instance;
    // A role that only the old server has, and a build that broke off.
    world.cluster.psql(
        "clean_origin",
        "DO $$ BEGIN CREATE ROLE old_reports; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
         GRANT SELECT ON c_order TO old_reports;
         UPDATE ad_system_info SET system_status = 'RB43';
         REFRESH MATERIALIZED VIEW sales_of_month_mv",
    );
    let root = is_root();
    if root {
        chown(
            OLD_USER,
            &[&origin.sources, &origin.deploy, &origin.attachments],
        );
    }
    world.init();
    world.json(&["backup"]);
    let reference = world.path("reference");
    let beside = [
        "restore",
        "latest",
        "--yes",
        "--to-directory",
        reference.to_str().unwrap(),
    ];
    world.json(&beside);
    let repository = world.path("repository");
    let repository = repository.to_str().unwrap();

    // Only what names the connection, and where attachments are to lie.
    let sources = machine.path("srv/erp");
    let attachments = machine.path("data/attached");
    fs::create_dir_all(sources.join("config")).unwrap();
    fs::create_dir_all(&attachments).unwrap();
    let minimal = format!(
        "bbdd.url=jdbc:postgresql://127.0.0.1:{}\nbbdd.sid=erp_new\nbbdd.user={ROLE}\nbbdd.password={PASSWORD}\n\
         attach.path={}\n",
        machine.cluster.port(),
        attachments.display()
    );
    fs::write(sources.join("config/Openbravo.properties"), minimal).unwrap();
    if root {
        chown(
            NEW_USER,
            &[
                &machine.path("srv"),
                &machine.path("data"),
                &machine.path("tomcat9"),
            ],
        );
    }
    let before = objects(Path::new(repository));
    let restore = ["restore", "latest", "--repository", repository];
    let planned = machine.json("srv/erp", &[&restore[..], &["--dry-run"]].concat());
    let notes = planned["notes"].to_string();
    for word in ["another machine", "only read", "old_reports"] {
        assert!(notes.contains(word), "{notes}");
    }
    assert!(!sources.join("build.xml").exists());
    let restored = machine.json("srv/erp", &[&restore[..], &["--yes"]].concat());
    assert!(
        restored["warnings"].to_string().contains("old_reports"),
        "{restored}"
    );
    assert_eq!(restored["database"], "erp_new");
    assert_eq!(
        before,
        objects(Path::new(repository)),
        "the repository was written to"
    );
    // No database was there before that could come back.
    let old = &machine.json("srv/erp", &["status"])["old_states"][0];
    assert_eq!(old["lacks_database"], true, "{old}");
    let undo = ["undo", "--yes", "--no-safety-backup"];
    machine.refused("srv/erp", &undo, 10, &["nothing to go back to"]);

    compare_databases(&world, &machine);
    compare_files(&world, &machine, &reference, root);
    for file in [
        sources.join("config/Openbravo.properties"),
        machine.path("tomcat9/webapps/openbravo/WEB-INF/Openbravo.properties"),
    ] {
        let url = format!("jdbc:postgresql://127.0.0.1:{}", machine.cluster.port());
        assert_eq!(property(&file, "bbdd.url"), url);
        assert_eq!(property(&file, "bbdd.sid"), "erp_new");
        assert_eq!(property(&file, "bbdd.user"), ROLE);
        assert_eq!(property(&file, "source.path"), sources.to_str().unwrap());
        assert_eq!(
            property(&file, "attach.path"),
            attachments.to_str().unwrap()
        );
        // The old superuser and its password are not this machine's.
        assert_eq!(property(&file, "bbdd.systemPassword"), "");
        assert_eq!(property(&file, "background.policy"), "default");
    }
    assert!(!sources.join("config/obbackup.toml").exists());

    take_over(&world, &machine, repository);
}

/// The same rows, and the same definitions but for the role's name.
fn compare_databases(world: &World, machine: &Machine) {
    let (old, new) = (world.cluster, &machine.cluster);
    let mut expected = world.rows("clean_origin");
    let mut actual = equality::rows(new, "erp_new");
    let status = |rows: &mut crate::world::Rows| rows.remove("public.ad_system_info").unwrap();
    // The status alone differs: with it Tomcat's start ends in a ready application.
    assert_ne!(status(&mut expected), status(&mut actual));
    let row = "SELECT to_jsonb(s) - 'system_status' FROM ad_system_info s";
    assert_eq!(old.psql("clean_origin", row), new.psql("erp_new", row));
    let answer = new.psql("erp_new", "SELECT system_status FROM ad_system_info");
    assert_eq!(answer, "RB51");
    assert_eq!(expected, actual);

    // What PostgreSQL's own programs make of the old one on the new server.
    new.psql(
        "postgres",
        "CREATE ROLE tad; CREATE ROLE old_reports; CREATE DATABASE plain OWNER tad TEMPLATE template0",
    );
    let dump = machine.path("dump");
    let mut pg_dump = new.command("pg_dump");
    old.environment(&mut pg_dump);
    let mut pg_restore = new.command("pg_restore");
    pg_dump.args(["--format=custom", "--dbname=clean_origin", "--file"]);
    pg_restore.args(["--exit-on-error", "--dbname=plain"]);
    for mut command in [pg_dump, pg_restore] {
        let output = command.arg(&dump).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
    }
    let expected: Vec<_> = equality::definitions(new, "plain")
        .into_iter()
        .filter(|line| !line.contains("old_reports") && !line.contains("TABLE c_order; Type: ACL"))
        .map(|line| renamed(&line))
        .collect();
    let mut expected = expected;
    expected.sort();
    let difference = equality::difference(&expected, &equality::definitions(new, "erp_new"));
    assert!(difference.is_empty(), "{difference:#?}");
    let owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'erp_new'";
    assert_eq!(new.psql("postgres", owner), ROLE);
}

/// A line of a dump with the new role in the place of the old one, where a role stands.
fn renamed(line: &str) -> String {
    let words: Vec<_> = line
        .split(' ')
        .map(|word| match word {
            "tad" => ROLE.to_owned(),
            "tad;" => format!("{ROLE};"),
            other => other.to_owned(),
        })
        .collect();
    words.join(" ")
}

/// Everything where it belongs, and the new machine's user has it.
fn compare_files(world: &World, machine: &Machine, reference: &Path, root: bool) {
    if root {
        chown(NEW_USER, &[reference]);
    }
    let sources = machine.path("srv/erp");
    let deploy = machine.path("tomcat9/webapps/openbravo");
    // What the restore keeps aside and what lies inside of another part are no part of the comparison.
    for (index, directory) in [&sources, &machine.path("data/attached"), &deploy]
        .iter()
        .enumerate()
    {
        let own = directory.join(".obbackup");
        if own.exists() {
            fs::rename(own, machine.path(&format!("own-{index}"))).unwrap();
        }
    }
    let config = sources.join("config");
    // The properties differ, as they should.
    for (here, there) in [
        (config.clone(), reference.join("configuration")),
        (deploy.join("WEB-INF"), reference.join("deploy/WEB-INF")),
    ] {
        fs::copy(
            here.join("Openbravo.properties"),
            there.join("Openbravo.properties"),
        )
        .unwrap();
        set_time(
            &there.join("Openbravo.properties"),
            &here.join("Openbravo.properties"),
        );
        let extra = there.join("obbackup.toml");
        if extra.exists() {
            fs::remove_file(extra).unwrap();
        }
        set_time(&there, &here);
    }
    assert_same(&reference.join("configuration"), &config);
    let aside = machine.path("config-aside");
    fs::rename(&config, &aside).unwrap();
    set_time(&sources, &reference.join("sources"));
    assert_same(&reference.join("sources"), &sources);
    fs::rename(&aside, &config).unwrap();
    assert_same(&reference.join("deploy"), &deploy);
    set_time(
        &machine.path("data/attached"),
        &reference.join("attachments"),
    );
    assert_same(
        &reference.join("attachments"),
        &machine.path("data/attached"),
    );
    if root {
        for path in [
            sources.join("build.xml"),
            config.join("Openbravo.properties"),
            deploy.clone(),
        ] {
            let metadata = fs::metadata(&path).unwrap();
            assert_eq!(
                (metadata.uid(), metadata.gid()),
                (NEW_USER, NEW_USER),
                "{}",
                path.display()
            );
        }
        let old = fs::metadata(world.instance.sources.join("build.xml")).unwrap();
        assert_eq!(old.uid(), OLD_USER);
    }
}

/// Until the new machine takes over it only reads; from then on the old one only reads.
fn take_over(world: &World, machine: &Machine, repository: &str) {
    let at = ["--repository", repository];
    let taken = world.json(&["list"])["backups"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let before = objects(Path::new(repository));
    let words = ["another instance", "--take-over", "--share"];
    machine.refused("srv/erp", &[&["backup"], &at[..]].concat(), 1, &words);
    let delete = ["delete", &taken, "--yes"];
    machine.refused(
        "srv/erp",
        &[&delete[..], &at].concat(),
        1,
        &["another instance"],
    );
    let scratch = machine.path("scratch");
    fs::create_dir(&scratch).unwrap();
    let drill = [
        "verify",
        &taken,
        "--drill",
        "--scratch",
        scratch.to_str().unwrap(),
    ];
    let drilled = machine.json("srv/erp", &[&drill[..], &at].concat());
    assert_eq!(drilled["passed"], true, "{drilled}");
    assert!(
        drilled["warnings"]
            .to_string()
            .contains("could not be written down"),
        "{drilled}"
    );
    assert_eq!(
        before,
        objects(Path::new(repository)),
        "the repository was written to"
    );

    let made = machine.json("srv/erp", &[&["init", "--take-over"], &at[..]].concat());
    assert_eq!(made["taken_over"]["backups"], 1, "{made}");
    let again = machine.json("srv/erp", &["backup"]);
    assert_eq!(again["status"], "good", "{again}");
    assert_eq!(again["parent"].as_str(), Some(&*taken));
    assert_eq!(
        machine.json("srv/erp", &["list"])["backups"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    // The old machine is revived: it knows the same instance, and keeps its hands off.
    let words = ["taken over by", "hint:", "--take-over"];
    world.refused(&["backup"], 1, &words);
    world.refused(&["backup", "--dry-run"], 1, &words);
    world.refused(&["delete", &taken, "--yes"], 1, &words);
    assert_eq!(
        world.json(&["list"])["backups"].as_array().unwrap().len(),
        2
    );
    assert_eq!(
        world.json(&["verify", "--read-data"])["findings"],
        serde_json::json!([])
    );
    // Until it takes over itself.
    world.json(&["init", "--take-over"]);
    world.json(&["backup", "--only", "configuration"]);
    machine.refused("srv/erp", &["backup"], 1, &words);
}

#[test]
fn without_any_configuration_the_environment_or_an_argument_names_the_connection() {
    let (Some(world), Some(machine)) = (World::new("clean_bare"), Machine::new()) else {
        return;
    };
    let stronger = complicate(&world);
    world.init();
    world.json(&["backup"]);
    let repository = world.path("repository");
    let restore = [
        "restore",
        "latest",
        "--repository",
        repository.to_str().unwrap(),
        "--yes",
    ];
    let port = machine.cluster.port().to_string();
    machine.refused(
        "one",
        &restore,
        2,
        &["connection for the new database", "--connection"],
    );

    let mut command = machine.command("one", &[&["--json"], &restore[..]].concat());
    command
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", &port)
        .env("PGUSER", ROLE)
        .env("PGPASSWORD", PASSWORD);
    let restored = document(&restore, &command.output().unwrap());
    assert_eq!(restored["database"], "clean_bare");
    let one = machine.path("one");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&one), mode(&world.instance.sources));
    let config = one.join("config/Openbravo.properties");
    assert_eq!(
        property(&config, "attach.path"),
        one.join("attachments").to_str().unwrap()
    );
    assert_eq!(property(&config, "bbdd.password"), PASSWORD);
    let url = format!("jdbc:postgresql://127.0.0.1:{port}");
    assert_eq!(property(&config, "bbdd.readonly.url"), url);
    assert!(one.join("attachments").read_dir().unwrap().count() > 0);
    assert!(
        machine
            .path("tomcat9/webapps/openbravo/WEB-INF/web.xml")
            .exists()
    );
    assert_eq!(property(&one.join(&stronger), "safe.mode"), "false");

    // The same by an argument; the password comes from the password file, and the application gets it.
    let home = machine.path("home");
    fs::create_dir(&home).unwrap();
    let line = format!("127.0.0.1:{port}:*:{ROLE}:{PASSWORD}\n");
    obbackup::config::write_private(
        &home.join(".pgpass"),
        line.as_bytes(),
        obbackup::config::Owner::of(&home).unwrap(),
    )
    .unwrap();
    let connection = format!("postgresql://{ROLE}@127.0.0.1:{port}/second");
    let arguments = [
        &restore[..],
        &[
            "--connection",
            &connection,
            "--only",
            "database,configuration",
        ],
    ]
    .concat();
    machine.json("two", &arguments);
    let config = machine.path("two/config/Openbravo.properties");
    assert_eq!(property(&config, "bbdd.sid"), "second");
    assert_eq!(property(&config, "bbdd.password"), PASSWORD);
    // It goes before the file that has the old host's name.
    assert_eq!(
        property(&machine.path("two").join(&stronger), "bbdd.sid"),
        "second"
    );
    assert_eq!(
        equality::rows(&machine.cluster, "second"),
        equality::rows(&machine.cluster, "clean_bare")
    );
    let secret = format!("postgresql://{ROLE}:hidden@127.0.0.1/x");
    let arguments = [&restore[..], &["--connection", &secret]].concat();
    machine.refused("three", &arguments, 2, &["PGPASSWORD"]);
}

/// Attachments inside of the sources, which move with them; reports from a replica; and stronger properties, chosen by
/// the host's name, which the new machine has too. The path of these below the sources.
fn complicate(world: &World) -> String {
    let origin = &world.instance;
    let inside = origin.sources.join("attachments");
    fs::rename(&origin.attachments, &inside).unwrap();
    let file = origin.sources.join("config/Openbravo.properties");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace(
        &format!("attach.path={}", origin.attachments.display()),
        &format!(
            "attach.path={}\nbbdd.readonly.url=jdbc:postgresql://replica:5432",
            inside.display()
        ),
    );
    fs::write(&file, text).unwrap();
    let hostname = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let stronger = format!("config/{hostname}.Openbravo.properties");
    fs::write(
        origin.sources.join(&stronger),
        "bbdd.sid=clean_bare\nsafe.mode=false\n",
    )
    .unwrap();
    stronger
}
