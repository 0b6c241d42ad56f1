//! What is known of the instance, and whether its directories can be read.

use super::{Check, Examined};

/// The instance, its identity, each of its directories.
pub(super) fn checks(examined: &Examined<'_>) -> Vec<Check> {
    let instance = examined.instance;
    let version = instance
        .openbravo_version
        .as_deref()
        .unwrap_or("unknown version");
    let mut checks = vec![Check::ok(
        "instance",
        format!(
            "{} ({version}) in {}",
            instance.name,
            instance.source_path.display()
        ),
    )];
    checks.push(if instance.is_id_derived {
        Check::warning(
            "identity",
            "derived from host, directory and database; it changes when one of these does",
        )
        .remedy("`obbackup init` writes it down.")
    } else {
        Check::ok("identity", &instance.id)
    });
    for root in instance.roots() {
        checks.push(match std::fs::read_dir(&root.root) {
            Ok(_) => Check::ok(root.part.word(), root.written.display().to_string()),
            Err(error) => Check::failure(
                root.part.word(),
                format!("cannot read `{}`: {error}", root.written.display()),
            )
            .remedy("Run as root or as the owner of the instance."),
        });
    }
    if instance.deploy_path.is_none() {
        checks.push(
            Check::warning(
                "deploy",
                "no deployed web application was found; backups will not hold one",
            )
            .remedy("Set `deploy_path` under `[instance]` in obbackup.toml."),
        );
    }
    for warning in &instance.warnings {
        checks.push(Check::warning("configuration", warning));
    }
    checks
}
