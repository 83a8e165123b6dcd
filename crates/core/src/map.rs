//! From the files of a registry map to a [`Policy`], or to everything that is wrong
//! with them.
//!
//! Pure: the caller lists the files (those of a directory that [`is_map_file`] names,
//! not recursive, in name order) and reads them.
//! Several files, and several documents of one, are one map: their `registries` are
//! joined, every other key may stand in one document only. Documents of kind
//! `RegistryMapTest` are left to [`tests`].

mod cases;
mod diagnostic;
mod draft;
mod entry;
mod keys;
mod lint;
mod reader;
mod selector;
mod values;

pub use cases::{Case, ExpectedEntry, tests};
pub use diagnostic::{Diagnostic, RelatedSpan, Severity, render, render_within};

use diagnostic::SourceSpan;
use draft::MapDraft;
use reader::{Diagnostics, MapField};

use std::fmt::Write as _;

use crate::policy::pattern::shown;
use crate::policy::{Action, Parts, Pattern, Policy};
use crate::yaml;

/// The JSON Schema (draft 2020-12) of a `RegistryMap` or `RegistryMapTest` document.
pub const SCHEMA: &str = include_str!("map/schema.json");

/// The only version of the format.
pub const API_VERSION: &str = "pullpass.dev/v1";

/// The kind of a map.
pub const KIND: &str = "RegistryMap";

/// The kind of the tests of a map.
pub const TEST_KIND: &str = "RegistryMapTest";

/// Namespaces that are exempt when `exemptNamespaces` is left out: what runs there
/// starts before any webhook and keeps nodes alive.
pub const DEFAULT_EXEMPT_NAMESPACES: [&str; 2] = ["kube-system", "kube-node-lease"];

/// `publicRegistries` when the key is left out and nothing unknown is denied.
///
/// Registries that serve public images to anonymous pulls and whose name belongs to
/// the community or vendor that the images come from. Left out on purpose: registries
/// where each customer has a host name (`*.azurecr.io`, `*.dkr.ecr.*.amazonaws.com`,
/// `*.pkg.dev`, `*.jfrog.io`), since a private one there needs a pull secret, and
/// those that need a login for every pull (`registry.redhat.io`, `icr.io`).
pub const DEFAULT_PUBLIC_REGISTRIES: [&str; 11] = [
    "docker.io",
    "gcr.io",
    "ghcr.io",
    "k8s.gcr.io",
    "mcr.microsoft.com",
    "nvcr.io",
    "public.ecr.aws",
    "quay.io",
    "registry.access.redhat.com",
    "registry.gitlab.com",
    "registry.k8s.io",
];

/// Above this a map is warned of, in bytes: a `ConfigMap` holds 1 MiB with all around it.
const LARGE: usize = 900_000;

/// A file of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Stands in messages.
    pub name: String,
    /// YAML or JSON.
    pub text: String,
}

/// Whether a file of this name in a directory, or a key of this name in a `ConfigMap`,
/// is a file of the map.
#[must_use]
pub fn is_map_file(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    !name.starts_with('.') && matches!(ending, Some("yaml" | "yml" | "json"))
}

/// What a map does not say itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The namespace that pullpass runs in: always exempt.
    pub own_namespace: Option<String>,
}

/// A map that can be used.
#[derive(Debug)]
pub struct LoadedMap {
    /// The map.
    pub policy: Policy,
    /// What is probably not meant, in the order of the files.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a map.
///
/// The error is everything that is wrong in all files, with the warnings between, in
/// the order of the files. One pass over the text; nothing in it can make the work
/// more than its size warrants (aliases are bounded).
pub fn load(files: &[SourceFile], options: &Options) -> Result<LoadedMap, Vec<Diagnostic>> {
    let mut diagnostics = Diagnostics::default();
    let trees = parse(files, &mut diagnostics);
    let mut draft = MapDraft::default();
    let mut documents = 0;
    for (file, node) in roots(files, &trees) {
        let field = MapField::root(file, node);
        match kind(&field, &mut diagnostics) {
            Some(KIND) => draft.read(&field, &mut diagnostics),
            Some(_) => continue,
            None => {}
        }
        documents += 1;
    }
    if documents == 0 && !diagnostics.any_error() {
        nothing(files, &mut diagnostics);
    }
    warn_of_size(files, &mut diagnostics);
    draft.settle(&mut diagnostics);
    lint::conflict::check(&draft, &mut diagnostics);
    lint::shadowed::check(&draft, &mut diagnostics);
    if diagnostics.any_error() {
        return Err(diagnostics.sorted(files));
    }
    Ok(LoadedMap {
        policy: Policy::new(Parts {
            digest: digest(files),
            ..draft.into_parts(options)
        }),
        warnings: diagnostics.sorted(files),
    })
}

/// The documents of all files that are YAML.
fn parse<'s>(files: &'s [SourceFile], diagnostics: &mut Diagnostics) -> Vec<Vec<yaml::Node<'s>>> {
    files
        .iter()
        .map(|file| match yaml::documents(&file.text, yaml::MAP_DEPTH) {
            Ok(nodes) => nodes,
            Err(error) => {
                let place = SourceSpan {
                    file,
                    at: error.at,
                    path: String::new(),
                };
                diagnostics.error(&place, error.message);
                Vec::new()
            }
        })
        .collect()
}

fn roots<'s, 't>(
    files: &'s [SourceFile],
    trees: &'t [Vec<yaml::Node<'s>>],
) -> impl Iterator<Item = (&'s SourceFile, &'t yaml::Node<'s>)> {
    files
        .iter()
        .zip(trees)
        .flat_map(|(file, nodes)| nodes.iter().map(move |node| (file, node)))
}

/// Which of the two kinds a document is; complains about what is neither.
fn kind(document: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<&'static str> {
    let header = document.header();
    let kind = header.kind.as_ref();
    let found =
        kind.and_then(|(_, word)| [KIND, TEST_KIND].into_iter().find(|known| known == word));
    match (kind, found) {
        (_, Some(_)) => {}
        (None, _) => diagnostics.error(
            &document.place,
            format!("no `kind`: a map begins with `apiVersion: {API_VERSION}` and `kind: {KIND}`"),
        ),
        (Some((place, "ConfigMap")), None) => diagnostics.error(
            place,
            "this is a ConfigMap: give the map that is in its `data`",
        ),
        (Some((place, other)), None) => {
            let message = format!("`kind` is {KIND} or {TEST_KIND}, not {}", shown(other));
            let diagnostic = Diagnostic::new(Severity::Error, place, message);
            diagnostics.add(match keys::did_you_mean(other, &[KIND, TEST_KIND]) {
                Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
                None => diagnostic,
            });
        }
    }
    if found.is_some() {
        match &header.api_version {
            Some((_, API_VERSION)) => {}
            Some((place, _)) => diagnostics.error(place, format!("`apiVersion` is {API_VERSION}")),
            None => diagnostics.error(
                &document.place,
                format!("no `apiVersion`: write `apiVersion: {API_VERSION}`"),
            ),
        }
    }
    found
}

fn nothing(files: &[SourceFile], diagnostics: &mut Diagnostics) {
    let none = SourceFile {
        name: String::new(),
        text: String::new(),
    };
    let place = SourceSpan {
        file: files.first().unwrap_or(&none),
        at: yaml::Span::default(),
        path: String::new(),
    };
    diagnostics.error(
        &place,
        format!(
            "there is no map: write a document with `apiVersion: {API_VERSION}` and `kind: {KIND}`"
        ),
    );
}

fn warn_of_size(files: &[SourceFile], diagnostics: &mut Diagnostics) {
    let bytes: usize = files.iter().map(|file| file.text.len()).sum();
    if let (true, Some(file)) = (bytes > LARGE, files.first()) {
        let place = SourceSpan {
            file,
            at: yaml::Span::default(),
            path: String::new(),
        };
        diagnostics.warning(
            &place,
            format!(
                "the map is {} kB large, and a ConfigMap holds 1 MiB: mount it another way",
                bytes / 1000
            ),
        );
    }
}

impl MapDraft<'_> {
    fn into_parts(self, options: &Options) -> Parts {
        let mut exempt = self.exempt.map_or_else(
            || DEFAULT_EXEMPT_NAMESPACES.map(str::to_owned).to_vec(),
            |given| given.value,
        );
        exempt.extend(options.own_namespace.clone());
        Parts {
            entries: self.entries.into_iter().map(|draft| draft.entry).collect(),
            public: self.public.map_or_else(default_public_registries, |given| {
                given
                    .value
                    .into_iter()
                    .map(|(pattern, _)| pattern)
                    .collect()
            }),
            unknown: self.unknown.as_ref().and_then(|given| given.value.default),
            unknown_reason: self
                .unknown
                .as_ref()
                .and_then(|given| given.value.reason.clone()),
            overrides: self
                .unknown
                .map_or_else(Vec::new, |given| given.value.overrides),
            exempt,
            contact: self.contact.map(|given| given.value),
            digest: String::new(),
        }
    }
}

/// What [`Policy::digest`] returns.
fn digest(files: &[SourceFile]) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for file in files {
        context.update(file.text.as_bytes());
    }
    let mut text = "sha256:".to_owned();
    for byte in context.finish().as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn default_public_registries() -> Vec<Pattern> {
    DEFAULT_PUBLIC_REGISTRIES
        .iter()
        .filter_map(|text| Pattern::parse(text).ok())
        .collect()
}
