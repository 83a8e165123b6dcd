//! The signature table: which words of the kubelet, of containerd, CRI-O and Docker, and of
//! registries mean which cause.
//!
//! The first row whose words all stand in a text names the cause; the most specific rows come
//! first. The texts come from the Kubernetes code
//! (`pkg/kubelet/images`), the Go library, and from failures that people have reported
//! (`tests/fixtures/doctor`). The comparison ignores case, blanks, quotes and backslashes, so
//! that wrapped, escaped and boxed text is read like the original. All words are looked for in
//! one pass, so the time grows with the text alone.

use super::cause::Cause;
use super::cause::Cause as C;
use aho_corasick::AhoCorasick;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A row of the table.
struct Signature {
    cause: Cause,
    /// All of these stand in the text.
    words: &'static [&'static str],
    /// What else the words can mean, the likeliest first.
    also: &'static [Cause],
}

const fn row(cause: Cause, words: &'static [&'static str], also: &'static [Cause]) -> Signature {
    Signature { cause, words, also }
}

/// Words of failures that have nothing to do with images. A text with one of them and without
/// one of [`PULL`] is left alone, because Go reports every network failure in the same words.
const FOREIGN: &[&str] = &[
    "networkplugin cni",
    "plugin type=",
    "failed to set up sandbox container",
    "failed to setup network for sandbox",
    "cni config uninitialized",
    "error getting clusterinformation",
    "failed to list *v1",
    "failed to watch *v1",
    "failed to ensure lease",
    "mountvolume",
    "unable to attach or mount",
    "liveness probe",
    "readiness probe",
    "startup probe",
    "unable to register node",
    "unable to write event",
    "/containerlogs/",
    "/api/v1/namespaces/",
    "/api/v1/nodes",
    "/healthz",
];

/// Words that show that a text is about pulling an image.
const PULL: &[&str] = &[
    "pull",
    "/manifests/",
    "/blobs/",
    "resolve reference",
    "sandbox image",
    "docker://",
    "reading manifest",
    "inspect image",
    "default image tag",
];

/// Words that only say that a pull fails, not why.
const FAILED: &[&str] = &[
    "errimagepull",
    "imagepullbackoff",
    "failed to pull image",
    "back-off pulling image",
    "error pulling image",
    "failed to pull and unpack",
    "image pull failed",
    "imageinspecterror",
    "failed to resolve reference",
    "registryunavailable",
];

/// The table.
#[rustfmt::skip]
const TABLE: &[Signature] = &[
    // The pod never came to be: these are the words of admission, whatever network words follow.
    row(C::Admission, &["failed calling webhook"], &[]),
    row(C::Admission, &["failed calling admission webhook"], &[]),
    row(C::Admission, &["admission webhook", "denied the request"], &[]),
    row(C::Admission, &["error creating: timeout: request did not complete"], &[]),
    row(C::Admission, &["a mirror pod may not reference secrets"], &[]),
    row(C::Admission, &["imagepullsecrets", "is not allowed because service account"], &[]),
    row(C::Admission, &["validatingadmissionpolicy", "denied request"], &[]),
    row(C::Admission, &["violates podsecurity"], &[]),
    row(C::Admission, &["exceeded quota"], &[]),
    row(C::Admission, &["error creating: pods", "is forbidden"], &[]),

    // The sandbox image: pull secrets never apply to it.
    row(C::SandboxImage, &["failed to get sandbox image"], &[]),
    row(C::SandboxImage, &["failed to inspect sandbox image"], &[]),
    row(C::SandboxImage, &["unable to get sandbox image"], &[]),
    row(C::SandboxImage, &["failed to pull sandbox image"], &[]),
    row(C::SandboxImage, &["create pod sandbox", "failed pulling image"], &[]),
    row(C::SandboxImage, &["createpodsandbox", "failed pulling image"], &[]),
    row(C::SandboxImage, &["create pod sandbox", "creating pod sandbox with name", "initializing source docker://"], &[]),
    row(C::SandboxImage, &["create pod sandbox", "pause", "failed to pull image"], &[]),

    // What the kubelet says itself.
    row(C::KubeletQps, &["pull qps exceeded"], &[]),
    row(C::NeverPull, &["is not present with pull policy of never"], &[C::CredentialUnverified]),
    row(C::NeverPull, &["errimageneverpull"], &[C::CredentialUnverified]),
    row(C::SecretMalformed, &["unable to parse auth field"], &[]),
    row(C::SecretMalformed, &["illegal base64 data at input byte"], &[]),
    row(C::SecretMalformed, &["json: cannot unmarshal", "dockerconfig"], &[]),
    row(C::SecretMissing, &["unable to retrieve some image pull secrets"], &[]),
    row(C::SecretMissing, &["failedtoretrieveimagepullsecret"], &[]),
    row(C::SecretMissing, &["unable to retrieve pull secret"], &[]),
    row(C::SecretMissing, &["error syncing pod", "secrets", "not found"], &[]),
    row(C::BadReference, &["invalidimagename"], &[]),
    row(C::BadReference, &["failed to apply default image tag"], &[]),
    row(C::BadReference, &["couldn't parse image name"], &[]),
    row(C::BadReference, &["couldn't parse image reference"], &[]),
    row(C::BadReference, &["invalid reference format"], &[]),
    row(C::BadReference, &["repository name must be lowercase"], &[]),
    row(C::BadReference, &["unsupported digest algorithm"], &[]),
    row(C::BadReference, &["invalid checksum digest"], &[]),

    // CRI-O's own.
    row(C::ShortName, &["did not resolve to an alias"], &[]),
    row(C::ShortName, &["short name mode is enforcing"], &[]),
    row(C::ShortName, &["short-name resolution enforced"], &[]),
    row(C::ShortName, &["no registries configured while trying to pull"], &[]),
    row(C::ShortName, &["unqualified-search registries", "are defined"], &[]),
    row(C::PolicyRejected, &["signaturevalidationfailed"], &[]),
    row(C::PolicyRejected, &["signature validation failed"], &[]),
    row(C::PolicyRejected, &["source image rejected"], &[]),
    row(C::PolicyRejected, &["a signature was required, but no signature exists"], &[]),
    row(C::PolicyRejected, &["is rejected by policy"], &[]),

    // The disk.
    row(C::DiskFull, &["no space left on device"], &[]),
    row(C::DiskFull, &["low on resource: ephemeral-storage"], &[]),
    row(C::DiskFull, &["low on resource: imagefs"], &[]),
    row(C::DiskFull, &["disk quota exceeded"], &[]),
    row(C::DiskFull, &["freediskspacefailed"], &[]),
    row(C::DiskFull, &["imagegcfailed"], &[]),
    row(C::DiskFull, &["had condition: [diskpressure]"], &[]),

    // The platform and the format of the image. Their texts end in ": not found".
    row(C::NoPlatform, &["no match for platform in manifest"], &[]),
    row(C::NoPlatform, &["no match for current platform"], &[]),
    row(C::NoPlatform, &["no matching manifest for"], &[]),
    row(C::NoPlatform, &["no image found in manifest list for architecture"], &[]),
    row(C::NoPlatform, &["no image found in image index for architecture"], &[]),
    row(C::NoPlatform, &["does not match the specified platform"], &[]),
    row(C::NoPlatform, &["exec format error"], &[]),
    row(C::Schema1, &["manifest.v1+prettyjws"], &[]),
    row(C::Schema1, &["manifest.v1+json", "no longer supported"], &[]),
    row(C::Schema1, &["pulling schema 1 images have been deprecated"], &[]),
    row(C::Schema1, &["docker image format v1", "disabled"], &[]),
    row(C::Schema1, &["image manifest version 2, schema 1", "disabled"], &[]),
    row(C::Schema1, &["unsupported schema version 1"], &[]),
    row(C::Schema1, &["unsupported manifest media type and digest"], &[]),
    row(C::NotPermitted, &["error parsing http 403 response body"], &[C::NotARegistry]),
    row(C::RateLimited, &["error parsing http 429 response body"], &[]),
    row(C::NotARegistry, &["media type text/html"], &[]),
    row(C::NotARegistry, &["mediatype=text/html"], &[]),
    row(C::NotARegistry, &["unknown type: text/html"], &[]),

    // Limits.
    row(C::RateLimited, &["toomanyrequests"], &[]),
    row(C::RateLimited, &["too many requests"], &[]),
    row(C::RateLimited, &["pull rate limit"], &[]),
    row(C::RateLimited, &["rate exceeded"], &[]),
    row(C::RateLimited, &["invalid status code from registry 429"], &[]),
    row(C::RateLimited, &["status 429 trying to pull"], &[]),

    // The way to the registry. It wins over what the registry would have said: a token that
    // cannot be fetched for want of a network is no question of credentials.
    row(C::Proxy, &["proxyconnect"], &[]),
    row(C::Proxy, &["proxy authentication required"], &[]),
    row(C::Proxy, &["socks connect"], &[]),
    row(C::Dns, &["no such host"], &[]),
    row(C::Dns, &["server misbehaving"], &[]),
    row(C::Dns, &["temporary failure in name resolution"], &[]),
    row(C::Dns, &["name or service not known"], &[]),
    row(C::Dns, &["could not resolve host"], &[]),
    row(C::Dns, &["dial tcp: lookup"], &[]),
    row(C::TlsUnknownCa, &["certificate signed by unknown authority"], &[]),
    row(C::TlsUnknownCa, &["certificate is not trusted"], &[]),
    row(C::TlsUnknownCa, &["unable to get local issuer certificate"], &[]),
    row(C::TlsUnknownCa, &["self-signed certificate"], &[]),
    row(C::TlsName, &["certificate is valid for"], &[]),
    row(C::TlsName, &["certificate is not valid for any names"], &[]),
    row(C::TlsName, &["doesn't contain any ip sans"], &[]),
    row(C::TlsName, &["relies on legacy common name field"], &[]),
    row(C::TlsExpired, &["certificate has expired or is not yet valid"], &[]),
    row(C::TlsExpired, &["certificate has expired"], &[]),
    row(C::TlsExpired, &["tls: expired certificate"], &[]),
    row(C::PlainHttp, &["server gave http response to https client"], &[]),
    row(C::PlainHttp, &["first record does not look like a tls handshake"], &[]),
    row(C::TlsOther, &["remote error: tls:"], &[]),
    row(C::TlsOther, &["tls: no application protocol"], &[]),
    row(C::TlsOther, &["tls: protocol version not supported"], &[]),
    row(C::TlsOther, &["tls: handshake failure"], &[]),
    row(C::TlsOther, &["client sent an http request to an https server"], &[]),
    row(C::TlsOther, &["failed to verify certificate"], &[]),
    row(C::TlsOther, &["x509:"], &[]),
    row(C::Unreachable, &["connection refused"], &[]),
    row(C::Unreachable, &["no route to host"], &[]),
    row(C::Unreachable, &["network is unreachable"], &[]),
    row(C::Unreachable, &["host is down"], &[]),
    row(C::Unreachable, &["connection timed out"], &[]),
    row(C::Unreachable, &["tls handshake timeout"], &[]),
    row(C::Unreachable, &["i/o timeout"], &[]),
    row(C::Unreachable, &["cannot assign requested address"], &[]),
    row(C::Unreachable, &["actively refused it"], &[]),
    row(C::Unreachable, &["timeout awaiting response headers"], &[]),
    row(C::Unreachable, &["client.timeout"], &[]),
    row(C::Unreachable, &["dial tcp", "operation was canceled"], &[]),

    // The transfer.
    row(C::CorruptTransfer, &["failed size validation"], &[]),
    row(C::CorruptTransfer, &["unexpected commit digest"], &[]),
    row(C::CorruptTransfer, &["unexpected commit size"], &[]),
    row(C::CorruptTransfer, &["digest did not match"], &[]),
    row(C::CorruptTransfer, &["digest mismatch"], &[]),
    row(C::CorruptTransfer, &["does not match digest"], &[]),
    row(C::CorruptTransfer, &["filesystem layer verification failed"], &[]),
    row(C::CorruptTransfer, &["unexpected eof"], &[]),
    row(C::CorruptTransfer, &["short read"], &[]),
    row(C::CorruptTransfer, &["connection reset by peer"], &[C::Unreachable]),
    row(C::CorruptTransfer, &["forcibly closed by the remote host"], &[C::Unreachable]),
    row(C::CorruptTransfer, &["broken pipe"], &[C::Unreachable]),
    row(C::CorruptTransfer, &["use of closed network connection"], &[C::Unreachable]),
    row(C::CorruptTransfer, &["http2: server sent goaway"], &[]),
    row(C::CorruptTransfer, &["stream error: stream id"], &[]),
    row(C::CorruptTransfer, &["invalid tar header"], &[]),
    row(C::CorruptTransfer, &["gzip: invalid header"], &[]),
    row(C::CorruptTransfer, &["unknown compression"], &[]),
    row(C::CorruptTransfer, &["archive/tar: invalid"], &[]),
    row(C::CorruptTransfer, &["flate: corrupt input"], &[]),
    row(C::CorruptTransfer, &["error processing tar file"], &[]),

    // A part of the image is gone.
    row(C::BlobMissing, &["could not fetch content descriptor"], &[]),
    row(C::BlobMissing, &["blob unknown"], &[]),
    row(C::BlobMissing, &["unknown blob"], &[]),
    row(C::BlobMissing, &["/blobs/", "404 not found"], &[]),
    row(C::BlobMissing, &["fetching blob", "404"], &[]),
    row(C::BlobMissing, &["reading blob", "blob not found"], &[]),
    row(C::BlobMissing, &["copying system image from manifest list", "manifest unknown"], &[C::NotFound]),
    row(C::BlobMissing, &["content digest", "not found"], &[]),

    // Credentials. The kubelet's runtime says which kind of token it asked for.
    row(C::CredentialRejected, &["authorization token has expired"], &[]),
    row(C::CredentialRejected, &["security token included in the request"], &[]),
    row(C::CredentialRejected, &["incorrect username or password"], &[]),
    row(C::CredentialRejected, &["invalid username/password"], &[C::NoCredential]),
    row(C::CredentialRejected, &["invalid username or password"], &[]),
    row(C::CredentialRejected, &["wrong username or password"], &[]),
    row(C::CredentialRejected, &["bad credentials"], &[]),
    row(C::CredentialRejected, &["invalid credentials"], &[]),
    row(C::CredentialRejected, &["cannot be authenticated with the token provided"], &[]),
    row(C::CredentialRejected, &["account is disabled"], &[]),
    row(C::CredentialRejected, &["http basic: access denied"], &[]),
    row(C::CredentialRejected, &["personal access token is expired"], &[]),
    row(C::CredentialRejected, &["token is expired"], &[]),
    row(C::CredentialRejected, &["token has expired"], &[]),
    row(C::NoCredential, &["no basic auth credentials"], &[]),
    row(C::NoCredential, &["failed to fetch anonymous tok"], &[C::NotFound, C::DeniedOrMissing]),
    row(C::NoCredential, &["unauthenticated request. unauthenticated requests do not have permission"], &[C::NotFound]),
    row(C::NoCredential, &["unauthenticated requests do not have permission"], &[C::NotFound]),
    row(C::NoCredential, &["no user/password was provided"], &[]),
    row(C::NoCredential, &["please login to the red hat registry"], &[C::CredentialRejected]),
    row(C::NoCredential, &["anonymous access", "not allowed"], &[]),
    row(C::CredentialRejected, &["failed to fetch oauth token", "401"], &[]),
    row(C::CredentialRejected, &["failed to fetch oauth token", "403"], &[C::NotPermitted]),
    row(C::CredentialRejected, &["failed to fetch oauth token", "denied"], &[C::NotPermitted]),

    // Rights.
    row(C::NotPermitted, &["permission_denied"], &[C::CredentialRejected]),
    row(C::NotPermitted, &["denied: permission"], &[C::NotFound, C::NoCredential]),
    row(C::NotPermitted, &["permission artifactregistry"], &[C::NotFound, C::NoCredential]),
    row(C::NotPermitted, &["the client does not have permission for manifest"], &[C::NotFound, C::NoCredential]),
    row(C::NotPermitted, &["is not authorized to perform: ecr:"], &[]),
    row(C::NotPermitted, &["client with ip", "is not allowed access"], &[]),
    row(C::NotPermitted, &["access forbidden"], &[C::NoCredential, C::NotFound]),
    row(C::NotPermitted, &["trying to pull repository", "status 403"], &[C::NoCredential]),
    row(C::NotPermitted, &["resource_exhausted", "denied"], &[]),
    row(C::DeniedOrMissing, &["requesting bearer token", "403"], &[C::NoCredential, C::NotFound]),

    // The registry turns the pull down and keeps the reason to itself.
    row(C::DeniedOrMissing, &["insufficient_scope"], &[C::NoCredential, C::NotFound, C::NotPermitted]),
    row(C::DeniedOrMissing, &["pull access denied"], &[C::NoCredential, C::NotFound, C::NotPermitted]),
    row(C::DeniedOrMissing, &["repository does not exist or may require"], &[C::NoCredential, C::NotFound]),
    row(C::DeniedOrMissing, &["does not exist or no pull access"], &[C::NoCredential, C::NotFound, C::NotPermitted]),
    row(C::DeniedOrMissing, &["requested access to the resource is denied"], &[C::NoCredential, C::NotFound, C::NotPermitted]),
    row(C::DeniedOrMissing, &["access to the requested resource is not authorized"], &[C::NoCredential, C::NotFound, C::NotPermitted]),
    row(C::DeniedOrMissing, &["unauthorized to access repository"], &[C::NoCredential, C::NotPermitted, C::NotFound]),
    row(C::DeniedOrMissing, &["unauthorized: authentication required"], &[C::NoCredential, C::CredentialRejected, C::NotFound]),
    row(C::DeniedOrMissing, &["unauthorized: unauthorized"], &[C::NoCredential, C::CredentialRejected]),
    row(C::DeniedOrMissing, &["denied: denied"], &[C::CredentialRejected, C::NoCredential, C::NotFound]),
    row(C::CredentialRejected, &["401 unauthorized"], &[C::NoCredential, C::NotPermitted]),
    row(C::CredentialRejected, &["failed to fetch oauth token"], &[C::NotPermitted]),
    row(C::CredentialRejected, &["unable to retrieve auth token"], &[C::NoCredential]),
    row(C::NotPermitted, &["403 forbidden"], &[C::NoCredential]),
    row(C::NotPermitted, &["403 (forbidden)"], &[C::NoCredential]),
    row(C::NotPermitted, &["manifests/", ": forbidden"], &[C::NoCredential]),

    // The registry is not well.
    row(C::RegistryError, &["500 internal server error"], &[]),
    row(C::RegistryError, &["502 bad gateway"], &[]),
    row(C::RegistryError, &["503 service unavailable"], &[]),
    row(C::RegistryError, &["503 service temporarily unavailable"], &[]),
    row(C::RegistryError, &["504 gateway"], &[]),
    row(C::RegistryError, &["(internal server error)"], &[]),
    row(C::RegistryError, &["(bad gateway)"], &[]),
    row(C::RegistryError, &["(service unavailable)"], &[]),
    row(C::RegistryError, &["(gateway timeout)"], &[]),
    row(C::RegistryError, &["400 bad request"], &[]),
    row(C::RegistryError, &["405 method not allowed"], &[]),
    row(C::RegistryError, &["received unexpected http status: 5"], &[]),
    row(C::RegistryError, &["invalid status code from registry 5"], &[]),
    row(C::RegistryError, &["unknown: internal server error"], &[]),
    row(C::NotARegistry, &["invalid character '<'"], &[]),
    row(C::NotARegistry, &["missing service key"], &[]),

    // The image is not there. Some registries say so when they deny.
    row(C::NotFound, &["manifest unknown"], &[C::NotPermitted]),
    row(C::NotFound, &["name unknown"], &[C::NotPermitted]),
    row(C::NotFound, &["repository name not known to registry"], &[C::NotPermitted]),
    row(C::NotFound, &["404 not found"], &[C::NotPermitted]),
    row(C::NotFound, &["404 (not found)"], &[C::NotPermitted]),
    row(C::NotFound, &["not found in repository"], &[]),
    row(C::NotFound, &["image", "not found)"], &[]),
    row(C::NotFound, &["manifest for", "not found"], &[C::NotPermitted]),
    row(C::NotFound, &["code = notfound"], &[C::NotPermitted]),
    row(C::NotFound, &["failed to resolve reference", "not found"], &[C::NotPermitted]),
    row(C::NotFound, &["failed to pull", ": not found"], &[C::NotPermitted]),
    row(C::NotFound, &["repository", "not found", "pull"], &[C::NotPermitted]),

    // What is said when nothing better is.
    row(C::DeniedOrMissing, &["error response from daemon", "manifests/", ": unauthorized"], &[C::NoCredential, C::CredentialRejected]),
    row(C::DeniedOrMissing, &["error from registry: unauthorized"], &[C::NoCredential, C::CredentialRejected]),
    row(C::DeniedOrMissing, &["error from registry: denied"], &[C::NoCredential, C::CredentialRejected]),
    row(C::DeniedOrMissing, &["manifests/", ": denied"], &[C::CredentialRejected, C::NoCredential]),
    row(C::DeniedOrMissing, &["reading manifest", ": denied"], &[C::NoCredential, C::CredentialRejected]),
    row(C::DeniedOrMissing, &["reading manifest", ": unauthorized"], &[C::NoCredential, C::CredentialRejected]),
    row(C::DeniedOrMissing, &["unauthenticated"], &[C::NoCredential, C::CredentialRejected]),
    row(C::CorruptTransfer, &["layers from manifest don't match"], &[]),
    row(C::CorruptTransfer, &["failed to extract layer"], &[]),
    row(C::CorruptTransfer, &["failed to register layer"], &[]),
    row(C::Unreachable, &["context deadline exceeded"], &[]),
    row(C::Unreachable, &["code = deadlineexceeded"], &[]),
    row(C::Unreachable, &["registryunavailable"], &[]),
    row(C::Cancelled, &["no progress in"], &[]),
    row(C::Cancelled, &["context canceled"], &[]),
    row(C::Cancelled, &["code = canceled"], &[]),
    row(C::Cancelled, &["request canceled"], &[]),
    row(C::Cancelled, &["operation was canceled"], &[]),
    // `: EOF` comes last of all: see `ends_in_eof`.
];

/// What the table says about a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) cause: Cause,
    pub(super) also: &'static [Cause],
    /// Where the words stand in the original text, in bytes.
    pub(super) at: (usize, usize),
}

/// A text without what the comparison ignores, and where each byte of it comes from.
#[derive(Debug, Default)]
pub(super) struct Squeezed {
    bytes: Vec<u8>,
    origin: Vec<usize>,
}

impl Squeezed {
    pub(super) fn new(text: &str) -> Self {
        let mut squeezed = Self::default();
        for (at, c) in text.char_indices() {
            if is_ignored(c) {
                continue;
            }
            let mut buffer = [0; 4];
            for byte in c.to_ascii_lowercase().encode_utf8(&mut buffer).bytes() {
                squeezed.bytes.push(byte);
                squeezed.origin.push(at);
            }
        }
        squeezed
    }

    fn origin(&self, at: usize) -> usize {
        self.origin.get(at).copied().unwrap_or_default()
    }
}

/// Blanks, quotes, what escapes them, and what tables and Markdown put around texts.
fn is_ignored(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\'' | '\\' | '`' | '*' | '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}'
        )
        || matches!(c, '|' | '\u{2502}' | '\u{2503}' | '\u{2551}')
}

/// The table and the lists, with all their words in one automaton.
struct Words {
    automaton: AhoCorasick,
    count: usize,
    rows: Vec<NumberedRow>,
    foreign: Vec<usize>,
    pull: Vec<usize>,
    failed: Vec<usize>,
}

/// A row, with the numbers of its words in the automaton.
struct NumberedRow {
    cause: Cause,
    also: &'static [Cause],
    words: Vec<usize>,
}

static WORDS: LazyLock<Option<Words>> = LazyLock::new(|| {
    let mut numbers = HashMap::new();
    let mut list: Vec<Vec<u8>> = Vec::new();
    let mut numbered = |words: &[&str]| -> Vec<usize> {
        let number = |word: &&str| {
            let squeezed = Squeezed::new(word).bytes;
            *numbers.entry(squeezed.clone()).or_insert_with(|| {
                list.push(squeezed);
                list.len() - 1
            })
        };
        words.iter().map(number).collect()
    };
    let rows = TABLE.iter().map(|row| NumberedRow {
        cause: row.cause,
        also: row.also,
        words: numbered(row.words),
    });
    let rows = rows.collect();
    let (foreign, pull, failed) = (numbered(FOREIGN), numbered(PULL), numbered(FAILED));
    // The words are constants: a test fails if they make no automaton.
    let automaton = AhoCorasick::new(&list).ok()?;
    Some(Words {
        automaton,
        count: list.len(),
        rows,
        foreign,
        pull,
        failed,
    })
});

/// The words that stand in a text, each with its first place.
pub(super) struct FoundWords<'t> {
    text: &'t Squeezed,
    spans: Vec<Option<(usize, usize)>>,
}

impl<'t> FoundWords<'t> {
    pub(super) fn new(text: &'t Squeezed) -> Self {
        let mut spans = Vec::new();
        if let Some(words) = WORDS.as_ref() {
            spans = vec![None; words.count];
            for found in words.automaton.find_overlapping_iter(&text.bytes) {
                if let Some(span) = spans.get_mut(found.pattern().as_usize()) {
                    span.get_or_insert((found.start(), found.end()));
                }
            }
        }
        Self { text, spans }
    }

    fn any(&self, numbers: &[usize]) -> bool {
        let found = |number: &usize| self.spans.get(*number).is_some_and(Option::is_some);
        numbers.iter().any(found)
    }

    /// Whether the text speaks of something else than images.
    pub(super) fn is_foreign(&self) -> bool {
        let words = WORDS.as_ref();
        words.is_some_and(|words| self.any(&words.foreign) && !self.any(&words.pull))
    }

    /// Whether the text says that a pull fails.
    pub(super) fn says_failure(&self) -> bool {
        WORDS.as_ref().is_some_and(|words| self.any(&words.failed))
    }

    /// The first row that fits.
    pub(super) fn find(&self) -> Option<Hit> {
        for row in &WORDS.as_ref()?.rows {
            if let Some(at) = self.whole_span(&row.words) {
                return Some(self.hit(row.cause, row.also, at));
            }
        }
        self.ends_in_eof()
    }

    /// Where the words of a row stand, from the first to the last; none if one is missing.
    fn whole_span(&self, numbers: &[usize]) -> Option<(usize, usize)> {
        let mut whole: Option<(usize, usize)> = None;
        for number in numbers {
            let (start, end) = self.spans.get(*number).copied().flatten()?;
            let (from, to) = whole.unwrap_or((start, end));
            whole = Some((from.min(start), to.max(end)));
        }
        whole
    }

    /// `: EOF`, which Go says when a server closes a connection without a word.
    fn ends_in_eof(&self) -> Option<Hit> {
        let bytes = &self.text.bytes;
        let at = bytes.windows(4).position(|four| four == b":eof")?;
        let next = bytes.get(at + 4);
        let is_whole = next.is_none_or(|byte| !byte.is_ascii_alphanumeric());
        is_whole.then(|| self.hit(Cause::CorruptTransfer, &[Cause::Unreachable], (at, at + 4)))
    }

    fn hit(&self, cause: Cause, also: &'static [Cause], (from, to): (usize, usize)) -> Hit {
        let at = (
            self.text.origin(from),
            self.text.origin(to.saturating_sub(1)) + 1,
        );
        Hit { cause, also, at }
    }
}
