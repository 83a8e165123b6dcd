//! Image references: what a pod writes in `image`, taken apart.
//!
//! The grammar is that of `github.com/distribution/reference` v0.6.0
//! (`ParseNormalizedNamed`), which the kubelet and containerd use, with one
//! difference: the registry is always what stands before the first slash where
//! that is a host, because that is whom the runtime contacts. `reg_ex.com/app`,
//! which the Go library takes for a path without a registry, is the case where it
//! shows. Pure: borrows from the text, allocates nothing on success, never panics,
//! and knows no map and no cluster. It must not judge: whether a port can exist or
//! two spellings are one registry is for [`the caller`].

mod error;
mod grammar;

use std::borrow::Cow;
use std::fmt;

pub use error::ReferenceError;

/// The registry of an image that names none, and of `index.docker.io`.
pub const DOCKER_HUB: &str = "docker.io";

/// Where Docker Hub keeps images that are written without a slash.
const LIBRARY: &str = "library";

/// A valid image reference, borrowing from the text it was parsed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    ///
    /// The error says what is wrong and what to write instead; it is looked for only
    /// after the text has been refused, so that valid images pay nothing for it.
    pub fn parse(text: &'a str) -> Result<Self, ReferenceError> {
        take_apart(text).map_err(|found| error::explain(text, found))
    }

    /// The registry as written, `host[:port]`: `docker.io` where none is written.
    #[must_use]
    pub fn registry(&self) -> &'a str {
        self.registry
    }

    /// The registry without its port; an IPv6 address keeps its brackets.
    #[must_use]
    pub fn host(&self) -> &'a str {
        grammar::split_port(self.registry).0
    }

    /// The registry's port as written, digits only: `0443` and `99999` are possible.
    #[must_use]
    pub fn port(&self) -> Option<&'a str> {
        grammar::split_port(self.registry).1
    }

    /// The repository's path on its registry: `library/nginx`.
    #[must_use]
    pub fn repository(&self) -> Cow<'a, str> {
        if self.library {
            Cow::Owned(format!("{LIBRARY}/{}", self.path))
        } else {
            Cow::Borrowed(self.path)
        }
    }

    /// The parts of [`Self::repository`] between slashes, without allocating.
    ///
    /// There is at least one, and `library` comes first where it is implied.
    pub fn segments(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        let implied = if self.library { Some(LIBRARY) } else { None };
        implied.into_iter().chain(self.path.split('/'))
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
        let library = if self.library { "library/" } else { "" };
        format!("{}/{library}{}", self.registry, self.path)
    }
}

/// The full form, `registry/repository[:tag][@digest]`; parsing it gives the same
/// reference again.
impl fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.registry)?;
        if self.library {
            write!(f, "/{LIBRARY}")?;
        }
        write!(f, "/{}", self.path)?;
        if let Some(tag) = self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn take_apart(text: &str) -> Result<Reference<'_>, ReferenceError> {
    if text.is_empty() {
        return Err(ReferenceError::Empty);
    }
    if grammar::is_image_id(text) {
        return Err(ReferenceError::ImageId);
    }
    // Neither a name nor a tag can hold `@`, so the first one begins the digest.
    let (before, digest) = split(text, '@');
    let written = before
        .split_once('/')
        .filter(|(first, _)| grammar::names_registry(first));
    let (registry, rest) = written.unwrap_or((DOCKER_HUB, before));
    let (path, tag) = split(rest, ':');
    let path_at = before.len() - rest.len();

    // The Go library takes a host that is none by its own grammar for the first part
    // of the path, if it can be one, and then it counts towards the path's length.
    let mut counted = 0;
    if let Some((host, _)) = written
        && let Err(found) = grammar::registry(host)
    {
        if !grammar::is_path_segment(host) {
            return Err(found);
        }
        counted = path_at;
    }
    grammar::path(path, path_at)?;
    let registry = match registry {
        "index.docker.io" => DOCKER_HUB,
        other => other,
    };
    let library = registry == DOCKER_HUB && !path.contains('/');
    let implied = if library { LIBRARY.len() + 1 } else { 0 };
    grammar::path_length(counted + implied + path.len())?;
    if let Some(tag) = tag {
        grammar::tag(tag, path_at + path.len() + 1)?;
    }
    if let Some(digest) = digest {
        grammar::digest(digest, before.len() + 1)?;
    }
    Ok(Reference {
        registry,
        library,
        path,
        tag,
        digest,
    })
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, Option<&str>, Option<&str>) {
        let reference = Reference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        (
            reference.registry().to_owned(),
            reference.repository().into_owned(),
            reference.tag(),
            reference.digest(),
        )
    }

    fn name(text: &str) -> String {
        let (registry, repository, ..) = parts(text);
        format!("{registry} {repository}")
    }

    fn error(text: &str) -> ReferenceError {
        Reference::parse(text).expect_err(text)
    }

    #[test]
    fn a_name_without_a_host_is_on_docker_hub() {
        for text in [
            "nginx",
            "docker.io/nginx",
            "index.docker.io/nginx",
            "library/nginx",
        ] {
            assert_eq!(name(text), "docker.io library/nginx", "{text}");
        }
        // Without a slash it is a name, whatever it looks like.
        assert_eq!(name("host:5000"), "docker.io library/host");
        assert_eq!(name("example.com"), "docker.io library/example.com");
        assert_eq!(name("example.com:8080"), "docker.io library/example.com");
        assert_eq!(name("docker.io"), "docker.io library/docker.io");
        assert_eq!(name("myhost/app"), "docker.io myhost/app");
        assert_eq!(name("a/b.c:5000"), "docker.io a/b.c");
    }

    #[test]
    fn the_part_before_the_first_slash_is_a_host_when_it_looks_like_one() {
        for (text, expected) in [
            ("MyHost/app", "MyHost app"),
            ("myhost:5000/app", "myhost:5000 app"),
            ("localhost/app", "localhost app"),
            ("LOCALHOST/app", "LOCALHOST app"),
            ("DOCKER.IO/nginx", "DOCKER.IO nginx"),
            ("Docker.io/library/nginx", "Docker.io library/nginx"),
            ("REG.example.com/app", "REG.example.com app"),
            ("docker.io:443/nginx", "docker.io:443 nginx"),
            (
                "registry-1.docker.io/library/nginx",
                "registry-1.docker.io library/nginx",
            ),
            ("reg.example.com:443/app", "reg.example.com:443 app"),
            ("reg.example.com:0443/app", "reg.example.com:0443 app"),
            ("reg.example.com:99999/app", "reg.example.com:99999 app"),
            ("[::1]:5000/app", "[::1]:5000 app"),
            ("[::1]/app", "[::1] app"),
            ("[ABC]/app", "[ABC] app"),
            ("xn--exmple-cua.com/app", "xn--exmple-cua.com app"),
            ("0x7f.1/app", "0x7f.1 app"),
            ("10.0.0.1/app", "10.0.0.1 app"),
            ("a--b/c__d/e---f", "docker.io a--b/c__d/e---f"),
        ] {
            assert_eq!(name(text), expected, "{text}");
        }
    }

    #[test]
    fn a_host_with_an_underscore_is_a_host_here() {
        assert_eq!(name("reg_ex.com/app"), "reg_ex.com app");
        assert_eq!(
            error("reg_ex.com:5000/app"),
            ReferenceError::Host { at: 3 },
            "with a port the Go library refuses it"
        );
    }

    #[test]
    fn tag_and_digest_are_both_kept() {
        let hex = "0123456789abcdef".repeat(4);
        let digest = format!("sha256:{hex}");
        assert_eq!(
            parts(&format!("app:v1@{digest}")),
            (
                "docker.io".into(),
                "library/app".into(),
                Some("v1"),
                Some(digest.as_str())
            )
        );
        let (_, repository, tag, none) = parts(&digest);
        assert_eq!((repository.as_str(), tag), ("library/sha256", Some(&*hex)));
        assert_eq!(none, None);
        assert!(Reference::parse(&format!("app@sha512:{hex}{hex}")).is_ok());
        assert!(Reference::parse(&format!("app@sha384:{}", "a".repeat(96))).is_ok());
        assert_eq!(
            error(&format!("app@sha512:{hex}")),
            ReferenceError::DigestLength {
                length: 64,
                expected: 128
            }
        );
        assert_eq!(
            error(&format!("app@sha256:{}", hex.to_uppercase())),
            ReferenceError::DigestCharacter { at: 21 }
        );
        assert_eq!(
            error(&format!("app@md5:{hex}")),
            ReferenceError::DigestAlgorithm { at: 4 }
        );
        assert_eq!(error(&hex), ReferenceError::ImageId);
    }

    #[test]
    fn each_mistake_has_its_own_words() {
        for (text, expected) in [
            ("", ReferenceError::Empty),
            (" ", ReferenceError::WhiteSpace { at: 0 }),
            ("nginx\n", ReferenceError::WhiteSpace { at: 5 }),
            ("https://reg/app", ReferenceError::Scheme),
            (
                "reg.io/{{ .Values.app }}",
                ReferenceError::Placeholder { at: 7 },
            ),
            ("$REGISTRY/app:$TAG", ReferenceError::Placeholder { at: 0 }),
            (
                "user@reg.example.com/app",
                ReferenceError::Credentials { at: 4 },
            ),
            (
                "reg.ex\u{e4}mple.com/app",
                ReferenceError::NotAscii {
                    at: 6,
                    found: '\u{e4}',
                },
            ),
            ("reg.example.com:/app", ReferenceError::EmptyPort { at: 16 }),
            ("reg.example.com:v1/app", ReferenceError::Port { at: 16 }),
            ("reg.example.com./app", ReferenceError::HostLabel { at: 16 }),
            ("-bad.com/app", ReferenceError::HostLabel { at: 0 }),
            ("bad-.com/app", ReferenceError::HostLabel { at: 3 }),
            (
                "reg.example.com//app",
                ReferenceError::EmptySegment { at: 16 },
            ),
            ("/app", ReferenceError::EmptySegment { at: 0 }),
            ("app/", ReferenceError::EmptySegment { at: 4 }),
            ("[fe80::1%25eth0]/app", ReferenceError::Address { at: 8 }),
            ("::1/app", ReferenceError::HostLabel { at: 0 }),
            ("app/Team", ReferenceError::UpperCase { at: 4 }),
            ("Nginx", ReferenceError::UpperCase { at: 0 }),
            ("a..b", ReferenceError::Separator { at: 2 }),
            ("a___b", ReferenceError::Separator { at: 3 }),
            ("a.-b", ReferenceError::Separator { at: 2 }),
            ("a--", ReferenceError::Separator { at: 1 }),
            ("a/b+c", ReferenceError::PathCharacter { at: 3 }),
            ("app:", ReferenceError::EmptyTag { at: 4 }),
            ("app:-x", ReferenceError::Tag { at: 4 }),
            ("a/b.c:5000/d", ReferenceError::Tag { at: 10 }),
            ("app@", ReferenceError::DigestFormat { at: 4 }),
        ] {
            assert_eq!(error(text), expected, "{text:?}");
        }
    }

    #[test]
    fn lengths_count_what_the_go_library_counts() {
        assert!(Reference::parse(&"a".repeat(247)).is_ok());
        assert_eq!(
            error(&"a".repeat(248)),
            ReferenceError::PathTooLong { length: 256 }
        );
        // A real host does not count, one with an underscore does.
        assert!(Reference::parse(&format!("reg-ex.com/{}", "a".repeat(255))).is_ok());
        assert!(Reference::parse(&format!("reg_ex.com/{}", "a".repeat(244))).is_ok());
        assert_eq!(
            error(&format!("reg_ex.com/{}", "a".repeat(245))),
            ReferenceError::PathTooLong { length: 256 }
        );
        assert!(Reference::parse(&format!("app:{}", "a".repeat(128))).is_ok());
        assert_eq!(
            error(&format!("app:{}", "a".repeat(129))),
            ReferenceError::TagTooLong { length: 129 }
        );
    }

    #[test]
    fn registry_path_and_full_form_come_apart_and_together() {
        let reference = Reference::parse("[2001:db8::1]:5000/team/app:v1").unwrap();
        assert_eq!(reference.host(), "[2001:db8::1]");
        assert_eq!(reference.port(), Some("5000"));
        assert_eq!(reference.segments().collect::<Vec<_>>(), ["team", "app"]);
        assert_eq!(reference.to_string(), "[2001:db8::1]:5000/team/app:v1");

        let reference = Reference::parse("nginx").unwrap();
        assert_eq!((reference.host(), reference.port()), ("docker.io", None));
        assert_eq!(
            reference.segments().collect::<Vec<_>>(),
            ["library", "nginx"]
        );
        assert_eq!(reference.name(), "docker.io/library/nginx");
        assert_eq!(reference.to_string(), "docker.io/library/nginx");
    }
}
