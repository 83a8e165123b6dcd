//! Kubernetes manifests: the documents of a file, the pod of each document, and the
//! position of every image.
//!
//! It reads YAML and JSON, several documents, and Lists. It reports a document that cannot
//! be read and reads the others. Whatever it skips has a reason, so that nobody takes
//! "skipped" for "allowed". This module must not open files or know the registry map.

use crate::admission::pod::Pod;
use crate::admission::workload::ObjectKind;
use crate::policy::{Field, LabelMap};
use crate::yaml::{self, Node, SyntaxError, Value};
use serde::de::DeserializeSeed;
use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};

mod split;

#[cfg(test)]
mod as_kubectl;

use split::{Form, Piece};

/// How deep lists and maps may lie in each other. The schemas of custom resources, the
/// deepest there is, stay below half of it.
const DEPTH: usize = 128;

/// Where something stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestSpan {
    /// From 1.
    pub line: usize,
    /// Characters, from 1.
    pub column: usize,
    /// The first column behind it, where it ends on the same line.
    pub end_column: Option<usize>,
}

impl ManifestSpan {
    /// Before everything.
    #[must_use]
    pub fn beginning() -> Self {
        Self {
            line: 1,
            column: 1,
            end_column: None,
        }
    }
}

/// A document of a manifest, or an element of its List.
#[derive(Debug)]
pub struct Document<'d> {
    /// Where it begins.
    pub at: ManifestSpan,
    /// Its `kind`; empty where it has none.
    pub kind: &'d str,
    /// `metadata.namespace`; empty where it has none.
    pub namespace: &'d str,
    /// `metadata.name` or `metadata.generateName`; empty where it has neither.
    pub name: &'d str,
    /// What came of it.
    pub content: Content<'d>,
}

/// What came of a document.
#[derive(Debug)]
pub enum Content<'d> {
    /// It leads to pods.
    Workload(Box<Workload<'d>>),
    /// It is a Namespace with these labels. It makes no pods.
    Namespace(LabelMap),
    /// It was not looked at.
    Skipped(Skip),
    /// It cannot be read.
    Unreadable(String),
}

/// The pod in a document.
#[derive(Debug)]
pub struct Workload<'d> {
    /// The pod, with fields named from the document's root.
    pub pod: Pod<'d>,
    root: &'d Node<'d>,
    /// The lists of the pod that name images, with the prefix of their fields' paths. They
    /// are looked up once, so that a document costs as much as it is long.
    lists: Vec<(String, &'d [Node<'d>])>,
    piece: &'d Piece<'d>,
}

/// Why a document was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Nothing is written there.
    Empty,
    /// No object of Kubernetes, the values of a chart for instance.
    NoObject,
    /// An object of Kubernetes that leads to no pods.
    NoPods,
    /// A kind that Kubernetes itself does not know.
    Custom,
    /// What `kubectl kustomize` reads.
    Kustomization,
    /// A template that cannot be read before it is rendered.
    Template,
}

impl Skip {
    /// A word for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NoObject => "no-object",
            Self::NoPods => "no-pods",
            Self::Custom => "custom-resource",
            Self::Kustomization => "kustomization",
            Self::Template => "template",
        }
    }
}

impl Display for Skip {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty",
            Self::NoObject => "no object of Kubernetes: it lacks apiVersion or kind",
            Self::NoPods => "it makes no pods",
            Self::Custom => {
                "a custom resource; the pods that it leads to are judged when they are made"
            }
            Self::Kustomization => "a Kustomization; check what `kubectl kustomize` prints",
            Self::Template => "a template that is not rendered; check what `helm template` prints",
        })
    }
}

impl Workload<'_> {
    /// Where an image of the pod stands.
    #[must_use]
    pub fn place(&self, field: Field) -> ManifestSpan {
        let path = field.to_string();
        let node = self.lists.iter().find_map(|(list, elements)| {
            let (number, rest) = path.strip_prefix(list.as_str())?.split_once("].")?;
            elements.get(number.parse::<usize>().ok()?)?.at_path(rest)
        });
        self.piece.place(node.unwrap_or(self.root).at)
    }
}

/// Reads a manifest, a document at a time, in the file's order.
pub fn read(text: &str, mut each: impl FnMut(Document<'_>)) {
    for piece in split::pieces(text) {
        piece.read(&mut each);
    }
}

/// The documents of a manifest as JSON, with zero for every number; or where it cannot
/// be read, without the text that stands there.
pub(crate) fn values(text: &str) -> Result<Vec<serde_json::Value>, ManifestSpan> {
    let mut values = Vec::new();
    for piece in split::pieces(text) {
        let mut refused = None;
        piece.with_trees(|piece, roots, error| {
            let roots = roots.iter().filter(|root| root.value != Value::Null);
            values.extend(roots.map(serde_json::Value::from));
            refused = error.map(|error| piece.place(error.at));
        });
        if let Some(place) = refused {
            return Err(place);
        }
    }
    Ok(values)
}

impl Piece<'_> {
    fn read(&self, each: &mut impl FnMut(Document<'_>)) {
        self.with_trees(|piece, roots, error| piece.tell(roots, error, each));
    }

    /// Hands over the documents of the piece up to its first error. The piece is this
    /// one as far as places go.
    fn with_trees(&self, then: impl FnOnce(&Piece<'_>, &[Node<'_>], Option<&SyntaxError>)) {
        if let Some(piece) = self.unlike_separator() {
            return piece.with_trees(then);
        }
        if let Some(why) = self.unlike_yaml() {
            let error = SyntaxError {
                message: why.to_owned(),
                at: yaml::Span::beginning(),
            };
            return then(self, &[], Some(&error));
        }
        let (roots, error) = yaml::manifest(self.text, DEPTH);
        if error.is_some()
            && let Cow::Owned(indented) = yaml::indented(self.text)
        {
            let (roots, error) = yaml::manifest(&indented, DEPTH);
            then(&self.with_text(&indented), &roots, error.as_ref());
        } else {
            then(self, &roots, error.as_ref());
        }
    }

    /// Why the piece is not given to the YAML library.
    fn unlike_yaml(&self) -> Option<&'static str> {
        match self.form {
            Form::Separator => {
                Some("kubectl takes nothing but a comment behind `---`; write it on the next line")
            }
            // libyaml, with which kubectl reads, goes by YAML 1.1 here.
            Form::Yaml if self.text.contains(['\u{85}', '\u{2028}', '\u{2029}']) => Some(
                "it holds U+0085, U+2028 or U+2029, which end a line for kubectl and not for \
                 others; write an escape such as \"\\u2028\"",
            ),
            Form::Yaml if self.text.contains("\n\u{feff}") || self.text.contains("\r\u{feff}") => {
                Some("a line begins with a mark of the byte order (U+FEFF); remove it")
            }
            // kubectl takes the end of each line away before libyaml sees the text.
            Form::Yaml if self.text.contains("\r\r\n") => {
                Some("a line ends in two carriage returns; write one, or none")
            }
            Form::Yaml | Form::Json => None,
        }
    }

    /// Says what was read, and why no more was.
    fn tell(
        &self,
        roots: &[Node<'_>],
        error: Option<&SyntaxError>,
        each: &mut impl FnMut(Document<'_>),
    ) {
        let mut is_empty = true;
        for root in roots.iter().filter(|root| root.value != Value::Null) {
            is_empty = false;
            self.object(root, Inherited::default(), each);
        }
        match error {
            None if is_empty => each(self.bare(Content::Skipped(Skip::Empty))),
            None => {}
            Some(error) if self.is_template(error) => {
                each(self.bare(Content::Skipped(Skip::Template)));
            }
            Some(error) => each(Document {
                at: self.place(error.at),
                ..self.bare(Content::Unreadable(error.message.clone()))
            }),
        }
    }

    /// A document of which nothing is known.
    fn bare<'d>(&self, content: Content<'d>) -> Document<'d> {
        Document {
            at: self.place(yaml::Span::beginning()),
            kind: "",
            namespace: "",
            name: "",
            content,
        }
    }

    /// Whether a placeholder of a template is the reason for which the document cannot be
    /// read: its line begins with `{{`, perhaps after a key or dashes, and the document is
    /// readable up to the line before and not with that line.
    ///
    /// A placeholder inside a text is not enough. Such a document may be one that kubectl
    /// reads, and a document that is skipped must not be one that kubectl applies. `{{` at
    /// the place of a value or a key is a map as the key of a map, which kubectl refuses.
    fn is_template(&self, error: &SyntaxError) -> bool {
        let reads = |end| {
            let text = self.text.get(..end).unwrap_or_default();
            yaml::manifest(text, DEPTH).1.is_none()
        };
        let mut start = 0;
        let lines = self.text.split_inclusive('\n').take(error.at.line.max(1));
        let candidates = lines.filter_map(|line| {
            let from = start;
            start += line.len();
            begins_with_placeholder(line).then_some((from, start))
        });
        candidates
            .take(MOST_PLACEHOLDERS)
            .any(|(from, to)| reads(from) && !reads(to))
    }

    /// Whether any line begins with a placeholder of a template.
    fn has_placeholders(&self) -> bool {
        *self
            .has_placeholders
            .get_or_init(|| self.text.lines().any(begins_with_placeholder))
    }

    /// Whether a placeholder stands in the place of a value.
    fn is_placeholder(&self, at: Option<yaml::Span>) -> bool {
        let rest = at.and_then(|at| self.text.get(at.start..));
        rest.is_some_and(|rest| rest.starts_with("{{"))
    }

    fn object<'d>(
        &'d self,
        root: &'d Node<'d>,
        inherited: Inherited<'d>,
        each: &mut impl FnMut(Document<'_>),
    ) {
        let said = |key| root.get(key).and_then(Node::text).unwrap_or_default();
        let (mut api_version, mut kind) = (said("apiVersion"), said("kind"));
        if api_version.is_empty() && kind.is_empty() {
            (api_version, kind) = (inherited.api_version, inherited.kind);
        }
        // As `kubectl` tells a list (apimachinery, `unstructuredJSONScheme`): by its
        // `items`. What has some and is called otherwise is looked at itself, too.
        if let Some(items) = root.get("items").and_then(Node::elements)
            && !kind.is_empty()
        {
            let of = kind.strip_suffix("List");
            let inherited = Inherited {
                // `PodList` says what its elements are, `List` does not.
                api_version: if of == Some("") { "" } else { api_version },
                kind: of.unwrap_or(kind),
            };
            for item in items {
                self.object(item, inherited, each);
            }
            if of.is_some() {
                return;
            }
        }
        let metadata = |key| {
            let value = root.get("metadata").and_then(|metadata| metadata.get(key));
            value.and_then(Node::text).unwrap_or_default()
        };
        let name = match metadata("name") {
            "" => metadata("generateName"),
            name => name,
        };
        let mut at = self.place(root.at);
        let content = match ObjectKind::of_object(api_version, kind) {
            _ if api_version.is_empty() || kind.is_empty() => {
                Content::Skipped(self.no_object(root))
            }
            None => namespace(api_version, kind, root)
                .unwrap_or_else(|| Content::Skipped(skip(api_version, kind))),
            Some(known) => match known.deserialize(root) {
                Ok(pod) => Content::Workload(Box::new(Workload {
                    pod: pod.unwrap_or_default(),
                    root,
                    lists: lists(known, root),
                    piece: self,
                })),
                Err(error) if self.is_placeholder(error.at) => Content::Skipped(Skip::Template),
                Err(error) => {
                    at = self.place(error.at.unwrap_or(root.at));
                    Content::Unreadable(error.message)
                }
            },
        };
        each(Document {
            at,
            kind,
            namespace: metadata("namespace"),
            name,
            content,
        });
    }

    fn no_object(&self, root: &Node<'_>) -> Skip {
        if self.has_placeholders() {
            Skip::Template
        } else if root.value == Value::Null {
            Skip::Empty
        } else {
            Skip::NoObject
        }
    }
}

/// The lists of a pod that name images, as [`Workload`] holds them.
fn lists<'d>(kind: ObjectKind, root: &'d Node<'d>) -> Vec<(String, &'d [Node<'d>])> {
    let spec = format!("{}spec", kind.path_to_pod());
    let Some(pod) = root.at_path(&spec) else {
        return Vec::new();
    };
    let names = [
        "containers",
        "initContainers",
        "ephemeralContainers",
        "volumes",
    ];
    let found = names.into_iter().filter_map(|name| {
        let elements = pod.get(name)?.elements()?;
        Some((format!("{spec}.{name}["), elements))
    });
    found.collect()
}

/// How many lines with placeholders are tried as the reason of an error; each try reads the
/// text before it again.
const MOST_PLACEHOLDERS: usize = 4;

/// Whether a line begins with `{{`, after dashes and a key.
fn begins_with_placeholder(line: &str) -> bool {
    let mut rest = line.trim_start();
    while let Some(after) = rest.strip_prefix("- ") {
        rest = after.trim_start();
    }
    if rest.starts_with("{{") {
        return true;
    }
    let value = rest.split_once(": ").map(|(_, value)| value.trim_start());
    value.is_some_and(|value| value.starts_with("{{"))
}

/// What an element of a typed list does not say itself.
#[derive(Clone, Copy, Default)]
struct Inherited<'d> {
    api_version: &'d str,
    kind: &'d str,
}

/// A Namespace whose labels the API server would take.
fn namespace<'d>(api_version: &str, kind: &str, root: &Node<'_>) -> Option<Content<'d>> {
    if (api_version, kind) != ("v1", "Namespace") {
        return None;
    }
    let metadata = root.get("metadata")?;
    metadata.get("name").and_then(Node::text)?;
    let labels = match metadata.get("labels").map(|labels| &labels.value) {
        None | Some(Value::Null) => Some(LabelMap::new()),
        Some(Value::Map(pairs)) => pairs
            .iter()
            .map(|(key, value)| Some((key.text()?.to_owned(), value.text()?.to_owned())))
            .collect(),
        Some(_) => None,
    };
    labels.map(Content::Namespace)
}

/// Why an object that is no workload was not looked at.
fn skip(api_version: &str, kind: &str) -> Skip {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    if kind == "Kustomization" && group == "kustomize.config.k8s.io" {
        Skip::Kustomization
    // The groups of Kubernetes have no dot, or end so (KEP-1111 keeps it for them).
    } else if group.contains('.') && !group.ends_with(".k8s.io") {
        Skip::Custom
    } else {
        Skip::NoPods
    }
}
