//! The page that stands in for the application while that is down.
//!
//! It answers on the application's own port between Tomcat's end and its start. Where one is configured, or that one
//! cannot be had, it answers on a port of its own all through the restore; a proxy shows the same from a file. It knows nothing but the restore's
//! status: no request is passed on, nothing is stored.

mod access;
mod answer;
mod ports;
mod server;
mod snippets;
mod stand_in;
mod view;

use std::path::Path;

use crate::error::Result;
use crate::job::Board;

pub use ports::{OwnPort, Ports};
pub use server::{Listening, Server};
pub use snippets::{Snippet, snippets};
pub use stand_in::StandIn;
pub use view::{Links, drawn};

use access::Access;

/// Under which path a proxy shows the page's file and its state.
const PROXY_PATH: &str = "/obbackup-restore";

/// What is served: one restore, under one application's path.
#[derive(Debug)]
pub struct Site {
    context_path: String,
    links: Links,
    board: Board,
    access: Access,
}

impl Site {
    /// For the application at `context_path`: `/openbravo`, or nothing for the root.
    pub fn new(context_path: &str, board: Board) -> Result<Self> {
        Ok(Self {
            links: Links {
                application: format!("{context_path}/"),
                state: format!("{context_path}{}", answer::STATE),
                port: None,
            },
            access: Access::new(board.token())?,
            context_path: context_path.to_owned(),
            board,
        })
    }

    /// The same on another port than the application's, which is `port` of the same host.
    pub fn on_own_port(context_path: &str, board: Board, port: u16) -> Result<Self> {
        let mut site = Self::new(context_path, board)?;
        site.links.application = format!("{context_path}{}", answer::OPEN);
        site.links.port = Some(port);
        Ok(site)
    }
}

/// What the page that a proxy shows leads to; `file` is the page.
pub fn proxy_links(file: &Path, context_path: &str) -> Links {
    let state = file.with_extension("json");
    let name = state.file_name().unwrap_or_default().to_string_lossy();
    Links {
        application: format!("{context_path}/"),
        state: format!("{PROXY_PATH}/{name}"),
        port: None,
    }
}

#[cfg(test)]
mod tests;
