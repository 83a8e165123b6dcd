//! The answer to a review of the registry map itself: of the `ConfigMap` that contains it,
//! before it is stored.
//!
//! Its files are those that the kubelet will write into the directory that pullpass reads,
//! and its diagnostics are those of [`map::check`], which the server and
//! `pullpass config validate` use too. The same input gives the same bytes. This module must
//! not depend on the map in use, so that users can repair a broken one.

use super::json::{JsonObject, Text};
use super::request::{self, BadReview, Operation, Resource};
use super::verdict::Ruling;
use super::{Outcome, ReviewEffect, ReviewError, ReviewReport, Reviewed, response};
use crate::map::{self, Diagnostic, SourceFile};
use crate::policy::message;
use crate::text::visible;
use crate::well_known::MAP_LABEL;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The most bytes of all values of a `ConfigMap` together (`ValidateConfigMap` in
/// `pkg/apis/core/validation`). Without the bound, a review of 16 MiB would need ten times as
/// much memory.
const MOST_BYTES: usize = 1 << 20;

/// How many bytes of diagnostics a denial shows: about twenty errors, which fit on a
/// terminal.
const MOST_SHOWN_BYTES: usize = 4096;

/// Answers a review of a `ConfigMap`.
///
/// Everything that is not the registry map (another resource, no label, `DELETE`, an object
/// that is being deleted) is allowed. It fails if the body is not a review that pullpass can
/// answer.
pub fn review(body: &[u8]) -> Result<Reviewed<'static>, ReviewError> {
    let JsonObject(request) = request::envelope(body)?;
    let request: MapRequest<'_> = request.ok_or(BadReview::Missing("request"))?;
    let operation = request.check()?;
    let is_stored = matches!(operation, Operation::Create | Operation::Update);
    let objects = if is_stored && request.is_config_map() {
        Some(Objects::of(&request)?)
    } else {
        None
    };
    let verdict = match &objects {
        Some(objects) => judge(objects)?,
        None => MapVerdict::untouched(),
    };
    let name = objects.as_ref().map_or("", |objects| objects.name());
    let name = if name.is_empty() {
        &request.name.0
    } else {
        name
    };
    Ok(Reviewed {
        body: response::write_map(&request.uid.0, name, &verdict.ruling)?,
        report: ReviewReport {
            uid: request.uid.0.clone().into_owned(),
            namespace: request.namespace.0.clone().into_owned(),
            name: name.to_owned(),
            operation,
            dry_run: request.dry_run == Some(true),
            effect: ReviewEffect::Map {
                outcome: Outcome::of(&verdict.ruling),
                errors: verdict.errors,
            },
        },
        record: None,
    })
}

struct MapVerdict {
    ruling: Ruling,
    errors: usize,
}

impl MapVerdict {
    fn untouched() -> Self {
        Self::warned(0, Vec::new())
    }

    fn denied(errors: usize, denial: String) -> Self {
        Self {
            ruling: Ruling::Denied(denial),
            errors,
        }
    }

    fn warned(errors: usize, warnings: Vec<String>) -> Self {
        Self {
            ruling: Ruling::Admitted(warnings),
            errors,
        }
    }
}

fn judge(objects: &Objects<'_>) -> Result<MapVerdict, BadReview> {
    let Objects { new, old } = objects;
    if new.is_being_deleted() {
        return Ok(MapVerdict::untouched());
    }
    let was_the_map = old.as_ref().is_some_and(ConfigMap::is_map);
    if !new.is_map() {
        let warning = format!(
            "without the label {MAP_LABEL}, pullpass no longer checks this registry map before it takes effect"
        );
        let warnings = was_the_map.then_some(warning).into_iter().collect();
        return Ok(MapVerdict::warned(0, warnings));
    }
    let files = match new.files()? {
        Ok(files) => files,
        Err(reason) => return Ok(MapVerdict::denied(1, reason)),
    };
    // If the stored map has errors, its labels and owners must stay changeable.
    let is_new = !was_the_map || old.as_ref().is_none_or(|old| !old.has_same_files(new));
    let checked = map::check(&files);
    let errors: Vec<&Diagnostic> = checked.errors().collect();
    Ok(match (errors.len(), is_new) {
        (0, true) => {
            let line = |warning: &Diagnostic| visible(&warning.to_string());
            MapVerdict::warned(0, message::limited(&checked.diagnostics, line))
        }
        (0, false) => MapVerdict::untouched(),
        (count, true) => MapVerdict::denied(count, denial(&checked.diagnostics, &errors, &files)),
        (count, false) => {
            let line =
                |error: &&Diagnostic| visible(&format!("already in the stored map: {error}"));
            MapVerdict::warned(count, message::limited(&errors, line))
        }
    })
}

/// The denial of a map with errors: all diagnostics as `pullpass config validate` shows them,
/// or, if they are too long, as many errors as fit.
fn denial(found: &[Diagnostic], errors: &[&Diagnostic], files: &[SourceFile]) -> String {
    let all = map::render(found, files, false);
    let shown = if all.len() <= MOST_SHOWN_BYTES {
        all
    } else {
        let errors: Vec<_> = errors.iter().copied().cloned().collect();
        map::render_within(MOST_SHOWN_BYTES, &errors, files)
    };
    format!(
        "the registry map in this ConfigMap cannot be used\n{}",
        shown.trim_end()
    )
}

/// The part of a request that a review of the map needs.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct MapRequest<'a> {
    #[serde(borrow)]
    uid: Text<'a>,
    #[serde(borrow)]
    resource: JsonObject<Resource<'a>>,
    #[serde(borrow)]
    sub_resource: Text<'a>,
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    operation: Text<'a>,
    dry_run: Option<bool>,
    // The objects stay text until it is known that they are ConfigMaps.
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    old_object: Option<&'a RawValue>,
}

impl MapRequest<'_> {
    fn check(&self) -> Result<Operation, BadReview> {
        let resource = self.resource.0.as_ref();
        if self.uid.0.is_empty() {
            return Err(BadReview::Missing("request.uid"));
        }
        if resource.is_none_or(|resource| resource.resource.0.is_empty()) {
            return Err(BadReview::Missing("request.resource"));
        }
        match request::operation(&self.operation) {
            Operation::Missing => Err(BadReview::Missing("request.operation")),
            operation => Ok(operation),
        }
    }

    fn is_config_map(&self) -> bool {
        let resource = self.resource.0.as_ref();
        resource.is_some_and(|at| at.group.0.is_empty() && at.resource.0 == "configmaps")
            && self.sub_resource.0.is_empty()
    }
}

/// The `ConfigMap` after the request and before it.
struct Objects<'a> {
    new: ConfigMap<'a>,
    old: Option<ConfigMap<'a>>,
}

impl<'a> Objects<'a> {
    fn of(request: &MapRequest<'a>) -> Result<Self, BadReview> {
        let read = |object: Option<&'a RawValue>| {
            let Some(text) = object else { return Ok(None) };
            let read: serde_json::Result<JsonObject<_>> = serde_json::from_str(text.get());
            match read {
                Ok(JsonObject(object)) => Ok(object),
                Err(error) => Err(BadReview::json(&error)),
            }
        };
        Ok(Self {
            new: read(request.object)?.ok_or(BadReview::Missing("request.object"))?,
            old: read(request.old_object)?,
        })
    }

    fn name(&self) -> &str {
        self.new.metadata().map_or("", |metadata| &metadata.name.0)
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ConfigMap<'a> {
    #[serde(borrow)]
    metadata: JsonObject<ConfigMapMetadata<'a>>,
    #[serde(borrow)]
    data: Option<BTreeMap<Text<'a>, Text<'a>>>,
    #[serde(borrow)]
    binary_data: Option<BTreeMap<Text<'a>, Text<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ConfigMapMetadata<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    labels: Option<BTreeMap<Text<'a>, Text<'a>>>,
    #[serde(borrow)]
    deletion_timestamp: Text<'a>,
}

impl<'a> ConfigMap<'a> {
    fn metadata(&self) -> Option<&ConfigMapMetadata<'a>> {
        self.metadata.0.as_ref()
    }

    /// Whether the `ConfigMap` has the label of a map, with any value.
    fn is_map(&self) -> bool {
        let labels = self
            .metadata()
            .and_then(|metadata| metadata.labels.as_ref());
        labels.is_some_and(|labels| labels.keys().any(|label| label.0 == MAP_LABEL))
    }

    fn is_being_deleted(&self) -> bool {
        self.metadata()
            .is_some_and(|metadata| !metadata.deletion_timestamp.0.is_empty())
    }

    /// The keys that are files of the map, with their values as they were sent, and whether
    /// they are in `binaryData`.
    fn values(&self) -> BTreeMap<&str, (&str, bool)> {
        let mut values = BTreeMap::new();
        for (entries, is_binary) in [(&self.data, false), (&self.binary_data, true)] {
            for (key, value) in entries.iter().flatten() {
                if map::is_map_file(&key.0) {
                    values.insert(&*key.0, (&*value.0, is_binary));
                }
            }
        }
        values
    }

    fn has_same_files(&self, other: &Self) -> bool {
        self.values() == other.values()
    }

    /// The files that the kubelet writes for this `ConfigMap` and pullpass reads, in the
    /// order of their names; or the reason for a denial if pullpass could not read them.
    ///
    /// It fails if no API server accepts the `ConfigMap`.
    fn files(&self) -> Result<Result<Vec<SourceFile>, String>, BadReview> {
        let mut left = MOST_BYTES;
        let mut files = Vec::new();
        for (key, (value, is_binary)) in self.values() {
            let name = visible(key);
            let bytes = if is_binary {
                // kubectl puts files that are not UTF-8 into `binaryData`.
                let decoded = STANDARD.decode(value);
                decoded.map_err(|_| BadReview::InvalidConfigMap("binaryData is not base64"))?
            } else {
                value.as_bytes().to_vec()
            };
            left = left
                .checked_sub(bytes.len())
                .ok_or(BadReview::InvalidConfigMap("it contains more than 1 MiB"))?;
            match String::from_utf8(bytes) {
                Ok(text) => files.push(SourceFile { name, text }),
                Err(_) => return Ok(Err(format!("{name} is not UTF-8 text"))),
            }
        }
        if files.is_empty() {
            return Ok(Err(format!(
                "the ConfigMap has the label {MAP_LABEL} but no key that ends in .yaml, .yml or .json; \
                 put the registry map under such a key, for example map.yaml"
            )));
        }
        Ok(Ok(files))
    }
}
