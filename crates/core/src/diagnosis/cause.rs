//! The closed vocabulary of causes: why an image is not pulled.
//!
//! The words are a promise to scripts and to docs/troubleshooting.md, which has an anchor for
//! each. This module must not know how a cause is recognised.

/// Why an image is not pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The registry wants a login, and the kubelet had no credential to send.
    NoCredential,
    /// The registry refuses, and its words do not say whether a credential, a right or the
    /// repository is missing.
    DeniedOrMissing,
    /// A credential was sent, and the registry does not accept it.
    CredentialRejected,
    /// The registry knows who asks, and does not allow the pull.
    NotPermitted,
    /// The pod names a pull secret that its namespace does not have.
    SecretMissing,
    /// A pull secret cannot be read, which stops every image of the pod.
    SecretMalformed,
    /// The registry has no such tag, digest or repository.
    NotFound,
    /// The registry has the manifest, but not all of the content that it names.
    BlobMissing,
    /// The image exists, but not for the architecture of the node.
    NoPlatform,
    /// The image's name is not a valid reference.
    BadReference,
    /// The pull policy is Never, and the image is not on the node.
    NeverPull,
    /// The registry has had too many pulls.
    RateLimited,
    /// The kubelet itself puts off pulls, because too many begin at once.
    KubeletQps,
    /// The node does not trust who signed the registry's certificate.
    TlsUnknownCa,
    /// The registry's certificate is for other names.
    TlsName,
    /// The registry's certificate has expired, or the node's clock is wrong.
    TlsExpired,
    /// Another failure of TLS, such as a client certificate that the registry wants.
    TlsOther,
    /// The registry speaks HTTP, and the node expects HTTPS.
    PlainHttp,
    /// The node cannot resolve the host.
    Dns,
    /// The node does not get through to the host.
    Unreachable,
    /// The proxy of the node fails.
    Proxy,
    /// The registry, or a mirror of it, answers with an error of its own.
    RegistryError,
    /// The transfer breaks off, or what arrives is not what was promised.
    CorruptTransfer,
    /// Something answers that is not a registry, such as a login page.
    NotARegistry,
    /// The image has the old format "schema 1".
    Schema1,
    /// The disk of the node is full.
    DiskFull,
    /// CRI-O does not know the registry of a short name.
    ShortName,
    /// The pull was cancelled before it ended.
    Cancelled,
    /// The image of the pod's sandbox (pause) cannot be pulled.
    SandboxImage,
    /// The API server did not admit the pod, so that there is no pull.
    Admission,
    /// The node's signature policy rejects the image.
    PolicyRejected,
    /// The image is on the node, but the pod has not shown the credential that it was pulled
    /// with (KEP-2535).
    CredentialUnverified,
    /// Nothing that this program knows.
    Unknown,
}

impl Cause {
    /// All causes, in the order of the documentation.
    pub const ALL: [Self; 33] = [
        Self::NoCredential,
        Self::DeniedOrMissing,
        Self::CredentialRejected,
        Self::NotPermitted,
        Self::SecretMissing,
        Self::SecretMalformed,
        Self::NotFound,
        Self::BlobMissing,
        Self::NoPlatform,
        Self::BadReference,
        Self::NeverPull,
        Self::RateLimited,
        Self::KubeletQps,
        Self::TlsUnknownCa,
        Self::TlsName,
        Self::TlsExpired,
        Self::TlsOther,
        Self::PlainHttp,
        Self::Dns,
        Self::Unreachable,
        Self::Proxy,
        Self::RegistryError,
        Self::CorruptTransfer,
        Self::NotARegistry,
        Self::Schema1,
        Self::DiskFull,
        Self::ShortName,
        Self::Cancelled,
        Self::SandboxImage,
        Self::Admission,
        Self::PolicyRejected,
        Self::CredentialUnverified,
        Self::Unknown,
    ];

    /// The word for programs, which is also the anchor in docs/troubleshooting.md.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCredential => "no-credential",
            Self::DeniedOrMissing => "denied-or-missing",
            Self::CredentialRejected => "credential-rejected",
            Self::NotPermitted => "not-permitted",
            Self::SecretMissing => "secret-missing",
            Self::SecretMalformed => "secret-malformed",
            Self::NotFound => "not-found",
            Self::BlobMissing => "blob-missing",
            Self::NoPlatform => "no-platform",
            Self::BadReference => "bad-reference",
            Self::NeverPull => "never-pull",
            Self::RateLimited => "rate-limited",
            Self::KubeletQps => "kubelet-qps",
            Self::TlsUnknownCa => "tls-unknown-ca",
            Self::TlsName => "tls-name",
            Self::TlsExpired => "tls-expired",
            Self::TlsOther => "tls-other",
            Self::PlainHttp => "plain-http",
            Self::Dns => "dns",
            Self::Unreachable => "unreachable",
            Self::Proxy => "proxy",
            Self::RegistryError => "registry-error",
            Self::CorruptTransfer => "corrupt-transfer",
            Self::NotARegistry => "not-a-registry",
            Self::Schema1 => "schema1",
            Self::DiskFull => "disk-full",
            Self::ShortName => "short-name",
            Self::Cancelled => "cancelled",
            Self::SandboxImage => "sandbox-image",
            Self::Admission => "admission",
            Self::PolicyRejected => "policy-rejected",
            Self::CredentialUnverified => "credential-unverified",
            Self::Unknown => "unknown",
        }
    }

    /// The cause in one sentence without a subject of its own.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::NoCredential => "the registry wants a login, and no credential was sent",
            Self::DeniedOrMissing => {
                "the registry refuses, and does not say whether a credential, a right or the \
                 repository is missing"
            }
            Self::CredentialRejected => "the registry does not accept the credential",
            Self::NotPermitted => "the registry does not allow this pull",
            Self::SecretMissing => "the pod names a pull secret that does not exist",
            Self::SecretMalformed => {
                "a pull secret cannot be read, which stops every image of the pod"
            }
            Self::NotFound => "the registry has no such image",
            Self::BlobMissing => "the registry has lost a part of the image",
            Self::NoPlatform => "the image is not built for the node's architecture",
            Self::BadReference => "the image's name is not valid",
            Self::NeverPull => "the image is not on the node, and the pull policy is Never",
            Self::RateLimited => "the registry limits the number of pulls",
            Self::KubeletQps => "the kubelet puts off pulls, because too many begin at once",
            Self::TlsUnknownCa => "the node does not trust the registry's certificate authority",
            Self::TlsName => "the registry's certificate is not valid for this name",
            Self::TlsExpired => "the certificate has expired, or the node's clock is wrong",
            Self::TlsOther => "the TLS handshake with the registry fails",
            Self::PlainHttp => "the registry speaks HTTP, and the node expects HTTPS",
            Self::Dns => "the node cannot resolve the host",
            Self::Unreachable => "the node cannot reach the host",
            Self::Proxy => "the proxy of the node fails",
            Self::RegistryError => "the registry answers with an error of its own",
            Self::CorruptTransfer => "the transfer breaks off or arrives damaged",
            Self::NotARegistry => "something answers that is not a registry",
            Self::Schema1 => "the image has the old format schema 1",
            Self::DiskFull => "the disk of the node is full",
            Self::ShortName => "CRI-O does not know the registry of this short name",
            Self::Cancelled => "the pull was cancelled before it ended",
            Self::SandboxImage => "the sandbox image (pause) of the node cannot be pulled",
            Self::Admission => "the API server did not admit the pod",
            Self::PolicyRejected => "the node's signature policy rejects the image",
            Self::CredentialUnverified => {
                "the image is on the node, but this pod cannot show the credential for it"
            }
            Self::Unknown => "the words fit no known cause",
        }
    }

    /// Whether the registry turned the pull down. Then the pod's pull secrets decide.
    #[must_use]
    pub fn is_denial(self) -> bool {
        matches!(
            self,
            Self::NoCredential
                | Self::DeniedOrMissing
                | Self::CredentialRejected
                | Self::NotPermitted
        )
    }

    /// Whether it passes by itself, because the kubelet tries again.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Cancelled | Self::KubeletQps)
    }

    /// How much this cause says beside others of the same pod; lower comes first. Retries
    /// and warnings step back behind a real failure.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Unknown => 4,
            Self::SecretMissing => 3,
            Self::Cancelled => 2,
            Self::KubeletQps => 1,
            _ => 0,
        }
    }
}
