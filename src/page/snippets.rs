//! What a web server in front of Tomcat needs in its configuration to show the page while Tomcat is down.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::tomcat::server_xml::{Connector, Protocol};

/// Tomcat's usual ports, where nothing tells of its own.
const HTTP_PORT: u16 = 8080;
const AJP_PORT: u16 = 8009;

/// Configuration for one web server.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Snippet {
    /// Which.
    pub server: &'static str,
    /// Where it goes, for people.
    pub place: &'static str,
    /// The text.
    pub text: String,
}

/// For Apache (over HTTP and over AJP) and nginx: the page is `file`, and the application is at `context_path` of a
/// Tomcat that listens on `connectors`.
pub fn snippets(file: &Path, context_path: &str, connectors: &[Connector]) -> Vec<Snippet> {
    let directory = file.parent().unwrap_or(Path::new("/")).display();
    let page = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let path = super::PROXY_PATH;
    let context = if context_path.is_empty() {
        "/"
    } else {
        context_path
    };
    let mut lines = String::new();
    for (protocol, scheme, usual) in [
        (Protocol::Http, "http", HTTP_PORT),
        (Protocol::Ajp, "ajp", AJP_PORT),
    ] {
        let mut reached: Vec<_> = connectors
            .iter()
            .filter(|connector| connector.protocol == protocol)
            .map(Connector::reached_at)
            .collect();
        if connectors.is_empty() {
            reached.push(SocketAddr::from((Ipv4Addr::LOCALHOST, usual)));
        }
        for at in reached {
            // Into a string nothing fails.
            let _ = writeln!(
                lines,
                "# ProxyPass {context} {scheme}://{at}{context_path} retry=0"
            );
        }
    }
    let apache = format!(
        "\
# Shown instead of Apache's own words when Tomcat does not answer.
ErrorDocument 502 {path}/{page}
ErrorDocument 503 {path}/{page}
ErrorDocument 504 {path}/{page}
# Before every other ProxyPass.
ProxyPass {path}/ !
Alias {path}/ \"{directory}/\"
<Directory \"{directory}\">
    Require all granted
    Header always set Cache-Control \"no-store\"
</Directory>
# On the lines that lead to Tomcat: without `retry=0` Apache does not look for it for a minute after it was down.
{lines}"
    );
    let nginx = format!(
        "\
# Shown instead of nginx's own words when Tomcat does not answer.
error_page 502 503 504 =503 {path}/{page};
location {path}/ {{
    alias \"{directory}/\";
    add_header Cache-Control \"no-store\" always;
    add_header Retry-After 10 always;
}}
"
    );
    vec![
        Snippet {
            server: "Apache",
            place: "in the <VirtualHost>; needs mod_alias, mod_headers and mod_proxy",
            text: apache,
        },
        Snippet {
            server: "nginx",
            place: "in the server block",
            text: nginx,
        },
    ]
}
