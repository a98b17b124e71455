//! The secret that all processes share: read from a file that nobody else can read, and never shown.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Shortest secret, in bytes: as long as what is made from it.
pub const MIN_BYTES: usize = 32;
/// Largest file of a secret, in bytes.
const MAX_FILE_BYTES: u64 = 4_096;

/// A secret.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// Why there is no secret; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}", path = path.display())]
pub struct BadSecret {
    path: PathBuf,
    reason: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Secret {
    /// One of this process alone.
    pub fn random() -> Self {
        let mut bytes = vec![0; MIN_BYTES];
        // Cannot fail on a running system: getrandom(2) blocks until the pool is ready and then always answers.
        getrandom::fill(&mut bytes).expect("the operating system's random source answers");
        Self(bytes)
    }

    /// Reads a secret: base64 or hexadecimal digits of at least 32 bytes, in a file that others can neither read nor write.
    pub fn read(path: &Path) -> Result<Self, BadSecret> {
        let bad = |reason: String| BadSecret { path: path.to_owned(), reason };
        let shown = path.display();
        let make = format!("`roost key secret {shown}` makes one");
        let metadata = std::fs::metadata(path).map_err(|error| bad(format!("{error}; {make}")))?;
        let mode = metadata.permissions().mode();
        // A group may read it: that is how orchestrators hand secrets to a process that is not root.
        if mode & 0o027 != 0 {
            return Err(bad(format!("others may read or change it (mode {:o}): chmod 600 {shown}", mode & 0o777)));
        }
        if metadata.len() > MAX_FILE_BYTES {
            return Err(bad(format!("it has {} bytes (expected at most {MAX_FILE_BYTES}); {make}", metadata.len())));
        }
        let text = std::fs::read_to_string(path).map_err(|error| bad(format!("it cannot be read: {error}")))?;
        match decode(text.trim()) {
            Some(bytes) if bytes.len() >= MIN_BYTES => Ok(Self(bytes)),
            Some(bytes) => {
                Err(bad(format!("the secret has {} bytes (expected at least {MIN_BYTES}); {make}", bytes.len())))
            }
            None => Err(bad(format!("it holds neither base64 nor hexadecimal digits; {make}"))),
        }
    }

    /// Makes a secret in a new file that its owner alone can read. `Err` when the file is there.
    pub fn create(path: &Path) -> Result<Self, BadSecret> {
        let bad = |error: std::io::Error| {
            let reason = match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    "it is there already, and what was signed with it would be lost: name another file".to_owned()
                }
                _ => error.to_string(),
            };
            BadSecret { path: path.to_owned(), reason }
        };
        let secret = Self::random();
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(bad)?;
        let text: String = secret.0.iter().map(|byte| format!("{byte:02x}")).collect();
        file.write_all(format!("{text}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(bad)?;
        Ok(secret)
    }

    /// HMAC-SHA256 of the parts, each with its length before it, so that no two lists of parts are one text.
    pub fn mac(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        mac.update(purpose.as_bytes());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit()) && text.len().is_multiple_of(2);
    if digits && !text.is_empty() {
        // All are hexadecimal digits: ASCII, two a byte.
        return (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()).collect();
    }
    [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD].into_iter().find_map(|engine| engine.decode(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, mode: u32) -> Result<Secret, BadSecret> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        Secret::read(&path)
    }

    #[test]
    fn a_secret_is_read_as_hex_or_base64_and_never_shown() {
        let bytes: Vec<u8> = (0..32).map(|n| n * 7).collect();
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        for text in [&hex, &hex.to_uppercase(), &STANDARD.encode(&bytes), &URL_SAFE_NO_PAD.encode(&bytes)] {
            let secret = written(&format!("{text}\n"), 0o600).unwrap();
            assert_eq!((&secret.0, format!("{secret:?}").as_str()), (&bytes, "Secret(***)"), "{text}");
        }
    }

    #[test]
    fn a_secret_that_is_short_open_or_none_says_what_to_type() {
        for (text, mode, said) in [
            ("00".repeat(31).as_str(), 0o600, "31 bytes (expected at least 32)"),
            ("", 0o600, "0 bytes"),
            ("what?", 0o600, "neither base64 nor"),
            ("00".repeat(32).as_str(), 0o644, "chmod 600 "),
            ("00".repeat(32).as_str(), 0o660, "chmod 600 "),
        ] {
            let error = written(text, mode).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let absent = Secret::read(Path::new("/nowhere/secret")).unwrap_err().to_string();
        assert!(absent.contains("`roost key secret /nowhere/secret` makes one"), "{absent}");
    }

    #[test]
    fn a_new_secret_is_its_owners_alone_and_replaces_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let made = Secret::create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Secret::read(&path).unwrap().0, made.0);
        assert!(Secret::create(&path).unwrap_err().to_string().contains("name another file"));
    }

    #[test]
    fn two_lists_of_parts_are_never_one_text() {
        let secret = Secret(vec![7; 32]);
        assert_ne!(secret.mac("p", &[b"ab", b"c"]), secret.mac("p", &[b"a", b"bc"]));
        assert_ne!(secret.mac("p", &[b"a"]), secret.mac("q", &[b"a"]));
    }
}
