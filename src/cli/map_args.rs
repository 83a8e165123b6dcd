//! The flags that name the registry map and the time to decide for.
//!
//! The map is that of `--config`, else of `$PULLPASS_CONFIG`. A command that can do without a
//! map uses the built-in defaults and says so. This module must not decide by the map.

use super::{CliError, output};
use crate::state::map_store;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use pullpass_core::map::{self, Diagnostic, LoadedMap, Options, SourceFile};
use std::path::PathBuf;
use std::str::FromStr;

/// The flags of every command that decides by the map.
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
    pub fn load(&self) -> Result<LoadedMap, CliError> {
        let path = self.config.as_ref().ok_or_else(no_map)?;
        load(&map_store::read(path).map_err(CliError::input)?)
    }

    /// The map, or the built-in defaults where none is named.
    pub fn load_or_defaults(&self) -> Result<LoadedMap, CliError> {
        let Some(path) = &self.config else {
            output::say(
                "note: no registry map is named (--config FILE or $PULLPASS_CONFIG), so the defaults \
                 apply: no entries, well-known public registries, warnings about all others",
            );
            return load(&[SourceFile {
                name: "defaults".to_owned(),
                text: DEFAULTS.to_owned(),
            }]);
        };
        load(&map_store::read(path).map_err(CliError::input)?)
    }
}

/// The error of a command that needs a map.
pub(super) fn no_map() -> CliError {
    CliError::input("no registry map is named; use --config FILE or $PULLPASS_CONFIG")
}

/// A map without any optional key.
const DEFAULTS: &str = "apiVersion: pullpass.dev/v1\nkind: RegistryMap\nregistries: []\n";

/// The map in these files; the error shows each diagnostic with its source.
pub fn load(files: &[SourceFile]) -> Result<LoadedMap, CliError> {
    load_with(files, &Options::default())
}

/// The same with these options.
pub fn load_with(files: &[SourceFile], options: &Options) -> Result<LoadedMap, CliError> {
    map::load(files, options).map_err(|errors| broken(&errors, files))
}

/// The error for a map, or its tests, that cannot be used.
#[must_use]
pub fn broken(errors: &[Diagnostic], files: &[SourceFile]) -> CliError {
    CliError::input(format_args!(
        "cannot use the registry map or its tests\n{}",
        map::render(errors, files, output::coloured())
    ))
}
