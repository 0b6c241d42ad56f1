//! Whole backups under trouble: people who work on meanwhile, a full device, an unreadable file.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use std::time::{Duration, Instant};

use crate::support::cluster::skipped;
use crate::support::tree::is_root;
use crate::world::{World, errors};

/// A file that is made after the first walk and deleted before the second one cannot be had: people take longer.
const LIFETIME: Duration = Duration::from_secs(6);

/// Users attach and delete while backups run. Openbravo writes the file before its row, and deletes the row before
/// the file; so a row of the snapshot always has its file, and the backup must have both.
#[test]
fn no_attachment_of_the_snapshot_lacks_its_file() {
    let Some(world) = World::new("attaching") else {
        return;
    };
    world.init();
    let stop = AtomicBool::new(false);
    let (backups, attached) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (world, stop) = (&world, &stop);
                scope.spawn(move || attach_and_delete(world, writer, stop))
            })
            .collect();
        // A failed check must stop the writers too, else nothing would end.
        let stopping = Stopping(&stop);
        let mut backups = 0;
        for _ in 0..12 {
            let taken = world.json(&["backup", "--only", "database,attachments"]);
            assert_eq!(taken["status"], "good", "{taken}");
            // That a file vanished during the walk is a note; that a row lacks its file is not among them.
            assert!(
                !taken["warnings"].to_string().contains("of the database"),
                "{taken}"
            );
            backups += 1;
        }
        drop(stopping);
        let attached: u32 = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum();
        (backups, attached)
    });
    assert!(
        backups == 12 && attached > 200,
        "{attached} attachments in {backups} backups"
    );
    // The check itself sees what is missing.
    world.cluster.psql(
        "attaching",
        "UPDATE c_file SET name = 'gone.pdf' WHERE c_file_id = (SELECT min(c_file_id) FROM c_file)",
    );
    let taken = world.json(&["backup", "--only", "database,attachments"]);
    assert!(
        taken["warnings"].to_string().contains("gone.pdf"),
        "{taken}"
    );
}

struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Returns how many attachments were made.
fn attach_and_delete(world: &World, writer: u32, stop: &AtomicBool) -> u32 {
    let mut client = world.cluster.connect("attaching");
    let template = "INSERT INTO c_file SELECT (jsonb_populate_record(f, jsonb_build_object( \
        'c_file_id', $1::text, 'name', $2::text, 'path', $3::text))).* FROM c_file f LIMIT 1";
    let mut number = 0;
    let mut doomed = VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        let (id, name) = (
            format!("{writer}TEST{number:027}"),
            format!("{writer}-{number}.txt"),
        );
        let path = format!("259/{writer:03}/{}", number % 10);
        let file = world.instance.attachments.join(&path).join(&name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &name).unwrap();
        client.execute(template, &[&id, &name, &path]).unwrap();
        if number % 3 != 0 {
            doomed.push_back((Instant::now(), id, file));
        }
        while doomed
            .front()
            .is_some_and(|(made, ..)| made.elapsed() > LIFETIME)
        {
            let (_, id, file) = doomed.pop_front().unwrap();
            client
                .execute("DELETE FROM c_file WHERE c_file_id = $1", &[&id])
                .unwrap();
            fs::remove_file(file).unwrap();
        }
        number += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    number
}

#[test]
fn a_full_device_ends_with_its_code_and_costs_nothing() {
    let Some(world) = World::new("full") else {
        return;
    };
    let device = world.path("device");
    fs::create_dir(&device).unwrap();
    let mount = |options: &str| {
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&device)
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if !is_root() || !mount("size=2m") {
        return skipped(&"a device of a fixed size needs the right to mount");
    }
    let repository = device.join("repository");
    let repository = repository.to_str().unwrap();
    let made = world.output(&["init", "--repository", repository]);
    assert!(made.status.success(), "{}", errors(&made));
    world.refused(&["backup"], 13, &["left for backups", "hint:"]);
    let sound = world.json(&["verify", "--read-data"]);
    let findings = sound["findings"].as_array().unwrap();
    assert!(
        findings.iter().all(|finding| finding["severity"] == "note"),
        "{sound}"
    );
    assert!(mount("remount,size=200m"));
    let taken = world.json(&["backup"]);
    assert_eq!(taken["status"], "good");
    let status = Command::new("umount").arg(&device).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_file_that_cannot_be_read_makes_the_backup_partial() {
    let Some(world) = World::new("unreadable") else {
        return;
    };
    if !is_root() {
        return skipped(&"reading as another user needs root");
    }
    // The owner of the sources runs the command; one file is root's alone.
    let nobody = 65534;
    for directory in [world.directory.path(), &world.instance.sources] {
        let status = Command::new("chown")
            .args(["-R", "65534:65534"])
            .arg(directory)
            .status();
        assert!(status.unwrap().success());
    }
    let secret = world.instance.sources.join("config/secret.key");
    fs::write(&secret, "root's").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let as_nobody = |arguments: &[&str]| {
        let original = world.command(arguments);
        let mut command = Command::new("setpriv");
        command
            .args([
                format!("--reuid={nobody}"),
                format!("--regid={nobody}"),
                "--clear-groups".to_owned(),
            ])
            .arg(original.get_program())
            .args(original.get_args())
            .env("CATALINA_BASE", world.path("tomcat"))
            .env("HOME", world.path("home"));
        command.output().unwrap()
    };
    let repository = world.path("repository");
    let made = as_nobody(&["init", "--repository", repository.to_str().unwrap()]);
    assert!(made.status.success(), "{}", errors(&made));
    let path = world.instance.sources.join("config/obbackup.toml");
    let told = world.path("told");
    let text = fs::read_to_string(&path).unwrap();
    let notifier = format!(
        "[notify.tell]\ntype = \"command\"\ncommand = [\"sh\", \"-c\", \"cat > {}\"]\nruns = \"all\"\n",
        told.display()
    );
    fs::write(&path, format!("{text}\n{notifier}")).unwrap();
    let taken = as_nobody(&["backup"]);
    assert_eq!(taken.status.code(), Some(3), "{}", errors(&taken));
    assert!(errors(&taken).contains("secret.key"), "{}", errors(&taken));
    let listed = world.json(&["list"]);
    assert_eq!(listed["backups"][0]["status"], "partial");
    let told: serde_json::Value = serde_json::from_slice(&fs::read(told).unwrap()).unwrap();
    assert_eq!(told["events"], serde_json::json!(["partial"]), "{told}");
    assert!(
        told["text"].as_str().unwrap().contains("secret.key"),
        "{told}"
    );
    // It does not count as good.
    world.refused(&["show", "latest"], 10, &["no complete backup"]);
}
