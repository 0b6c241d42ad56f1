//! Holds the native side and the Java side together, and records which revision is built.
//!
//! The native methods of `BackupNative.java` and the functions of `src/jni/exports.rs` must have the same names; their types
//! are asserted by code that is written here and compiled with them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const JAVA: &str = "java/src/main/java/org/openbravo/backup/BackupNative.java";
const EXPORTS: &str = "src/jni/exports.rs";
const POM: &str = "java/pom.xml";
const PREFIX: &str = "Java_org_openbravo_backup_BackupNative_";

fn main() {
    for input in ["build.rs", JAVA, EXPORTS, POM] {
        println!("cargo::rerun-if-changed={input}");
    }
    if let Err(error) = check() {
        println!("cargo::error={error}");
    }
    println!("cargo::rustc-env=OBBACKUP_REVISION={}", revision());
}

fn check() -> Result<(), String> {
    let methods = methods(&read(JAVA)?)?;
    let in_java: BTreeSet<String> = methods.iter().map(|method| method.name.clone()).collect();
    let in_rust = functions(&read(EXPORTS)?);
    if let Some(name) = in_java.difference(&in_rust).next() {
        return Err(format!(
            "{EXPORTS} has no {PREFIX}{name}, which {JAVA} declares"
        ));
    }
    if let Some(name) = in_rust.difference(&in_java).next() {
        return Err(format!(
            "{JAVA} declares no {name}, which {EXPORTS} exports"
        ));
    }
    let version = env_var("CARGO_PKG_VERSION");
    if !read(POM)?.contains(&format!(
        "<version>{version}</version><!-- as in Cargo.toml -->"
    )) {
        return Err(format!("the version in {POM} is not {version}"));
    }
    let mut text = String::new();
    for method in methods {
        let _ = writeln!(
            text,
            "const _: for<'l> extern \"system\" fn(EnvUnowned<'l>, JClass<'l>{}) -> {} = {PREFIX}{};",
            method.arguments, method.result, method.name
        );
    }
    let out = PathBuf::from(env_var("OUT_DIR")).join("exports.rs");
    std::fs::write(&out, text).map_err(|error| format!("{}: {error}", out.display()))
}

/// A native method, its types as Rust has them.
struct Method {
    name: String,
    arguments: String,
    result: &'static str,
}

/// The native methods of the class. Each stands on one line.
fn methods(java: &str) -> Result<Vec<Method>, String> {
    let mut methods = Vec::new();
    for line in java.lines().map(str::trim) {
        if line.starts_with('*') || line.starts_with('/') || !line.contains(" native ") {
            continue;
        }
        let odd = || format!("{JAVA}: this declaration cannot be checked: {line}");
        let rest = line.strip_prefix("static native ").ok_or_else(odd)?;
        let rest = rest.strip_suffix(");").ok_or_else(odd)?;
        let (head, list) = rest.split_once('(').ok_or_else(odd)?;
        let (result, name) = head.split_once(' ').ok_or_else(odd)?;
        let mut arguments = String::new();
        for argument in list.split(", ").filter(|argument| !argument.is_empty()) {
            let (kind, _) = argument.split_once(' ').ok_or_else(odd)?;
            let _ = write!(arguments, ", {}", rust_type(kind).ok_or_else(odd)?);
        }
        methods.push(Method {
            name: name.to_owned(),
            arguments,
            result: rust_type(result).ok_or_else(odd)?,
        });
    }
    Ok(methods)
}

fn rust_type(java: &str) -> Option<&'static str> {
    Some(match java {
        "void" => "()",
        "boolean" => "jboolean",
        "int" => "jint",
        "long" => "jlong",
        "String" => "JString<'l>",
        _ => return None,
    })
}

fn functions(rust: &str) -> BTreeSet<String> {
    rust.split(PREFIX)
        .skip(1)
        .map(|rest| {
            rest.chars()
                .take_while(|character| character.is_alphanumeric())
                .collect()
        })
        .collect()
}

/// The commit that a release is built from. A development build is of sources that no commit holds; it
/// does not ask, so that a commit does not make cargo compile everything again.
fn revision() -> String {
    println!("cargo::rerun-if-env-changed=OBBACKUP_REVISION");
    if let Ok(given) = std::env::var("OBBACKUP_REVISION") {
        return given;
    }
    if env_var("PROFILE") != "release" {
        return "development".to_owned();
    }
    // Not the index: `git status` rewrites it, and what it says of a commit stands in the log of HEAD too.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    if changed.is_none_or(|changed| !changed.is_empty()) {
        return commit + "+changes";
    }
    commit
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

fn env_var(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
