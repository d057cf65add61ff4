//! Bytes of users on command lines: read from there, shown so that they can be typed again.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    net::SocketAddr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use henge_kernel::key::{InvalidKey, Key, check_bucket};

use super::failure::Failure;
use crate::{cli::KeyArgs, surfaces::http::text::decode_escapes};

/// The bytes that an argument means.
pub fn bytes_of(argument: &OsStr, percent: bool) -> Result<Bytes, Failure> {
    let raw = argument.as_bytes();
    if !percent {
        return Ok(Bytes::copy_from_slice(raw));
    }
    decode_escapes(raw).map(Bytes::from).ok_or_else(|| {
        Failure::usage(
            format!("cannot decode {}", shell_word(raw)),
            "with --percent each % must be followed by two hex digits",
            "write a percent sign as %25",
        )
    })
}

/// The key that arguments mean.
pub fn key_of(args: &KeyArgs) -> Result<Key, Failure> {
    key(&args.bucket, &args.key, args.percent)
}

/// The key that two arguments mean.
pub fn key(bucket: &OsStr, key: &OsStr, percent: bool) -> Result<Key, Failure> {
    Key::new(bytes_of(bucket, percent)?, bytes_of(key, percent)?).map_err(|error| unfit(&error))
}

/// Tells that no bucket or key is called so.
fn unfit(error: &InvalidKey) -> Failure {
    let is = if error.length == 0 { "empty" } else { "too long" };
    Failure::usage(format!("the {} is {is}", error.field), error.to_string(), "choose another name")
}

/// The bucket that an argument means.
pub fn bucket_of(bucket: &OsStr, percent: bool) -> Result<Bytes, Failure> {
    let bucket = bytes_of(bucket, percent)?;
    check_bucket(&bucket).map_err(|error| unfit(&error))?;
    Ok(bucket)
}

/// The bytes as text, if every character of it can be seen.
pub fn printable(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

/// For people: as it is if it can be seen, else percent-encoded.
pub fn shown(bytes: &[u8]) -> String {
    printable(bytes).map_or_else(|| percent_encoded(bytes), ToOwned::to_owned)
}

/// For people: bucket and key.
pub fn shown_key(key: &Key) -> String {
    format!("{}/{}", shown(key.bucket()), shown(key.key()))
}

/// As `--percent` takes it: all but the unreserved characters of RFC 3986, section 2.3, is escaped.
pub fn percent_encoded(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(*byte));
            }
            // Writing into a string cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// One word of a shell's line. What is not UTF-8 is shown as well as can be.
pub fn shell_word(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let plain = |letter: char| letter.is_alphanumeric() || "-_./:=@%+,".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The line that tells a shell's further commands where a cluster is.
pub fn export_line(nodes: impl Iterator<Item = SocketAddr>, tls_dir: &Path) -> String {
    let nodes = nodes.map(|node| node.to_string()).collect::<Vec<_>>().join(",");
    let tls_dir = absolute(tls_dir);
    format!(
        "export HENGE_NODES={nodes} HENGE_TLS_DIR={}",
        shell_word(tls_dir.as_os_str().as_bytes())
    )
}

/// A path that means the same wherever it is used.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// A line that does something, to be pasted into a shell.
#[derive(Clone, Debug)]
pub struct CommandLine(String);

impl CommandLine {
    /// The program as it was called, and one of its commands.
    pub fn of(command: &str) -> Self {
        let program = std::env::args_os().next();
        let program = program.as_deref().map_or("henge".into(), |name| shell_word(name.as_bytes()));
        Self(format!("{program} {command}"))
    }

    /// An option and its value.
    #[must_use]
    pub fn option(self, name: &str, value: &str) -> Self {
        self.words(&format!("{name} {}", shell_word(value.as_bytes())))
    }

    /// Words that are quoted already.
    #[must_use]
    pub fn words(mut self, words: &str) -> Self {
        self.0.push(' ');
        self.0.push_str(words);
        self
    }

    /// A bucket.
    #[must_use]
    pub fn bucket(self, bucket: &[u8]) -> Self {
        self.names(&[bucket], None)
    }

    /// Bucket and key, and what follows them.
    #[must_use]
    pub fn operands(self, key: &Key, value: Option<&str>) -> Self {
        self.names(&[key.bucket(), key.key()], value)
    }

    fn names(self, names: &[&[u8]], value: Option<&str>) -> Self {
        let visible = names.iter().all(|name| printable(name).is_some());
        let word = if visible { shell_word } else { percent_encoded };
        let mut operands: Vec<String> = names.iter().map(|name| word(name)).collect();
        operands.extend(value.map(|value| shell_word(value.as_bytes())));
        // What begins with a dash would be taken for an option.
        if operands.iter().any(|operand| operand.starts_with('-')) {
            operands.insert(0, "--".to_owned());
        }
        let line = if visible { self } else { self.words("--percent") };
        line.words(&operands.join(" "))
    }

    /// The whole line.
    pub fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        assert_eq!(shell_word(b"ada"), "ada");
        assert_eq!(shell_word(b"it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!((shell_word(b""), shell_word("ä".as_bytes())), ("''".into(), "ä".into()));
    }

    #[test]
    fn keys_that_cannot_be_seen_are_encoded() {
        let line = |bucket: &'static [u8], key: &'static [u8]| {
            let key = Key::new(bucket, key).unwrap();
            let line = CommandLine::of("get").operands(&key, None).into_text();
            line.split_once(" get ").unwrap().1.to_owned()
        };
        assert_eq!(line(b"b", b"a b"), "b 'a b'");
        assert_eq!(line(b"b", b"a%\xff"), "--percent b a%25%FF");
        assert_eq!(line(b"b", b"-x"), "-- b -x");
    }
}
