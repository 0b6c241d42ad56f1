//! Who may see details: whoever brought the token, once, and has since shown the cookie that was given for it.

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;

use subtle::ConstantTimeEq;

use crate::config::Secret;
use crate::error::Result;
use crate::format::id::random_id;

/// Its name; the value is never the token.
const COOKIE: &str = "obbackup";
const COOKIE_BYTES: usize = 16;

/// One restore's token and cookies.
pub(super) struct Access {
    /// `None` once it was used.
    token: Mutex<Option<Secret>>,
    cookie: Secret,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}

impl Access {
    pub(super) fn new(token: &Secret) -> Result<Self> {
        Ok(Self {
            token: Mutex::new(Some(token.clone())),
            cookie: Secret::new(random_id(COOKIE_BYTES)?),
        })
    }

    /// What `Set-Cookie` says to whoever brings the token; `None` where it is another, or was used.
    pub(super) fn exchange(&self, token: &str, path: &str) -> Option<String> {
        let mut held = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.as_ref().is_some_and(|held| same(held, token)) {
            return None;
        }
        *held = None;
        Some(format!(
            "{COOKIE}={}; Path={path}; HttpOnly; SameSite=Lax; Max-Age=86400",
            self.cookie.expose()
        ))
    }

    /// Whether the `Cookie` header holds the cookie that the token was exchanged for.
    pub(super) fn is_known(&self, cookies: &str) -> bool {
        cookies
            .split(';')
            .filter_map(|cookie| cookie.trim().split_once('='))
            .any(|(name, value)| name == COOKIE && same(&self.cookie, value))
    }
}

/// In a time that does not tell how much of it is right.
fn same(secret: &Secret, text: &str) -> bool {
    secret.expose().as_bytes().ct_eq(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_works_once_and_only_its_cookie_afterwards() {
        let access = Access::new(&Secret::new("tok")).unwrap();
        assert!(access.exchange("tok2", "/").is_none());
        assert!(access.exchange("", "/").is_none());
        let cookie = access.exchange("tok", "/openbravo").unwrap();
        assert!(access.exchange("tok", "/").is_none());
        let pair = cookie.split(';').next().unwrap();
        assert!(cookie.contains("HttpOnly") && !cookie.contains("tok"));
        assert!(access.is_known(&format!("JSESSIONID=1; {pair}")));
        assert!(!access.is_known("obbackup=tok"));
        assert!(!access.is_known(""));
    }
}
