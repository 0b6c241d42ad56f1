//! The version of Openbravo, from the sources alone.

use std::io::Read;
use std::path::Path;

/// The module *Core* stands first in its file.
const LIMIT_BYTES: u64 = 1 << 20;

/// The version of *Core* in the dictionary that the sources carry.
pub(super) fn of_sources(source_path: &Path) -> Option<String> {
    let path = source_path.join("src-db/database/sourcedata/AD_MODULE.xml");
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .ok()?
        .take(LIMIT_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    parse(&String::from_utf8_lossy(&bytes))
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
}
