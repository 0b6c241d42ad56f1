//! Extended attributes of open files and directories.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use rustix::fs::XattrFlags;
use rustix::io::{Errno, Result as OsResult};

use crate::format::file::HexBytes;

/// Names and values, in the names' order.
pub type Attributes = BTreeMap<String, HexBytes>;

/// The kernel has no longer value and no longer list of names.
const LIMIT_BYTES: usize = 64 << 10;

/// Whether an attribute belongs to what is backed up. The kernel makes `security.ima` and `evm` out of
/// the file itself; other `system.` ones are a file system's own knobs.
fn is_kept(name: &str) -> bool {
    match name.split_once('.') {
        Some(("security", rest)) => rest != "ima" && rest != "evm",
        Some(("system", rest)) => {
            matches!(rest, "posix_acl_access" | "posix_acl_default" | "nfs4_acl")
        }
        _ => true,
    }
}

/// All attributes that a backup keeps; none where the file system has none.
pub fn read_attributes(file: impl AsFd) -> OsResult<Attributes> {
    let mut found = Attributes::new();
    let length = match rustix::fs::flistxattr_query(&file) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(found),
        Ok(length) => length,
        Err(errno) => return Err(errno),
    };
    let mut list = vec![0; length.max(LIMIT_BYTES)];
    let length = rustix::fs::flistxattr(&file, &mut list[..])?;
    let mut value = Vec::new();
    for name in list.get(..length).unwrap_or(&[]).split(|byte| *byte == 0) {
        // No file system in use makes names that are not UTF-8.
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        if name.is_empty() || !is_kept(name) {
            continue;
        }
        value.resize(LIMIT_BYTES, 0);
        match rustix::fs::fgetxattr(&file, name, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                found.insert(name.to_owned(), HexBytes(value.clone()));
            }
            // It was removed between the list and now.
            Err(Errno::NODATA) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(found)
}

/// Sets one attribute.
pub fn write_attribute(file: impl AsFd, name: &str, value: &[u8]) -> OsResult<()> {
    rustix::fs::fsetxattr(file, name, value, XattrFlags::empty())
}
