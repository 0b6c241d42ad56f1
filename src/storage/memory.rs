//! A storage in memory: the shortest implementation of the contract, for tests.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Object, Storage, check_path, range_error};
use crate::error::{Error, ErrorKind, Result};

/// Objects in a map; gone with it.
#[derive(Default)]
pub struct Memory {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    far: bool,
}

impl Memory {
    /// One that says of itself that each request costs a round trip.
    pub fn far() -> Self {
        Self {
            far: true,
            ..Self::default()
        }
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn those(&self, wanted: impl Fn(&str) -> bool) -> Vec<Object> {
        let objects = self.objects();
        objects
            .iter()
            .filter(|(path, _)| wanted(path))
            .map(|(path, bytes)| Object {
                path: path.clone(),
                bytes: bytes.len() as u64,
            })
            .collect()
    }

    fn with<T>(&self, path: &str, use_it: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
        check_path(path)?;
        match self.objects().get(path) {
            Some(bytes) => use_it(bytes),
            None => Err(Error::new(
                ErrorKind::NotFound,
                format!("no object `{path}`"),
            )),
        }
    }
}

impl Storage for Memory {
    fn create(&self, path: &str, bytes: &[u8]) -> Result<()> {
        check_path(path)?;
        let mut objects = self.objects();
        if objects.contains_key(path) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("`{path}` is there already"),
            ));
        }
        objects.insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> Result<()> {
        check_path(path)?;
        self.objects().insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.with(path, |bytes| Ok(bytes.to_vec()))
    }

    fn read_range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
        self.with(path, |bytes| {
            let part = usize::try_from(range.start)
                .ok()
                .zip(usize::try_from(range.end).ok())
                .and_then(|(start, end)| bytes.get(start..end));
            part.map(<[u8]>::to_vec)
                .ok_or_else(|| range_error(path, &range, bytes.len() as u64))
        })
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        Ok(self.those(|path| path.starts_with(prefix)))
    }

    fn list_between(&self, after: &str, before: &str) -> Result<Vec<Object>> {
        Ok(self.those(|path| after < path && path < before))
    }

    fn delete(&self, path: &str) -> Result<()> {
        check_path(path)?;
        self.objects().remove(path);
        Ok(())
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn is_remote(&self) -> bool {
        self.far
    }

    fn shows_every_lease(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn keeps_the_contract() {
        super::super::contract::holds(&super::Memory::default());
    }
}
