//! The made-up instance's files.

use std::fs::{self, File, FileTimes};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::text::{self, Chance};
use super::{Instance, database};

/// Makes sources and deployed application with about so many files.
pub fn create(instance: &Instance, files: u32) {
    let mut tree = Tree::new(files);
    tree.sources(&instance.sources, files);
    tree.deploy(&instance.deploy, &instance.sources, files);
    fs::create_dir_all(&instance.attachments).unwrap();
}

/// Stores the file of each attachment of the database that has none yet.
pub fn attach(instance: &Instance, server: &postgres::Config) {
    let mut tree = Tree::new(0);
    for (number, (path, name)) in database::attachments(server, &instance.database)
        .iter()
        .enumerate()
    {
        let file = instance.attachments.join(path).join(name);
        if !file.exists() {
            let mut chance = Chance::new(number as u64 + 1_000_000);
            let length = chance.size(12_000);
            tree.bytes.clear();
            match name.rsplit('.').next() {
                Some("csv" | "txt") => text::rows(&mut chance, length, &mut tree.bytes),
                _ => chance.bytes(length, &mut tree.bytes),
            }
            tree.write(&file);
        }
    }
}

struct Tree {
    chance: Chance,
    bytes: Vec<u8>,
    written: u64,
}

impl Tree {
    fn new(seed: u32) -> Self {
        Self {
            chance: Chance::new(u64::from(seed)),
            bytes: Vec::new(),
            written: 0,
        }
    }

    #[allow(clippy::too_many_lines)]
    fn sources(&mut self, root: &Path, files: u32) {
        let share = |percent: u32| files * percent / 100;
        for n in 0..share(12) {
            self.code(
                &root.join(format!("src/org/openbravo/{}/Class{n}.java", package(n))),
                7_000,
            );
        }
        for n in 0..share(6) {
            self.code(
                &root.join(format!("web/js/{}/script{n}.js", package(n))),
                7_000,
            );
            self.bytes(
                &root.join(format!("web/skins/default/{}/icon{n}.png", package(n))),
                1_500,
            );
        }
        let modules = (files / 300).max(3);
        for n in 0..share(34) {
            let module = format!("modules/com.example.module{}", n % modules);
            let path = match n / modules % 6 {
                0 | 1 => format!("{module}/src/com/example/{}/Handler{n}.java", package(n)),
                2 => format!("{module}/web/com.example/js/view{n}.js"),
                3 => format!("{module}/build/classes/com/example/Validation{n}.class"),
                4 => format!("{module}/src-db/database/model/tables/TABLE_{n}.xml"),
                _ => format!("{module}/src-db/database/sourcedata/AD_{n}.xml"),
            };
            self.by_name(&root.join(path), 6_000);
        }
        for n in 0..share(8) {
            let kind = ["tables", "functions", "views", "triggers"][n as usize % 4];
            self.rows(
                &root.join(format!("src-db/database/model/{kind}/OBJECT_{n}.xml")),
                8_000,
            );
        }
        let dictionary = "src-db/database/sourcedata/AD_MODULE.xml";
        let core = module("0", "Core", "3.0.244900", "org.openbravo");
        self.text(&root.join(dictionary), core.as_bytes());
        // The modules that the database knows.
        for n in 1..=30 {
            let (name, package) = (format!("Module {n}"), format!("com.example.module{n}"));
            let text = module(&n.to_string(), &name, &format!("1.{n}.0"), &package);
            let path = root.join("modules").join(package).join(dictionary);
            self.text(&path, text.as_bytes());
        }
        // A few large files of the dictionary and the sample data.
        for n in 0..share(1).max(2) {
            self.rows(
                &root.join(format!("src-db/database/sourcedata/AD_DICTIONARY_{n}.xml")),
                150_000,
            );
            self.rows(
                &root.join(format!("referencedata/sampledata/Company/TABLE_{n}.xml")),
                150_000,
            );
        }
        for n in 0..jars(files) {
            self.bytes(&root.join(format!("lib/runtime/library-{n}.jar")), 450_000);
        }
        // What a build makes again and a backup leaves out.
        for n in 0..share(4) {
            self.by_name(
                &root.join(format!(
                    "build/classes/org/openbravo/{}/Class{n}.class",
                    package(n)
                )),
                5_000,
            );
            self.code(
                &root.join(format!(
                    "src-gen/org/openbravo/model/{}/Entity{n}.java",
                    package(n)
                )),
                8_000,
            );
        }
        for n in 0..share(2) {
            self.code(
                &root.join(format!(
                    "srcAD/org/openbravo/erpWindows/{}/Window{n}.java",
                    package(n)
                )),
                9_000,
            );
        }
        for (name, lines) in [
            ("config/Format.xml", 4_000),
            ("config/log4j2.xml", 2_000),
            ("config/quartz.properties", 900),
            ("build.xml", 60_000),
            ("gradle.properties", 200),
        ] {
            self.code(&root.join(name), lines);
        }
        self.text(
            &root.join("bin/rebuild.sh"),
            b"#!/bin/sh\nexec ant smartbuild -Dlocal=no\n",
        );
        fs::set_permissions(
            root.join("bin/rebuild.sh"),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
        fs::create_dir_all(root.join("modules/com.example.module0/src-test")).unwrap();
        fs::create_dir_all(root.join("tmp")).unwrap();
        replace_link("runtime/library-0.jar", &root.join("lib/latest.jar"));
    }

    fn deploy(&mut self, root: &Path, sources: &Path, files: u32) {
        let share = |percent: u32| files * percent / 100;
        for n in 0..share(16) {
            self.by_name(
                &root.join(format!(
                    "WEB-INF/classes/org/openbravo/{}/Class{n}.class",
                    package(n)
                )),
                5_000,
            );
        }
        // Copies of what is in the sources.
        for n in 0..jars(files) {
            copy(
                &sources.join(format!("lib/runtime/library-{n}.jar")),
                &root.join(format!("WEB-INF/lib/library-{n}.jar")),
            );
        }
        for n in 0..share(6) {
            let names = [
                format!("js/{}/script{n}.js", package(n)),
                format!("skins/default/{}/icon{n}.png", package(n)),
            ];
            for name in names {
                copy(
                    &sources.join("web").join(&name),
                    &root.join("web").join(&name),
                );
            }
        }
        self.code(&root.join("WEB-INF/web.xml"), 90_000);
        self.code(&root.join("index.html"), 800);
    }

    fn by_name(&mut self, path: &Path, typical: usize) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("xml") => self.rows(path, typical),
            Some("class") => {
                let length = self.chance.size(typical);
                self.bytes.clear();
                text::class(&mut self.chance, length, &mut self.bytes);
                self.write(path);
            }
            _ => self.code(path, typical),
        }
    }

    fn code(&mut self, path: &Path, typical: usize) {
        let length = self.chance.size(typical);
        self.bytes.clear();
        text::code(&mut self.chance, length, &mut self.bytes);
        self.write(path);
    }

    fn rows(&mut self, path: &Path, typical: usize) {
        let length = self.chance.size(typical);
        self.bytes.clear();
        text::rows(&mut self.chance, length, &mut self.bytes);
        self.write(path);
    }

    fn bytes(&mut self, path: &Path, typical: usize) {
        let length = self.chance.size(typical);
        self.bytes.clear();
        self.chance.bytes(length, &mut self.bytes);
        self.write(path);
    }

    fn text(&mut self, path: &Path, text: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(text);
        self.write(path);
    }

    /// Writes what is in `bytes`, with a time in the past: a file of this very moment may still be changing, and tools
    /// that compare times read it again.
    fn write(&mut self, path: &Path) {
        let mut file = File::create(path).unwrap_or_else(|_| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            File::create(path).unwrap()
        });
        file.write_all(&self.bytes).unwrap();
        self.written += 1;
        set_time(&file, self.written);
    }
}

/// What sources say of a module.
fn module(id: &str, name: &str, version: &str, package: &str) -> String {
    let column = |column: &str, value: &str| {
        format!("<!--{id}-->  <{column}><![CDATA[{value}]]></{column}>\n")
    };
    format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<data>\n<!--{id}--><AD_MODULE>\n{}{}{}{}<!--{id}--></AD_MODULE>\n</data>\n",
        column("AD_MODULE_ID", id),
        column("NAME", name),
        column("VERSION", version),
        column("JAVAPACKAGE", package),
    )
}

fn set_time(file: &File, number: u64) {
    let seconds = 1_700_000_000 + number * 7919 % 20_000_000;
    let time =
        SystemTime::UNIX_EPOCH + Duration::new(seconds, (number * 104_729 % 1_000_000_000) as u32);
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
    let modified = fs::metadata(from).unwrap().modified().unwrap();
    File::options()
        .write(true)
        .open(to)
        .and_then(|file| file.set_modified(modified))
        .unwrap();
}

fn replace_link(target: &str, link: &Path) {
    let _ = fs::remove_file(link);
    symlink(PathBuf::from(target), link).unwrap();
}

/// Packages of some forty files.
fn package(n: u32) -> String {
    format!("area{}/part{}", n / 400, n / 40)
}

fn jars(files: u32) -> u32 {
    (files / 400).max(3)
}
