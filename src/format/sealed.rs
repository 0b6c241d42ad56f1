//! Small JSON objects that end in a checksum of themselves, so that a flipped bit is always seen.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::id::Digest256;
use crate::error::{Error, ErrorKind, Result};

const SEAL: &[u8] = b",\"sha256\":\"";
const DIGITS: usize = 64;
const END: &[u8] = b"\"}\n";

/// One line of JSON. Its last member `sha256` is the checksum of all bytes before the comma that
/// precedes it, closed by `}`: of the object as it would be without that member.
pub fn seal<T: Serialize>(object: &T) -> Result<Vec<u8>> {
    let mut bytes = super::catalog::to_json(object)?;
    let digest = Digest256::of(&bytes);
    bytes.pop();
    bytes.extend_from_slice(SEAL);
    bytes.extend_from_slice(digest.to_hex().as_bytes());
    bytes.extend_from_slice(END);
    Ok(bytes)
}

/// The inverse of [`seal`]: `Damaged` where a single bit differs.
pub fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let damaged = |reason: &str| Error::new(ErrorKind::Damaged, reason.to_owned());
    let rest = bytes
        .strip_suffix(END)
        .ok_or_else(|| damaged("it does not end in a checksum"))?;
    let (rest, digits) = rest
        .split_at_checked(rest.len().wrapping_sub(DIGITS))
        .ok_or_else(|| damaged("it is cut short"))?;
    let rest = rest
        .strip_suffix(SEAL)
        .ok_or_else(|| damaged("it does not end in a checksum"))?;
    let mut object = rest.to_vec();
    object.push(b'}');
    if Digest256::of(&object).to_hex().as_bytes() != digits {
        return Err(damaged("its checksum does not match its bytes"));
    }
    serde_json::from_slice(&object)
        .map_err(|error| damaged("it is not what it should be").source(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_single_bit_matters() {
        let object = BTreeMap::from([("name", "x"), ("value", "y")]);
        let sealed = seal(&object).unwrap();
        assert!(unseal::<BTreeMap<String, String>>(&sealed).is_ok());
        for position in 0..sealed.len() {
            for bit in 0..8 {
                let mut damaged = sealed.clone();
                damaged[position] ^= 1 << bit;
                assert!(
                    unseal::<BTreeMap<String, String>>(&damaged).is_err(),
                    "byte {position} bit {bit}"
                );
            }
        }
        for length in 0..sealed.len() {
            assert!(unseal::<BTreeMap<String, String>>(&sealed[..length]).is_err());
        }
    }
}
