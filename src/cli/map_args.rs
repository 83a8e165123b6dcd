//! How a command finds the registry map and the time it is to decide for.
//!
//! `--config`, then `$PULLPASS_CONFIG`. Where a question can be answered without a
//! map, the built-in defaults answer it and the command says so.

use super::{Failure, output};
use crate::state::map_store;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use pullpass_core::map::{self, Diagnostic, LoadedMap, Options, SourceFile};
use std::path::PathBuf;
use std::str::FromStr;

/// The flags of every command that asks the map.
#[derive(Debug, clap::Args)]
pub struct MapArgs {
    /// The registry map: a file, or a directory of them
    #[arg(long, value_name = "FILE|DIR", env = "PULLPASS_CONFIG")]
    pub config: Option<PathBuf>,
    /// Decide as of this day or time (2026-12-31, or 2026-12-31T12:00:00Z) instead of now
    #[arg(long, value_name = "DATE")]
    pub at: Option<At>,
}

/// A day (its first instant, UTC) or a time.
#[derive(Debug, Clone, Copy)]
pub struct At(Timestamp);

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self(time));
        }
        text.parse::<Date>()
            .and_then(|date| date.to_zoned(TimeZone::UTC))
            .map(|midnight| Self(midnight.timestamp()))
            .map_err(|_| {
                "write a day like 2026-12-31 or a time like 2026-12-31T12:00:00Z".to_owned()
            })
    }
}

impl MapArgs {
    /// The time to decide for.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.at.map_or_else(Timestamp::now, |at| at.0)
    }

    /// The map; there must be one.
    pub fn load(&self) -> Result<LoadedMap, Failure> {
        let path = self.config.as_ref().ok_or_else(|| {
            Failure::input("no registry map is named: use --config FILE or $PULLPASS_CONFIG")
        })?;
        load(&map_store::read(path).map_err(Failure::input)?)
    }

    /// The map, or the built-in defaults where none is named.
    pub fn load_or_defaults(&self) -> Result<LoadedMap, Failure> {
        let Some(path) = &self.config else {
            output::say(
                "note: no registry map is named (--config FILE or $PULLPASS_CONFIG); answering \
                 from the defaults: no entries, well-known public registries, warn about all others",
            );
            return load(&[SourceFile {
                name: "defaults".to_owned(),
                text: DEFAULTS.to_owned(),
            }]);
        };
        load(&map_store::read(path).map_err(Failure::input)?)
    }
}

/// A map that leaves everything out that can be left out.
const DEFAULTS: &str = "apiVersion: pullpass.dev/v1\nkind: RegistryMap\nregistries: []\n";

/// The map in these files; all of its errors, the way its author reads them.
pub fn load(files: &[SourceFile]) -> Result<LoadedMap, Failure> {
    load_with(files, &Options::default())
}

/// The same by these options.
pub fn load_with(files: &[SourceFile], options: &Options) -> Result<LoadedMap, Failure> {
    map::load(files, options).map_err(|errors| broken(&errors, files))
}

/// A map, or its tests, that cannot be used.
#[must_use]
pub fn broken(errors: &[Diagnostic], files: &[SourceFile]) -> Failure {
    Failure::input(format_args!(
        "the registry map, or a test of it, cannot be used\n{}",
        map::render(errors, files, output::coloured())
    ))
}
