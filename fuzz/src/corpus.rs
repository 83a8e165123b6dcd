//! The files that the targets start from: small inputs and dictionaries, which the repository
//! holds, and fixtures of other tests.
//!
//! `corpus/<target>/` has inputs that reach code which no other input reaches, and those that
//! broke something once. This module must not write files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder of a target's own inputs.
#[must_use]
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target)
}

/// The files of the folders, in the order of their paths; folders in them are read too. A
/// relative folder is one of the repository.
pub fn inputs(folders: &[PathBuf]) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for folder in folders {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        collect(&repository.join(folder), &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else {
            let content = fs::read(&path)?;
            found.push((path, content));
        }
    }
    Ok(())
}

/// The words of a target's dictionary, which has the form that libFuzzer reads: a word in
/// double quotes on each line, with `\\`, `\"` and `\xNN`.
pub fn dictionary(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dictionaries");
    let text = fs::read_to_string(folder.join(format!("{target}.dict")))?;
    let lines = text.lines().filter(|line| line.starts_with('"'));
    lines
        .map(|line| word(line).ok_or_else(|| io::Error::other(format!("{target}.dict: {line}"))))
        .collect()
}

fn word(line: &str) -> Option<Vec<u8>> {
    let mut rest = line.strip_prefix('"')?.strip_suffix('"')?.bytes();
    let mut word = Vec::new();
    while let Some(byte) = rest.next() {
        word.push(match byte {
            b'\\' => match rest.next()? {
                b'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                escaped => escaped,
            },
            byte => byte,
        });
    }
    Some(word)
}
