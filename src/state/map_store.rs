//! The registry map on disk: read, compiled, and replaced when it changes.
//!
//! A map that cannot be loaded never replaces one that could. Before the first good map there
//! is none, and reviews are answered with 503: the process stays up, so that a `ConfigMap`
//! that is mounted late or repaired needs no restart, and it never guesses, because without
//! a map there is no verdict. Decides nothing about images.

use crate::observe::metrics::{EntryCounters, Metrics};
use arc_swap::{ArcSwapOption, Guard};
use jiff::Timestamp;
use pullpass_core::map::{self, LoadedMap, Options, SourceFile};
use pullpass_core::policy::Policy;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// Where the map is: a file, or a directory of files.
#[derive(Debug, Clone)]
pub struct MapFile {
    path: PathBuf,
    options: Options,
}

/// Why the map cannot be used; in words for people, on several lines where the map has
/// several errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// A file or the directory cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file or directory.
        path: String,
        /// What the system says.
        error: String,
    },
    /// The directory holds no map.
    #[error("{0} contains no file that ends in .yaml, .yml or .json")]
    Empty(String),
    /// The map is wrong: every error of it.
    #[error("{0}")]
    Wrong(String),
}

impl MapFile {
    /// A map at `path`, to be compiled with these options.
    #[must_use]
    pub fn new(path: PathBuf, options: Options) -> Self {
        Self { path, options }
    }

    /// The files of the map, as [`read`] finds them.
    pub fn read(&self) -> Result<Vec<SourceFile>, MapError> {
        read(&self.path)
    }

    /// Compiles what was read.
    pub fn compile(&self, files: &[SourceFile]) -> Result<LoadedMap, MapError> {
        map::load(files, &self.options)
            .map_err(|errors| MapError::Wrong(map::render(&errors, files, false)))
    }
}

/// The file, or the files of the directory in the order of their names: those
/// that end in `.yaml`, `.yml` or `.json` and do not begin with a dot.
/// Directories in it are not entered: the kubelet keeps its versions there.
pub fn read(path: &Path) -> Result<Vec<SourceFile>, MapError> {
    let unreadable = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| MapError::Unreadable {
            path,
            error: error.to_string(),
        }
    };
    let metadata = fs::metadata(path).map_err(unreadable(path))?;
    let paths = if metadata.is_dir() {
        let paths = map_files(path).map_err(unreadable(path))?;
        if paths.is_empty() {
            return Err(MapError::Empty(path.display().to_string()));
        }
        paths
    } else {
        vec![path.to_owned()]
    };
    let mut left = MOST_BYTES;
    let read = |path: PathBuf| {
        let text = read_text(&path, &mut left).map_err(unreadable(&path))?;
        let name = path.display().to_string();
        Ok(SourceFile { name, text })
    };
    paths.into_iter().map(read).collect()
}

/// The most bytes of all files of a map: far above what a ConfigMap holds, and a bound for
/// devices and pipes that never end.
const MOST_BYTES: u64 = 64 << 20;

/// Reads a file of at most `left` bytes, and takes them.
fn read_text(path: &Path, left: &mut u64) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(*left + 1);
    file.read_to_string(&mut text)?;
    *left = left.checked_sub(text.len() as u64).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::FileTooLarge,
            "the files have more than 64 MiB; a registry map is never so large",
        )
    })?;
    Ok(text)
}

fn map_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Through symbolic links, of which a mounted ConfigMap is made.
        if map::is_map_file(&name) && fs::metadata(&path)?.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// A map in force.
#[derive(Debug)]
pub struct LiveMap {
    /// The map, compiled.
    pub policy: Policy,
    /// Counts images by its entries.
    pub entries: Arc<EntryCounters>,
    /// When it was loaded.
    pub loaded: Timestamp,
}

/// The map in force, and why the newest version is not.
#[derive(Debug)]
pub struct MapStore {
    live: ArcSwapOption<LiveMap>,
    // Why the newest version is not the one in force.
    refused: ArcSwapOption<RefusedMap>,
    // Notified of each map that is put in force.
    replaced: watch::Sender<()>,
    // Whether the one in force asks for labels of namespaces.
    asks_for_labels: watch::Sender<bool>,
    metrics: Arc<Metrics>,
}

/// A version of the map that cannot be used.
#[derive(Debug, Clone)]
pub struct RefusedMap {
    /// Why.
    pub error: MapError,
    /// When it was tried.
    pub at: Timestamp,
}

impl MapStore {
    /// Holds no map.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            live: ArcSwapOption::empty(),
            refused: ArcSwapOption::empty(),
            replaced: watch::Sender::new(()),
            asks_for_labels: watch::Sender::new(false),
            metrics,
        }
    }

    /// The map in force; a reload does not touch the one that a caller holds.
    pub fn current(&self) -> Guard<Option<Arc<LiveMap>>> {
        self.live.load()
    }

    /// Notifies of each map that is put in force from now on.
    #[must_use]
    pub fn replaced(&self) -> watch::Receiver<()> {
        self.replaced.subscribe()
    }

    /// Whether the map in force asks for labels of namespaces, now and from now on.
    #[must_use]
    pub fn asks_for_labels(&self) -> watch::Receiver<bool> {
        self.asks_for_labels.subscribe()
    }

    /// Whether there is a map.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.live.load().is_some()
    }

    /// Why the newest version of the map is not in force; `None` when it is.
    #[must_use]
    pub fn refused(&self) -> Option<Arc<RefusedMap>> {
        self.refused.load_full()
    }

    /// Puts a map in force, or keeps the one before it and logs why.
    pub fn replace(&self, new: Result<LoadedMap, MapError>, now: Timestamp) {
        self.metrics.map.loaded(new.is_ok());
        match new {
            Ok(LoadedMap { policy, warnings }) => {
                for warning in warnings {
                    tracing::warn!(%warning, "the registry map has a warning");
                }
                let entries = self
                    .metrics
                    .map_in_force(policy.entries(), policy.digest(), now);
                tracing::info!(
                    entries = policy.entries().len(),
                    digest = policy.digest(),
                    "registry map in force"
                );
                self.asks_for_labels.send_replace(policy.uses_selectors());
                self.live.store(Some(Arc::new(LiveMap {
                    policy,
                    entries,
                    loaded: now,
                })));
                self.refused.store(None);
                self.replaced.send_replace(());
            }
            Err(error) => {
                if self.is_ready() {
                    tracing::error!(
                        %error,
                        "the new registry map is refused; the one before it stays in force"
                    );
                } else {
                    tracing::error!(
                        %error,
                        "there is no registry map; reviews are answered with 503 until there is one"
                    );
                }
                self.refused
                    .store(Some(Arc::new(RefusedMap { error, at: now })));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_directory_share_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.yaml", "b.yaml"] {
            let file = File::create(folder.path().join(name)).unwrap();
            // A hole takes no space on the disk.
            file.set_len(MOST_BYTES / 2 + 1).unwrap();
        }
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("b.yaml"), "{error}");
        assert!(error.contains("more than 64 MiB"), "{error}");
    }

    #[test]
    fn a_file_without_an_end_is_an_error() {
        let error = read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(error.contains("more than 64 MiB"), "{error}");
    }
}
