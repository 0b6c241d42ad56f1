//! The program from outside: usage errors, exit codes, help, and both forms of output.

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

/// An instance whose database nobody serves, and a place for a repository.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir_all(place.path("erp/config")).unwrap();
        std::fs::create_dir_all(place.path("erp/src")).unwrap();
        std::fs::create_dir_all(place.path("attachments")).unwrap();
        std::fs::write(place.path("erp/src/A.java"), "class A {}\n").unwrap();
        std::fs::write(place.path("attachments/a.txt"), "attached\n").unwrap();
        place.properties("");
        place
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    fn properties(&self, more: &str) {
        let text = format!(
            "bbdd.rdbms=POSTGRE\nbbdd.url=jdbc:postgresql://127.0.0.1:1\nbbdd.sid=openbravo\nbbdd.user=tad\n\
             bbdd.password=hush-hush\ncontext.name=openbravo\nsource.path={}\nattach.path={}\n{more}",
            self.path("erp").display(),
            self.path("attachments").display()
        );
        std::fs::write(self.path("erp/config/Openbravo.properties"), text).unwrap();
    }

    /// Runs the program inside the instance.
    fn run(&self, line: &str) -> Run {
        self.run_words(&line.split(' ').collect::<Vec<_>>())
    }

    fn run_words(&self, words: &[&str]) -> Run {
        run(words, &self.path("erp"), self.directory.path())
    }

    fn with_repository() -> Self {
        let place = Self::new();
        let repository = place.path("repository");
        place
            .run_words(&["init", "--repository", repository.to_str().unwrap()])
            .expect(0);
        place
    }

    fn back_up(&self, more: &str) -> Value {
        let line = format!("backup --json --only sources,attachments,configuration{more}");
        self.run(&line).expect(0).json()
    }
}

struct Run {
    line: String,
    output: Output,
}

fn run(words: &[&str], directory: &Path, home: &Path) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_obbackup"))
        .args(words)
        .current_dir(directory)
        .env_clear()
        .env("HOME", home)
        .env("TZ", "UTC")
        .output()
        .unwrap();
    Run {
        line: words.join(" "),
        output,
    }
}

impl Run {
    fn out(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    fn err(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).unwrap()
    }

    fn expect(self, code: i32) -> Self {
        let found = self.output.status.code();
        assert_eq!(
            found,
            Some(code),
            "{}\n{}{}",
            self.line,
            self.out(),
            self.err()
        );
        for text in [self.out(), self.err()] {
            assert!(
                !text.contains("hush-hush"),
                "{} shows a password",
                self.line
            );
            assert!(!text.contains("panicked"), "{text}");
        }
        self
    }

    fn says(self, text: &str) -> Self {
        assert!(self.err().contains(text), "{}: {}", self.line, self.err());
        self
    }

    fn json(&self) -> Value {
        let document: Value = serde_json::from_str(&self.out()).unwrap();
        assert_eq!(document["schema"], 1, "{document}");
        document
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let place = Place::new();
    let help = place.run("--help").expect(0).out();
    let commands = [
        "init",
        "backup",
        "list",
        "show",
        "ls",
        "cat",
        "verify",
        "restore",
        "forget",
        "prune",
        "pin",
        "unpin",
        "metrics",
        "guard",
        "delete",
        "doctor",
        "storage",
        "storage df",
        "completions",
        "man",
    ];
    for command in commands {
        let first = command.split(' ').next().unwrap();
        assert!(
            help.lines()
                .any(|line| line.trim_start().starts_with(first)),
            "{command}"
        );
        let help = place.run(&format!("{command} --help")).expect(0).out();
        assert!(help.contains("Usage: obbackup "), "{command}");
        assert!(
            command == "storage" || help.contains("Examples:"),
            "{command}"
        );
        let page = place.run(&format!("man {command}")).expect(0).out();
        assert!(page.contains(".SH \"EXIT STATUS\""), "{command}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&format!("completions {shell}")).expect(0).out();
        assert!(script.contains("obbackup"), "{shell}");
    }
    assert!(
        place
            .run("--version")
            .expect(0)
            .out()
            .starts_with("obbackup ")
    );
}

#[test]
fn usage_errors_end_with_2_in_the_form_asked_for() {
    let place = Place::new();
    for line in [
        "",
        "list --month 3",
        "restore",
        "frobnicate",
        "backup --type nightly",
        "man x",
    ] {
        let words: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let run = place.run_words(&words).expect(2);
        assert!(run.out().is_empty(), "{line}");
    }
    let run = place.run("list --json --year soon").expect(2);
    let document: Value = serde_json::from_str(&run.err()).unwrap();
    assert_eq!(document["error"]["kind"], "USAGE");
    assert_eq!(document["error"]["exit_code"], 2);
    assert!(
        document["error"]["message"]
            .as_str()
            .unwrap()
            .contains("--year")
    );
}

#[test]
fn what_is_not_there_ends_with_10_and_a_hint() {
    let place = Place::new();
    place
        .run("list")
        .expect(10)
        .says("hint: Create one: obbackup init");
    place
        .run("list --repository ./nowhere")
        .expect(10)
        .says("there is no directory")
        .says("hint: Check that its device is mounted");
    place
        .run("list --repository .")
        .expect(10)
        .says("is not a repository: it has no `repo.json`");
    place
        .run("list --repository nowhere")
        .expect(10)
        .says("no repository `nowhere`");
    place
        .run("backup --instance /nowhere --repository ./x")
        .expect(10)
        .says("no directory `/nowhere`");
    place
        .run("list --config nowhere.toml")
        .expect(10)
        .says("nowhere.toml");
    let outside = run(&["doctor"], place.directory.path(), place.directory.path());
    outside.expect(10).says("--instance");
    let place = Place::with_repository();
    place.run("show latest").expect(10);
    place
        .run("show abcdef")
        .expect(10)
        .says("no backup `abcdef`");
    place.run("show xyz").expect(2).says("at least four digits");
}

#[test]
fn bad_configuration_is_refused_with_its_line() {
    let place = Place::with_repository();
    place.properties("bbdd.rdbms=ORACLE\n");
    place.run("backup").expect(14).says("Oracle");
    place.properties("attach.path=\\u12\n");
    place
        .run("backup")
        .expect(2)
        .says("Openbravo.properties`, line 9");
    place.properties("");
    std::fs::write(
        place.path("erp/config/obbackup.toml"),
        "[backup]\njbos = 2\n",
    )
    .unwrap();
    place
        .run("list")
        .expect(2)
        .says("line 2: unknown key `jbos`\nhint: Known keys there: jobs, nice, bytes_per_second, exclude.");
}

#[test]
fn a_server_that_is_down_fails_the_backup_and_leaves_nothing() {
    let place = Place::with_repository();
    place.run("backup").expect(1).says("127.0.0.1:1");
    assert_eq!(
        place.run("list --json").expect(0).json()["backups"],
        Value::Array(vec![])
    );
    place.run("verify --read-data").expect(0);
    place.run("doctor").expect(1);
}

#[test]
fn a_repository_inside_the_instance_is_refused() {
    let place = Place::new();
    for inside in ["backups", "../attachments/backups", ".."] {
        place
            .run_words(&["init", "--repository", &format!("./{inside}")])
            .expect(2)
            .says("inside");
    }
    assert!(!place.path("erp/backups").exists() && !place.path("attachments/backups").exists());
    assert!(!place.path("erp/config/obbackup.toml").exists());
}

#[test]
fn init_writes_a_private_configuration_once() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::with_repository();
    let path = place.path("erp/config/obbackup.toml");
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    place
        .run("init --repository ../repository")
        .expect(1)
        .says("is a repository already")
        .says("--take-over");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert!(
        !text.contains(".."),
        "the path is absolute and straight: {text}"
    );
    place.run("init").expect(2).says("--repository");
}

#[test]
fn a_backup_does_not_fail_because_nothing_can_be_written_down_of_it() {
    let place = Place::with_repository();
    let state = place.path("erp/.obbackup/state");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("log"), "in the way").unwrap();
    place
        .run("backup --only sources")
        .expect(0)
        .says("warning: nothing is written down of this run");
}

#[test]
fn a_backup_of_files_is_listed_shown_read_and_deleted() {
    let place = Place::with_repository();
    let first = place.back_up(" --label one --pin");
    for field in [
        "id",
        "type",
        "status",
        "started_at",
        "finished_at",
        "database_bytes",
        "files",
        "files_bytes",
        "new_bytes",
        "stored_bytes",
    ] {
        assert!(!first[field].is_null(), "{field}");
    }
    assert!(
        first["started_at"].as_str().unwrap().ends_with('Z'),
        "RFC 3339 in UTC"
    );
    let second = place.back_up(" --type automated");
    assert_eq!(second["parent"], first["id"]);

    let list = place.run("list --json").expect(0).json();
    let ids: Vec<_> = list["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["id"])
        .collect();
    assert_eq!(ids, [&second["id"], &first["id"]], "the newest first");
    let table = place.run("list").expect(0).out();
    let id = first["id"].as_str().unwrap();
    assert!(
        table.starts_with("ID ") && table.contains(&id[..8]) && table.contains("good, pinned"),
        "{table}"
    );
    let automated = place.run("list --json --type automated").expect(0).json();
    assert_eq!(automated["backups"].as_array().unwrap().len(), 1);
    let past = place
        .run("list --json --year 2001 --month 2 --day 3")
        .expect(0)
        .json();
    assert!(past["backups"].as_array().unwrap().is_empty());
    place.run("list --year 2001 --month 2 --day 30").expect(2);

    let shown = place
        .run_words(&["show", &id[..8], "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["id"], first["id"]);
    assert_eq!(shown["parts"].as_array().unwrap().len(), 3);
    let listed = place.run("ls latest sources/src --json").expect(0).json();
    assert_eq!(listed["entries"][0]["path"], "sources/src/A.java");
    assert_eq!(
        place.run("cat latest attachments/a.txt").expect(0).out(),
        "attached\n"
    );
    place.run("cat latest attachments/b.txt").expect(10);
    place.run("cat latest sources").expect(2);
    place
        .run("cat latest table:c_order")
        .expect(10)
        .says("no database");

    let used = place.run("storage df --json").expect(0).json();
    assert_eq!(used["backups"], 2);
    assert!(used["total_bytes"].as_u64() > used["free_bytes"].as_u64());

    place.run_words(&["delete", id]).expect(2).says("--yes");
    place.run_words(&["delete", id, "--yes"]).expect(0);
    assert_eq!(
        place.run("verify --read-data --json").expect(0).json()["sound"],
        true
    );
    assert_eq!(
        place.run("list --json").expect(0).json()["backups"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_dry_run_changes_nothing() {
    let place = Place::with_repository();
    let plan = place
        .run("backup --dry-run --only sources --json")
        .expect(0)
        .json();
    assert_eq!(plan["files"][0]["part"], "sources");
    assert!(
        place.run("list --json").expect(0).json()["backups"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn environment_gives_way_to_arguments_and_goes_before_the_file() {
    let place = Place::with_repository();
    place.back_up("");
    let run = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_obbackup"))
            .args(words)
            .current_dir(place.path("erp"))
            .env("OBBACKUP_REPOSITORY", "./nowhere")
            .output()
            .unwrap();
        output.status.code()
    };
    assert_eq!(run(&["list"]), Some(10));
    assert_eq!(run(&["list", "--repository", "main"]), Some(0));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    let place = Place::with_repository();
    std::fs::write(place.path("attachments/large"), vec![b'x'; 8 << 20]).unwrap();
    place.back_up("");
    for words in [
        &["cat", "latest", "attachments/large"][..],
        &["man"],
        &["--help"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_obbackup"))
            .args(words)
            .current_dir(place.path("erp"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut byte = [0];
        child.stdout.take().unwrap().read_exact(&mut byte).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    }
}

#[test]
fn labels_cannot_play_with_the_terminal() {
    let place = Place::with_repository();
    place
        .run_words(&[
            "backup",
            "--only",
            "sources",
            "--label",
            "\u{1b}[2J\u{202e}x",
        ])
        .expect(0);
    for line in ["list", "show latest"] {
        let out = place.run(line).expect(0).out();
        assert!(
            !out.contains('\u{1b}') && !out.contains('\u{202e}') && out.contains("\\u{1b}"),
            "{out}"
        );
    }
}

#[test]
fn damage_ends_with_15_and_names_the_object() {
    let place = Place::with_repository();
    place.back_up("");
    let directory = std::fs::read_dir(place.path("repository/packs"))
        .unwrap()
        .next()
        .unwrap();
    let pack = std::fs::read_dir(directory.unwrap().path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[600] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let run = place.run("verify --read-data --json").expect(15);
    let found = run.json();
    assert_eq!(found["sound"], false);
    let object = found["findings"][0]["object"].as_str().unwrap();
    assert!(pack.ends_with(object), "{object}");
    assert!(
        place
            .run("verify --read-data")
            .expect(15)
            .out()
            .contains("damaged")
    );
}

#[test]
fn ctrl_c_stops_cleanly_with_130() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let place = Place::with_repository();
    let mut number = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        number.to_be_bytes()
    })
    .take(24 << 20)
    .flatten()
    .collect();
    std::fs::write(place.path("attachments/large"), noise).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_obbackup"))
        .args(["backup", "--only", "attachments,sources"])
        .current_dir(place.path("erp"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("attachments")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(
        rest.iter().any(|line| line == "stopped on request"),
        "{rest:?}"
    );
    assert!(
        place.run("list --json").expect(0).json()["backups"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    place.run("verify --read-data").expect(0);
    place.back_up("");
}
