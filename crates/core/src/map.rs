//! Reads a registry map: its files become a [`Policy`], or a list of everything that is
//! wrong with them.
//!
//! Several files, and several documents in one file, are one map. Their `registries` are
//! joined, and every other key may stand in only one document. [`tests`] reads the documents
//! of kind `RegistryMapTest`. This module must not open files: the caller lists the files
//! of a directory for which [`is_map_file`] is true, not recursively and in the order of
//! their names, and reads them.

mod cases;
mod diagnostic;
mod document;
mod draft;
mod entry;
mod keys;
mod lint;
mod reader;
mod render;
mod selector;
mod values;

pub use cases::{Case, ExpectedEntry, tests};
pub use diagnostic::{Diagnostic, RelatedSpan, Severity};
pub use render::{render, render_within};

use diagnostic::{Diagnostics, SourceSpan};
use draft::MapDraft;
use reader::MapField;

use std::fmt::Write as _;

use crate::policy::{Action, Parts, Pattern, Policy};

/// The JSON Schema (draft 2020-12) of a `RegistryMap` or `RegistryMapTest` document.
pub const SCHEMA: &str = include_str!("map/schema.json");

/// The `apiVersion` of a map. There is only one version of the format.
pub const API_VERSION: &str = "pullpass.dev/v1";

/// The `kind` of a map.
pub const KIND: &str = "RegistryMap";

/// The `kind` of the tests of a map.
pub const TEST_KIND: &str = "RegistryMapTest";

/// The namespaces that are exempt when `exemptNamespaces` is left out. The pods in them start
/// before any webhook and keep the nodes running.
pub const DEFAULT_EXEMPT_NAMESPACES: [&str; 2] = ["kube-system", "kube-node-lease"];

/// The `publicRegistries` when the key is left out and the map denies no unknown registry.
///
/// They serve public images to anonymous pulls, and their name belongs to the community or
/// vendor that the images come from. Two kinds of registries are left out on purpose:
/// registries where each customer has a hostname (`*.azurecr.io`,
/// `*.dkr.ecr.*.amazonaws.com`, `*.pkg.dev`, `*.jfrog.io`), because a private registry there
/// needs a pull secret, and registries that need a login for every pull
/// (`registry.redhat.io`, `icr.io`).
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

/// A map with more bytes gets a warning. A `ConfigMap` holds 1 MiB, its metadata included.
const LARGE_MAP_BYTES: usize = 900_000;

/// A file of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The name of the file, as messages show it.
    pub name: String,
    /// The content of the file: YAML or JSON.
    pub text: String,
}

/// Whether a file of this name in a directory, or a key of this name in a `ConfigMap`,
/// is a file of the map.
#[must_use]
pub fn is_map_file(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    !name.starts_with('.') && matches!(ending, Some("yaml" | "yml" | "json"))
}

/// What a map depends on apart from its files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The namespace that pullpass runs in. It is always exempt.
    pub own_namespace: Option<String>,
}

/// A map without errors.
#[derive(Debug)]
pub struct LoadedMap {
    /// The map.
    pub policy: Policy,
    /// What is probably not intended, in the order of the files.
    pub warnings: Vec<Diagnostic>,
}

/// What [`check`] finds.
#[derive(Debug)]
pub struct CheckedMap {
    /// The number of valid entries.
    pub entries: usize,
    /// All errors and warnings of all files, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
}

impl CheckedMap {
    /// Whether the map can be used: no diagnostic is an error.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.errors().next().is_none()
    }

    /// The errors among the diagnostics.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        let all = self.diagnostics.iter();
        all.filter(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Finds everything that is wrong with a map, as [`load`] does, and compiles nothing.
///
/// The time grows with the size of the files, because aliases are bounded, and comparisons
/// are bounded by a number of steps. The memory is at most 150 times the bytes of the files.
#[must_use]
pub fn check(files: &[SourceFile]) -> CheckedMap {
    let (draft, diagnostics) = read(files);
    CheckedMap {
        entries: draft.entries.len(),
        diagnostics: diagnostics.sorted(files),
    }
}

/// Reads a map. Time and memory are bounded as for [`check`]; the map itself takes 60 MB more
/// at most.
///
/// # Errors
///
/// The map has errors. The list has all errors and warnings of all files, in the order of
/// the files.
pub fn load(files: &[SourceFile], options: &Options) -> Result<LoadedMap, Vec<Diagnostic>> {
    let (draft, diagnostics) = read(files);
    if diagnostics.any_error() {
        return Err(diagnostics.sorted(files));
    }
    // What says where values stand is freed before the index is built.
    let parts = Parts {
        digest: digest(files),
        ..draft.into_parts(options)
    };
    Ok(LoadedMap {
        policy: Policy::new(parts),
        warnings: diagnostics.sorted(files),
    })
}

fn read(files: &[SourceFile]) -> (MapDraft<'_>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let mut draft = MapDraft::default();
    let documents = read_documents(files, &mut draft, &mut diagnostics);
    if documents == 0 && !diagnostics.any_error() {
        report_no_map(files, &mut diagnostics);
    }
    warn_of_size(files, &mut diagnostics);
    draft.settle(&mut diagnostics);
    lint::bounds::check(&draft, &mut diagnostics);
    lint::conflict::check(&draft, &mut diagnostics);
    lint::shadowed::check(&draft, &mut diagnostics);
    lint::reach::check(&draft, &mut diagnostics);
    (draft, diagnostics)
}

/// Reads the documents of all files, and returns how many of them are or may be a map. The
/// trees of the files are freed when it returns.
fn read_documents<'s>(
    files: &'s [SourceFile],
    draft: &mut MapDraft<'s>,
    diagnostics: &mut Diagnostics,
) -> usize {
    let trees = document::parse(files, diagnostics);
    let mut documents = 0;
    for (file, node) in document::roots(files, &trees) {
        let field = MapField::root(file, node);
        match document::kind(&field, diagnostics) {
            Some(KIND) => draft.read(&field, diagnostics),
            Some(_) => continue,
            None => {}
        }
        documents += 1;
    }
    documents
}

fn report_no_map(files: &[SourceFile], diagnostics: &mut Diagnostics) {
    let none = SourceFile {
        name: String::new(),
        text: String::new(),
    };
    let place = SourceSpan::whole(files.first().unwrap_or(&none));
    diagnostics.error(
        &place,
        format!(
            "there is no map; write a document with `apiVersion: {API_VERSION}` and `kind: {KIND}`"
        ),
    );
}

fn warn_of_size(files: &[SourceFile], diagnostics: &mut Diagnostics) {
    let bytes: usize = files.iter().map(|file| file.text.len()).sum();
    if let (true, Some(file)) = (bytes > LARGE_MAP_BYTES, files.first()) {
        diagnostics.warning(
            &SourceSpan::whole(file),
            format!(
                "the map has {} kB and a ConfigMap holds at most 1 MiB; mount it another way",
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

/// The digest that [`Policy::digest`] returns.
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
