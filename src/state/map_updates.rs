//! Brings new versions of the registry map: from the files, and from the ConfigMap in the
//! cluster where its name is known.
//!
//! The files are what a replica starts with, and what it goes by while the API server is away.
//! The ConfigMap is watched, so that a change is in force on all replicas within seconds and
//! not only when the kubelet updates the files. Serving must not depend on either: the map in
//! force stays until there is a newer good one.

use super::file_watch::FileWatch;
use super::map_order::{FileVersion, MapOrder, Version};
use super::map_store::{MapError, MapFile, MapStore};
use crate::kube::changes::Pause;
use crate::kube::map_object::{MapObject, MapObjectName, MapReading};
use jiff::Timestamp;
use pullpass_core::map::{SourceFile, is_map_file};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// How often the ConfigMap is read without a hint: a watch can be stuck for minutes.
const READ_INTERVAL: Duration = Duration::from_secs(30);

type Files = Result<Vec<SourceFile>, MapError>;

/// Where new versions come from, and what came so far.
pub struct MapUpdates {
    files: FileWatch<Box<dyn Fn() -> Files + Send>, Files>,
    file: MapFile,
    order: MapOrder,
    maps: Arc<MapStore>,
}

impl MapUpdates {
    /// Reads the files for the first time, and puts in force what they contain.
    #[must_use]
    pub fn start(file: MapFile, maps: Arc<MapStore>) -> Self {
        let reading = file.clone();
        let read: Box<dyn Fn() -> Files + Send> = Box::new(move || reading.read());
        let mut updates = Self {
            files: FileWatch::new(read),
            file,
            order: MapOrder::default(),
            maps,
        };
        updates
            .order
            .shows(version_shown(updates.files.content()), false);
        updates.take(updates.files.content());
        updates
    }

    /// Takes in every new version; ends only when it panics.
    pub async fn run(self, interval: Duration, object: Option<MapObjectName>) {
        let maps = Arc::clone(&self.maps);
        let path = self.file.path().display().to_string();
        let (sender, told) = mpsc::channel(1);
        let follow = async {
            if let Some(object) = object {
                follow(object, &path, &maps, sender).await;
            }
            pending::<()>().await;
        };
        tokio::select! {
            () = self.take_all(interval, told) => {}
            () = follow => {}
        }
    }

    async fn take_all(mut self, interval: Duration, mut told: mpsc::Receiver<Files>) {
        loop {
            let news = tokio::select! {
                Some(files) = told.recv() => Some(files),
                () = sleep(interval) => None,
            };
            // Reading and compiling a large map takes long enough to hold up reviews.
            let step = tokio::task::spawn_blocking(move || {
                match news {
                    Some(files) => self.tell(&files),
                    None => self.look(),
                }
                self
            });
            match step.await {
                Ok(again) => self = again,
                Err(error) => {
                    tracing::error!(%error, "the map is not read again any more; restart pullpass");
                    return;
                }
            }
        }
    }

    /// The API server tells the newest version.
    fn tell(&mut self, files: &Files) {
        if self.order.told(version(files)) {
            self.take(files);
        }
    }

    /// Looks whether the files have changed.
    fn look(&mut self) {
        let Some(shown) = self.files.changed().map(version_shown) else {
            return;
        };
        let is_watching = self.maps.object().watch().problem().is_none();
        if self.order.shows(shown, is_watching) {
            self.take(self.files.content());
        } else {
            tracing::debug!(
                "the files of the registry map have changed to a version that is not newer"
            );
        }
    }

    fn take(&self, files: &Files) {
        let new = files
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|files| self.file.compile(files));
        self.maps.replace(new, Timestamp::now());
    }
}

fn version_shown(files: &Files) -> FileVersion {
    match files {
        Ok(_) => FileVersion::Readable(version(files)),
        Err(_) => FileVersion::Unreadable,
    }
}

/// What the API server tells always counts: without files it is the version without files.
fn version(files: &Files) -> Version {
    let files = files.as_deref().unwrap_or_default();
    Version::of(files.iter().map(|file| file.text.as_str()))
}

/// Follows the ConfigMap for as long as the process lives.
async fn follow(name: MapObjectName, path: &str, maps: &MapStore, told: mpsc::Sender<Files>) {
    let mut pause = Pause::default();
    let object = loop {
        match MapObject::new(name.clone()).await {
            Ok(object) => break object,
            Err(error) => maps.object().is_unknown(&name, &error.to_string()),
        }
        sleep(pause.after_error()).await;
    };
    let mut changes = object.changes();
    // The version that was read last.
    let mut known: Option<String> = None;
    loop {
        let wait = match object.read(known.as_deref()).await {
            Ok(reading) => {
                pause.reset();
                match reading {
                    MapReading::Missing => {
                        known = None;
                        maps.object().is_missing(&name, Timestamp::now());
                    }
                    MapReading::Unchanged => maps.object().is_present(&name),
                    MapReading::Changed { files, version } => {
                        maps.object().is_present(&name);
                        // An error means that nobody takes in maps any more.
                        let _ = told.send(mounted(path, files)).await;
                        known = version;
                    }
                }
                READ_INTERVAL
            }
            Err(error) => {
                maps.object().is_unknown(&name, &error.to_string());
                pause.after_error()
            }
        };
        changes.wait(wait).await;
    }
}

/// What the kubelet makes of the ConfigMap, so that messages name the same files whichever way
/// a version came.
fn mounted(path: &str, files: BTreeMap<String, Vec<u8>>) -> Files {
    let mut mounted = Vec::new();
    for (key, bytes) in files {
        if !is_map_file(&key) {
            continue;
        }
        let name = format!("{path}/{key}");
        let Ok(text) = String::from_utf8(bytes) else {
            return Err(MapError::Unreadable {
                path: name,
                error: "it is not UTF-8".to_owned(),
            });
        };
        mounted.push(SourceFile { name, text });
    }
    if mounted.is_empty() {
        return Err(MapError::Empty(path.to_owned()));
    }
    Ok(mounted)
}
