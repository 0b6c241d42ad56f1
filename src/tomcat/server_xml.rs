//! What `conf/server.xml` says: the ports that Tomcat listens on, and the path that the application has there.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node, ParsingOptions};

use crate::error::{Error, ErrorKind, IoContext, Result};

/// Nobody writes a longer one.
const LIMIT_BYTES: u64 = 4 << 20;

/// What a port of Tomcat speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP without TLS: what can be asked, and where a page can be shown.
    Http,
    /// HTTP over TLS.
    Https,
    /// AJP, from a web server in front.
    Ajp,
}

/// One port that Tomcat listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connector {
    /// What it speaks.
    pub protocol: Protocol,
    /// The address that it is bound to; `None` for all of the machine's.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

impl Connector {
    /// Where this machine reaches it.
    pub fn reached_at(&self) -> SocketAddr {
        let address = self
            .address
            .filter(|address| !address.is_unspecified())
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        SocketAddr::new(address, self.port)
    }
}

/// What matters of `server.xml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerXml {
    /// All ports, in the order of the file.
    pub connectors: Vec<Connector>,
    /// The paths of applications that the file itself declares, by their `docBase`.
    contexts: Vec<(String, String)>,
}

impl ServerXml {
    /// Reads `conf/server.xml` below `base`. `properties` are the JVM's, which are stronger than those of
    /// `conf/catalina.properties`.
    pub fn read(base: &Path, properties: &BTreeMap<String, String>) -> Result<Self> {
        let path = base.join("conf/server.xml");
        let text = read_text(&path)?;
        let mut known = catalina_properties(base);
        known.extend(
            properties
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        Self::parse(&text, &known).map_err(|error| error.context(format!("`{}`", path.display())))
    }

    fn parse(text: &str, properties: &BTreeMap<String, String>) -> Result<Self> {
        let options = ParsingOptions {
            // Some declare parts of it as entities; files outside are never read.
            allow_dtd: true,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text, options).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("it is not XML: {error}"))
                .hint("Tomcat would not start with it either.")
        })?;
        let attribute = |node: Node<'_, '_>, name: &str| {
            node.attribute(name)
                .map(|value| resolve(value, properties).trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let connectors = document
            .descendants()
            .filter(|node| node.has_tag_name("Connector"))
            .filter_map(|node| {
                // A port of 0 or less is one that is off, or that nobody can know.
                let port = attribute(node, "port")?
                    .parse()
                    .ok()
                    .filter(|port| *port > 0)?;
                let is_ajp = attribute(node, "protocol").is_some_and(|name| {
                    name.to_ascii_uppercase().starts_with("AJP") || name.contains(".ajp.")
                });
                let is_tls = attribute(node, "SSLEnabled")
                    .is_some_and(|value| value.eq_ignore_ascii_case("true"));
                let protocol = match (is_ajp, is_tls) {
                    (true, _) => Protocol::Ajp,
                    (false, true) => Protocol::Https,
                    (false, false) => Protocol::Http,
                };
                let address = attribute(node, "address").and_then(|name| address_of(&name));
                // Since 9.0.31 AJP listens on loopback alone unless told otherwise.
                let address = match protocol {
                    Protocol::Ajp => address.or(Some(IpAddr::V4(Ipv4Addr::LOCALHOST))),
                    Protocol::Http | Protocol::Https => address,
                };
                Some(Connector {
                    protocol,
                    address,
                    port,
                })
            })
            .collect();
        let contexts = document
            .descendants()
            .filter(|node| node.has_tag_name("Context"))
            .filter_map(|node| Some((attribute(node, "docBase")?, attribute(node, "path")?)))
            .collect();
        Ok(Self {
            connectors,
            contexts,
        })
    }

    /// The path of the application in `directory`: what the file declares for it, else what its directory's
    /// name makes of it, as Tomcat's automatic deployment does.
    pub fn context_path(&self, directory: Option<&Path>, context_name: &str) -> String {
        let declared = self.contexts.iter().find(|(document_base, _)| {
            let base = Path::new(document_base);
            directory.is_some_and(|directory| base == directory) || base == Path::new(context_name)
        });
        match declared {
            Some((_, path)) => path.trim_end_matches('/').to_owned(),
            None => default_context_path(context_name),
        }
    }

    /// The directories of the applications that the file itself declares.
    pub fn document_bases(&self) -> Vec<PathBuf> {
        let bases = self.contexts.iter().map(|(base, _)| PathBuf::from(base));
        bases.filter(|base| base.is_absolute()).collect()
    }

    /// The ports that speak plain HTTP.
    pub fn http(&self) -> impl Iterator<Item = Connector> + '_ {
        self.connectors
            .iter()
            .copied()
            .filter(|connector| connector.protocol == Protocol::Http)
    }
}

/// What the name of a directory below `webapps` makes of its path.
pub fn default_context_path(context_name: &str) -> String {
    match context_name {
        "ROOT" | "" => String::new(),
        name => format!("/{name}"),
    }
}

fn address_of(name: &str) -> Option<IpAddr> {
    match name.trim_matches(['[', ']']) {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        text => text.parse().ok(),
    }
}

fn read_text(path: &Path) -> Result<String> {
    let failed = || format!("cannot read `{}`", path.display());
    let length = path.metadata().io_context(failed)?.len();
    if length > LIMIT_BYTES {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("{}: it is longer than any server.xml", failed()),
        ));
    }
    std::fs::read_to_string(path).io_context(failed)
}

/// `conf/catalina.properties`, as far as it is needed here: one `name=value` a line.
fn catalina_properties(base: &Path) -> BTreeMap<String, String> {
    let text = read_text(&base.join("conf/catalina.properties")).unwrap_or_default();
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', '!']))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// Puts the values of `${name}` and `${name:-otherwise}` in; one that nobody set stays as it is written.
fn resolve(text: &str, properties: &BTreeMap<String, String>) -> String {
    let mut resolved = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            break;
        };
        let (name, otherwise) = match name.split_once(":-") {
            Some((name, otherwise)) => (name, Some(otherwise)),
            None => (name, None),
        };
        resolved.push_str(before);
        match properties.get(name).map(String::as_str).or(otherwise) {
            Some(value) => resolved.push_str(value),
            None => {
                for part in ["${", name, "}"] {
                    resolved.push_str(part);
                }
            }
        }
        rest = after;
    }
    resolved + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
        <!-- <Connector port="1"/> -->
        <Server port="8005" shutdown="SHUTDOWN">
          <Service name="Catalina">
            <Connector port="${port.http:-8080}" protocol="HTTP/1.1" redirectPort="8443" />
            <Connector port="8443" protocol="org.apache.coyote.http11.Http11NioProtocol" SSLEnabled="true"/>
            <Connector protocol="AJP/1.3" port="${port.ajp}" secretRequired="false"/>
            <Connector port="8081" address="192.0.2.7"/>
            <Connector port="-1"/>
            <Engine name="Catalina" defaultHost="localhost">
              <Host name="localhost" appBase="webapps">
                <Context docBase="/srv/ob/web" path="/erp"/>
              </Host>
            </Engine>
          </Service>
        </Server>"#;

    fn sample(properties: &[(&str, &str)]) -> ServerXml {
        let properties = properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        ServerXml::parse(SAMPLE, &properties).unwrap()
    }

    #[test]
    fn ports_are_found_with_what_they_speak() {
        let found = sample(&[("port.ajp", "8009")]);
        let all: Vec<_> = found
            .connectors
            .iter()
            .map(|connector| (connector.protocol, connector.reached_at().to_string()))
            .collect();
        assert_eq!(
            all,
            [
                (Protocol::Http, "127.0.0.1:8080".to_owned()),
                (Protocol::Https, "127.0.0.1:8443".to_owned()),
                (Protocol::Ajp, "127.0.0.1:8009".to_owned()),
                (Protocol::Http, "192.0.2.7:8081".to_owned()),
            ]
        );
    }

    #[test]
    fn a_property_without_value_is_no_port_and_a_set_one_is_stronger_than_what_stands_for_it() {
        let found = sample(&[("port.http", "9090")]);
        assert_eq!(found.http().next().unwrap().port, 9090);
        assert!(
            found
                .connectors
                .iter()
                .all(|connector| connector.protocol != Protocol::Ajp)
        );
    }

    #[test]
    fn the_path_is_what_is_declared_else_the_name() {
        let found = sample(&[]);
        assert_eq!(
            found.context_path(Some(Path::new("/srv/ob/web")), "web"),
            "/erp"
        );
        assert_eq!(found.context_path(None, "openbravo"), "/openbravo");
        assert_eq!(found.context_path(None, "ROOT"), "");
    }

    #[test]
    fn what_is_no_xml_is_refused() {
        let error = ServerXml::parse("<Server>", &BTreeMap::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}
