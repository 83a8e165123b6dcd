//! The files that `check` reads, and their text. It must not know what a manifest is.

use crate::cli::CliError;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The most bytes of one file: ten times what the API server takes of one object.
const MOST_BYTES: u64 = 32 * 1024 * 1024;

/// How deep directories are entered; only a fault lies deeper.
const DEEPEST: usize = 64;

/// A file that is to be read.
#[derive(Debug)]
pub(super) struct Manifest {
    source: Source,
    /// The name as it was given, or the path in a directory that was given.
    pub(super) name: String,
}

/// Where a manifest comes from.
#[derive(Debug)]
enum Source {
    Stdin,
    /// The user named it, so it may be a pipe: a shell's `<(…)` is one.
    Named(PathBuf),
    /// It was found in a directory, so it must be a regular file: a pipe there may never end.
    Found(PathBuf),
}

/// The files in the order in which they were named, and those of a directory by name. As `kubectl
/// apply -f` does, a directory gives its `.yaml`, `.yml` and `.json` files, and those
/// inside its directories only when that is asked for.
pub(super) fn list(named: &[PathBuf], recursive: bool) -> Result<Vec<Manifest>, CliError> {
    let mut found = Vec::new();
    for path in named {
        if path == Path::new("-") {
            found.push(Manifest {
                source: Source::Stdin,
                name: "-".to_owned(),
            });
            continue;
        }
        let unreadable = |error| {
            let path = path.display();
            CliError::input(format_args!("cannot read {path}: {error}"))
        };
        if !fs::metadata(path).map_err(unreadable)?.is_dir() {
            found.push(Manifest {
                name: path.display().to_string(),
                source: Source::Named(path.clone()),
            });
            continue;
        }
        let before = found.len();
        let depth = if recursive { DEEPEST } else { 0 };
        directory(path, depth, recursive, &mut found).map_err(unreadable)?;
        if found.len() == before {
            let hint = if recursive {
                ""
            } else {
                "; -R also looks into its directories"
            };
            return Err(CliError::input(format_args!(
                "{} contains no file that ends in .yaml, .yml or .json{hint}",
                path.display()
            )));
        }
    }
    Ok(found)
}

/// Whether kubectl takes a file of this name for a manifest (Go's `filepath.Ext`, which also
/// finds the ending of `.yaml`).
fn has_manifest_ending(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    matches!(ending, Some("yaml" | "yml" | "json"))
}

fn directory(
    at: &Path,
    depth: usize,
    recursive: bool,
    found: &mut Vec<Manifest>,
) -> io::Result<()> {
    let mut entries = fs::read_dir(at)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // Of the entry itself: a link to a directory is not entered, so there is no circle.
        if entry.file_type()?.is_dir() {
            match depth.checked_sub(1) {
                Some(depth) => directory(&path, depth, recursive, found)?,
                None if recursive => {
                    return Err(io::Error::other(format!(
                        "its directories lie deeper than {DEEPEST} in each other"
                    )));
                }
                None => {}
            }
        } else if has_manifest_ending(&entry.file_name()) && !path.is_dir() {
            found.push(Manifest {
                name: path.display().to_string(),
                source: Source::Found(path),
            });
        }
    }
    Ok(())
}

/// The text of a file, or why there is none.
pub(super) fn read(manifest: &Manifest) -> Result<String, String> {
    let bytes = match &manifest.source {
        Source::Stdin => whole(io::stdin().lock()),
        Source::Named(path) => File::open(path).and_then(whole),
        Source::Found(path) => regular(path).and_then(whole),
    };
    let bytes = bytes.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err("has more than 32 MiB; split it".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        format!(
            "is not UTF-8 from byte {} on",
            error.utf8_error().valid_up_to()
        )
    })
}

fn regular(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    File::open(path)
}

fn whole(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
