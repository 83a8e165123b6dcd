//! Container image references, parsed as the kubelet and containerd parse them.
//!
#![doc = include_str!("../README.md")]

mod error;
mod grammar;

use std::borrow::Cow;
use std::fmt;

pub use error::ReferenceError;

/// The registry of a reference that names none (`defaultDomain` in `normalize.go`).
pub const DOCKER_HUB: &str = "docker.io";

/// The older name of Docker Hub, which references read as [`DOCKER_HUB`]
/// (`legacyDefaultDomain` in `normalize.go`). Docker stores its credentials under it.
pub const DOCKER_HUB_LEGACY: &str = "index.docker.io";

/// The first part of the path of Docker Hub's images that are written without a slash
/// (`officialRepoPrefix` in `normalize.go`).
const LIBRARY: &str = "library";

/// A valid image reference. It borrows from the text that it is parsed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reference<'a> {
    registry: &'a str,
    // Whether `library/` is implied: `docker.io/nginx` means `docker.io/library/nginx`.
    library: bool,
    path: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Parses a reference as the kubelet does: `ParseNormalizedNamed` in `normalize.go` of
    /// distribution/reference, which Kubernetes calls in
    /// `pkg/util/parsers/parsers.go`.
    ///
    /// # Errors
    ///
    /// The text is not a reference by that grammar. The error says what is wrong and what
    /// to write instead. Its reason is looked for after the text is refused, so that a
    /// valid reference pays nothing for it.
    pub fn parse(text: &'a str) -> Result<Self, ReferenceError> {
        take_apart(text).map_err(|found| error::explain(text, found))
    }

    /// The registry as written, `host[:port]`; `docker.io` where the text names none or
    /// names `index.docker.io`.
    #[must_use]
    pub fn registry(&self) -> &'a str {
        self.registry
    }

    /// The registry without its port; an IPv6 address keeps its brackets.
    #[must_use]
    pub fn host(&self) -> &'a str {
        grammar::split_port(self.registry).0
    }

    /// The registry's port as written. It has digits only and can be `0443` or `99999`,
    /// because the grammar does not limit its value.
    #[must_use]
    pub fn port(&self) -> Option<&'a str> {
        grammar::split_port(self.registry).1
    }

    /// The repository's path on its registry, such as `library/nginx`.
    ///
    /// It allocates only where `library/` is implied.
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
    /// There is at least one part, and `library` comes first where it is implied.
    pub fn segments(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        let implied = if self.library { Some(LIBRARY) } else { None };
        implied.into_iter().chain(self.path.split('/'))
    }

    /// The tag as written; `None` where the text has none. The parser never adds
    /// `latest`.
    #[must_use]
    pub fn tag(&self) -> Option<&'a str> {
        self.tag
    }

    /// The digest as written, `algorithm:hex`.
    #[must_use]
    pub fn digest(&self) -> Option<&'a str> {
        self.digest
    }

    /// The full name `registry/repository`, by which the kubelet looks for credentials.
    #[must_use]
    pub fn name(&self) -> String {
        let library = if self.library { "library/" } else { "" };
        format!("{}/{library}{}", self.registry, self.path)
    }
}

/// Writes the full form `registry/repository[:tag][@digest]`. Parsing the full form gives
/// the same registry, repository, tag and digest again.
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
    // Neither a name nor a tag can contain `@`, so the first `@` begins the digest.
    let (before, digest) = split(text, '@');
    let written = before
        .split_once('/')
        .filter(|(first, _)| grammar::names_registry(first));
    let (registry, rest) = written.unwrap_or((DOCKER_HUB, before));
    let (path, tag) = split(rest, ':');
    let path_at = before.len() - rest.len();

    // A host that is not valid by the grammar of the Go library can still be valid as the
    // first part of a path. The Go library then takes it for one, and it counts towards
    // the length of the path.
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
        DOCKER_HUB_LEGACY => DOCKER_HUB,
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
        // A text without a slash is a name, even where it looks like a host.
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
            "the Go library refuses such a host with a port"
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
        // A valid host does not count towards the length; one with an underscore does.
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
