//! Inputs that are kept: what once broke a target, and what shows something that its own seeds do
//! not.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use henge_actors::fuzzing::{Target, read_corpus};

/// Where the corpus of a target lies.
pub fn path_of(target: &Target) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    directory.join(format!("{}.txt", target.name))
}

/// The inputs that are kept for a target.
pub fn of(target: &Target) -> Vec<Vec<u8>> {
    let path = path_of(target);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    };
    read_corpus(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
