//! The versions of Openbravo and its modules, from the sources alone.

use std::io::Read;
use std::path::Path;

use crate::format::manifest::ModuleVersion;

/// The module *Core* stands first in its file.
const LIMIT_BYTES: u64 = 1 << 20;

/// The version of *Core* in the dictionary that the sources carry.
pub(super) fn of_sources(source_path: &Path) -> Option<String> {
    parse(&read(&source_path.join(DICTIONARY))?)
}

/// Where sources, and each module, say which modules they are.
const DICTIONARY: &str = "src-db/database/sourcedata/AD_MODULE.xml";

/// The modules that the sources carry, *Core* among them, in the order of their packages.
pub fn modules_of_sources(source_path: &Path) -> Vec<ModuleVersion> {
    let directories = std::fs::read_dir(source_path.join("modules"));
    let texts = directories
        .into_iter()
        .flatten()
        .flatten()
        .map(|module| module.path())
        .chain([source_path.to_owned()])
        .filter_map(|directory| read(&directory.join(DICTIONARY)));
    let mut modules: Vec<ModuleVersion> = texts.flat_map(|text| parse_modules(&text)).collect();
    modules.sort_by(|one, other| one.package.cmp(&other.package));
    modules
}

fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .ok()?
        .take(LIMIT_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn parse_modules(text: &str) -> Vec<ModuleVersion> {
    text.split("</AD_MODULE>")
        .filter_map(|module| {
            Some(ModuleVersion {
                package: column(module, "JAVAPACKAGE")?.to_owned(),
                version: column(module, "VERSION")?.to_owned(),
            })
        })
        .collect()
}

fn parse(text: &str) -> Option<String> {
    text.split("</AD_MODULE>")
        .find(|module| column(module, "AD_MODULE_ID") == Some("0"))
        .and_then(|module| column(module, "VERSION"))
        .map(str::to_owned)
}

fn column<'a>(row: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = row.split_once(&format!("<{name}><![CDATA["))?;
    rest.split_once("]]>").map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_is_found_by_its_id() {
        let row = |id: &str, version: &str| {
            format!(
                "<!--{id}--><AD_MODULE>\n<!--{id}-->  <AD_MODULE_ID><![CDATA[{id}]]></AD_MODULE_ID>\n\
                 <!--{id}-->  <VERSION><![CDATA[{version}]]></VERSION>\n<!--{id}--></AD_MODULE>\n"
            )
        };
        let text = format!(
            "<data>\n{}{}</data>",
            row("A1", "1.0.0"),
            row("0", "3.0.244900")
        );
        assert_eq!(parse(&text).as_deref(), Some("3.0.244900"));
        assert_eq!(parse("<data></data>"), None);
    }

    #[test]
    fn modules_are_known_by_their_package() {
        let text = "<data>\n<!--0--><AD_MODULE>\n<!--0-->  <VERSION><![CDATA[1.2.3]]></VERSION>\n\
                    <!--0-->  <JAVAPACKAGE><![CDATA[com.example]]></JAVAPACKAGE>\n<!--0--></AD_MODULE>\n\
                    <!--1--><AD_MODULE>\n<!--1--></AD_MODULE>\n</data>";
        let found = parse_modules(text);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (&*found[0].package, &*found[0].version),
            ("com.example", "1.2.3")
        );
    }
}
