//! The attempts: what is tried, and the twin that must be admitted, so that a
//! webhook that refuses everything would fail too.
//!
//! `MARK` stands for a word that makes the image that of one attempt. It is made of
//! hexadecimal digits, so that it may stand in a digest.

use super::ways::Way;

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Refused in `deny`, warned about in `warn`, recorded in all three modes.
    Judged,
    /// Refused by the API server itself, with this status, in each mode.
    NotForUs(u16),
    /// Accepted, and the image is not in the pod afterwards.
    Dropped,
    /// Accepted, in a pod of which a kubelet starts nothing any more.
    Inert,
}

/// One way to get an image past the map.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    pub(super) name: &'static str,
    pub(super) way: Way,
    pub(super) bad: &'static str,
    pub(super) good: &'static str,
    pub(super) fate: Fate,
}

const fn by(way: Way, name: &'static str) -> Attempt {
    Attempt {
        name,
        way,
        bad: "registry.unknown.example/MARK:1",
        good: "registry.corp.example/MARK:1",
        fate: Fate::Judged,
    }
}

const fn but(fate: Fate, attempt: Attempt) -> Attempt {
    Attempt { fate, ..attempt }
}

const fn spelt(name: &'static str, bad: &'static str, good: &'static str) -> Attempt {
    Attempt {
        name,
        way: Way::Container,
        bad,
        good,
        fate: Fate::Judged,
    }
}

/// Other fields, other requests, other senders. For the map `ALLOW_LIST`.
#[rustfmt::skip] // A row is a line.
pub(super) const WAYS: &[Attempt] = &[
    by(Way::Container, "a container"),
    by(Way::InitContainer, "an init container"),
    by(Way::SideCar, "a side-car"),
    by(Way::ImageVolume, "an image volume"),
    by(Way::LastOfMany, "behind five thousand good containers"),
    by(Way::Padded, "in a pod as large as the API server takes"),
    by(Way::GenerateName, "a pod without a name"),
    by(Way::Yaml, "a pod sent as YAML, the image by an alias"),
    by(Way::Protobuf, "a pod sent as protobuf"),
    by(Way::RepeatedKey, "JSON with the key `image` twice"),
    by(Way::RepeatedSpec, "JSON with the key `spec` twice"),
    by(Way::ServerSideApply, "a pod made by server-side apply"),
    by(Way::ForgedMirror, "a pod that says it is a static one"),
    by(Way::ExemptLooking, "labels and annotations that ask to be let through"),
    by(Way::RelabelledNamespace, "a namespace labelled like an exempt one"),
    by(Way::DeletionTimestamp, "a new pod that says it is being deleted"),
    by(Way::Gated, "an image changed while the pod is not yet scheduled"),
    by(Way::Replace, "an image changed by PUT"),
    by(Way::ReplaceInit, "the image of an init container changed by PUT"),
    by(Way::MergePatch, "an image changed by a merge patch"),
    by(Way::JsonPatch, "an image changed by a JSON patch"),
    by(Way::StrategicPatch, "an image changed by a strategic merge patch"),
    by(Way::ApplyPatch, "an image changed by server-side apply"),
    by(Way::MirrorByBinding, "an image changed after a binding made the pod look static"),
    by(Way::Ephemeral, "an ephemeral container by PUT"),
    by(Way::EphemeralPatch, "an ephemeral container by a strategic merge patch"),
    by(Way::Deployment, "a Deployment"),
    by(Way::ReplicaSet, "a ReplicaSet"),
    by(Way::ReplicationController, "a ReplicationController"),
    by(Way::StatefulSet, "a StatefulSet"),
    by(Way::Job, "a Job"),
    by(Way::CronJob, "a CronJob"),
    but(Fate::NotForUs(400), by(Way::OtherNamespace, "an object that names another namespace")),
    but(Fate::NotForUs(422), by(Way::EphemeralAtOnce, "an ephemeral container in a new pod")),
    but(Fate::Dropped, by(Way::Status, "an image in a patch of pods/status")),
    but(Fate::Dropped, by(Way::Resize, "an image in a patch of pods/resize")),
    but(Fate::Dropped, by(Way::Binding, "an image in a binding")),
    but(Fate::Dropped, by(Way::Eviction, "an image in an eviction")),
    but(Fate::Inert, by(Way::BeingDeleted, "an image changed while a finalizer holds a deleted pod")),
];

/// Webhooks that are called after pullpass's `/mutate`. For the map `ALLOW_LIST`.
#[rustfmt::skip] // A row is a line.
pub(super) const LATE: &[Attempt] = &[
    by(Way::LateSideCar, "a side-car that a later webhook adds"),
    by(Way::LateRewrite, "an image that a later webhook puts in the place of a good one"),
];

/// Texts that look like an allowed registry and are none, or that hide which one they
/// are. For the map `ALLOW_LIST`.
#[rustfmt::skip] // A row is a line.
pub(super) const LOOK_ALIKES: &[Attempt] = &[
    spelt("a short name", "MARK", "mycompany/MARK"),
    spelt("a short name of somebody else", "other/MARK", "docker.io/mycompany/MARK"),
    spelt("longer host", "registry.corp.example.evil.com/MARK", "registry.corp.example/evil.com/MARK"),
    spelt("longer last label", "registry.corp.exampleevil.com/MARK", "registry.corp.example/MARK"),
    spelt("longer first label", "evilregistry.corp.example/MARK", "registry.corp.example/MARK"),
    spelt("subdomain", "evil.registry.corp.example/MARK", "registry.corp.example/MARK"),
    spelt("the host as a path", "evil.com/registry.corp.example/MARK", "registry.corp.example/MARK"),
    spelt("the host as a path of Docker Hub", "docker.io/registry.corp.example/MARK", "registry.corp.example/MARK"),
    spelt("longer path", "docker.io/mycompanyevil/MARK", "docker.io/mycompany/evil/MARK"),
    spelt("longer path with a hyphen", "mycompany-evil/MARK", "mycompany/MARK"),
    spelt("path in another case", "docker.io/MyCompany/MARK", "docker.io/mycompany/MARK"),
    spelt("dots in the path", "docker.io/mycompany/../evil/MARK", "docker.io/mycompany/evil/MARK"),
    spelt("a dot in the path", "docker.io/./evil/MARK", "docker.io/mycompany/evil/MARK"),
    spelt("two slashes", "registry.corp.example//MARK", "registry.corp.example/MARK"),
    spelt("a slash first", "/registry.corp.example/MARK", "registry.corp.example/MARK"),
    spelt("a slash last", "registry.corp.example/MARK/", "registry.corp.example/MARK"),
    spelt("port 80", "registry.corp.example:80/MARK", "registry.corp.example:443/MARK"),
    spelt("another port", "registry.corp.example:8443/MARK", "registry.corp.example:0443/MARK"),
    spelt("port 443 plus 65536", "registry.corp.example:65979/MARK", "registry.corp.example:0000443/MARK"),
    spelt("port of twenty digits", "registry.corp.example:18446744073709552059/MARK", "registry.corp.example:443/MARK"),
    spelt("port 0", "registry.corp.example:0/MARK", "registry.corp.example:443/MARK"),
    spelt("empty port", "registry.corp.example:/MARK", "registry.corp.example/MARK"),
    spelt("trailing dot", "registry.corp.example./MARK", "registry.corp.example/MARK"),
    spelt("punycode", "xn--registr-81a.corp.example/MARK", "registry.corp.example/MARK"),
    spelt("a Cyrillic letter", "registry.c\u{43e}rp.example/MARK", "registry.corp.example/MARK"),
    spelt("a full-width dot", "registry\u{ff0e}corp.example/MARK", "registry.corp.example/MARK"),
    spelt("a zero-width space", "registry.corp\u{200b}.example/MARK", "registry.corp.example/MARK"),
    spelt("right to left", "\u{202e}registry.corp.example/MARK", "registry.corp.example/MARK"),
    spelt("an underscore", "registry_corp.example/MARK", "our_registry.example/MARK"),
    spelt("https", "https://registry.corp.example/MARK", "registry.corp.example/MARK"),
    spelt("docker scheme", "docker://registry.corp.example/MARK", "registry.corp.example/MARK"),
    spelt("user", "registry.corp.example@evil.com/MARK", "registry.corp.example/MARK"),
    spelt("user and password", "registry.corp.example:443@evil.com/MARK", "registry.corp.example:443/MARK"),
    spelt("percent-encoded slash", "registry.corp.example%2fMARK", "registry.corp.example/MARK"),
    spelt("percent-encoded dot", "registry.corp.example%2eevil.com/MARK", "registry.corp.example/MARK"),
    spelt("back-slash", "evil.com\\registry.corp.example/MARK", "registry.corp.example/MARK"),
    spelt("question mark", "evil.com?registry.corp.example/MARK", "registry.corp.example/MARK"),
    spelt("number sign", "evil.com#registry.corp.example/MARK", "registry.corp.example/MARK"),
    spelt("space inside", "registry.corp.example /MARK", "registry.corp.example/MARK"),
    spelt("a line break inside", "evil.com/MARK\nregistry.corp.example/x", "registry.corp.example/MARK"),
    spelt("NUL", "registry.corp.example/MARK\u{0}evil.com", "registry.corp.example/MARK"),
    spelt("terminal colours", "\u{1b}[2Jregistry.corp.example/MARK", "registry.corp.example/MARK"),
    spelt("a digest", "evil.com/MARK@sha256:DIGEST", "registry.corp.example/MARK@sha256:DIGEST"),
    spelt("tag and digest", "evil.com/MARK:1@sha256:DIGEST", "registry.corp.example/MARK:1@sha256:DIGEST"),
    spelt("a digest that is none", "registry.corp.example/MARK@sha256:f00", "registry.corp.example/MARK"),
    spelt("a digest alone", "sha256:MARK", "mycompany/sha256:MARK"),
    spelt("an image id", "MARKf00d0f00d0f00d0f00d0f00d0f00d0f00d0f00d0f00d0f00d0f00d0f", "registry.corp.example/MARK"),
    spelt("upper-case path", "registry.corp.example/MARK/Team", "registry.corp.example/MARK/team"),
    spelt("too long", "registry.corp.example/MARK/LONG", "registry.corp.example/MARK/team"),
    spelt("too long a tag", "registry.corp.example/MARK:LONG", "registry.corp.example/MARK:1"),
    spelt("IPv6, another address", "[2001:db8::6]:5000/MARK", "[2001:DB8:0:0::5]:05000/MARK"),
    spelt("IPv6 with a zone", "[2001:db8::5%25eth0]:5000/MARK", "[2001:db8::5]:5000/MARK"),
    spelt("localhost", "localhost/MARK", "registry.corp.example/MARK"),
    spelt("localhost with a port", "localhost:5000/MARK", "registry.corp.example/MARK"),
    spelt("an alias of Docker Hub, another path", "index.docker.io/other/MARK", "index.docker.io/mycompany/MARK"),
    spelt("upper case, unknown", "REGISTRY.UNKNOWN.EXAMPLE/MARK", "Registry.Corp.EXAMPLE/MARK"),
    spelt("an entry that has ended", "ended.example/MARK", "ending.example/MARK"),
    spelt("an entry of another namespace", "elsewhere.example/MARK", "here.example/MARK"),
    but(Fate::NotForUs(422), spelt("a space first", " registry.corp.example/MARK", "registry.corp.example/MARK")),
    but(Fate::NotForUs(422), spelt("a line break last", "registry.corp.example/MARK\n", "registry.corp.example/MARK")),
];

/// Spellings of a registry that an entry names. For the map `DENY_LIST`, in which
/// everything else is allowed: one that the map does not recognise gets through.
#[rustfmt::skip] // A row is a line.
pub(super) const ALIASES: &[Attempt] = &[
    spelt("as written", "evil.example/MARK", "fine.example/MARK"),
    spelt("upper case", "EVIL.Example/MARK", "FINE.Example/MARK"),
    spelt("port 443", "evil.example:443/MARK", "fine.example:443/MARK"),
    spelt("port 0443", "evil.example:0443/MARK", "fine.example:0443/MARK"),
    spelt("port of a hundred digits", "evil.example:ZEROS443/MARK", "evil.example:ZEROS80/MARK"),
    spelt("tag", "evil.example/MARK:1", "fine.example/MARK:1"),
    spelt("digest", "evil.example/MARK@sha256:DIGEST", "fine.example/MARK@sha256:DIGEST"),
    spelt("tag and digest", "evil.example/MARK:1@sha256:DIGEST", "fine.example/MARK:1@sha256:DIGEST"),
    spelt("deep path", "evil.example/a/b/c/d/e/MARK", "fine.example/a/b/c/d/e/MARK"),
    spelt("a glob", "a.Evil.example:05000/MARK", "a.evil.example:5001/MARK"),
    spelt("underscore", "bad_host.example/MARK", "badhost.example/MARK"),
    spelt("Docker Hub, short", "evil/MARK", "evil2/MARK"),
    spelt("Docker Hub", "docker.io/evil/MARK", "docker.io/fine/MARK"),
    spelt("Docker Hub, upper case", "Docker.IO/evil/MARK", "Docker.IO/fine/MARK"),
    spelt("Docker Hub, port", "docker.io:443/evil/MARK", "docker.io:443/fine/MARK"),
    spelt("Docker Hub, index", "index.docker.io/evil/MARK", "index.docker.io/fine/MARK"),
    spelt("Docker Hub, registry-1", "registry-1.docker.io/evil/MARK", "registry-1.docker.io/fine/MARK"),
    spelt("Docker Hub, registry.hub", "REGISTRY.hub.docker.com:0443/evil/MARK", "registry.hub.docker.com/fine/MARK"),
    spelt("Docker Hub, IPv6", "registry.ipv6.docker.com/evil/MARK", "registry.ipv6.docker.com/fine/MARK"),
    spelt("ECR Public, another host", "ecr-public.aws.com/evil/MARK", "ecr-public.aws.com/fine/MARK"),
    spelt("ECR, IPv6", "123456789012.dkr-ecr.eu-west-1.on.aws/MARK", "123456789013.dkr-ecr.eu-west-1.on.aws/MARK"),
    spelt("ECR, FIPS", "123456789012.dkr.ecr-fips.eu-west-1.amazonaws.com/MARK", "123456789012.dkr.ecr-fips.eu-west-2.amazonaws.com/MARK"),
    spelt("ECR, IPv6 and FIPS", "123456789012.DKR-ECR-fips.eu-west-1.on.aws/MARK", "123456789012.dkr-ecr-fips.eu-west-2.on.aws/MARK"),
    spelt("ECR by a glob, IPv6", "210987654321.dkr-ecr.us-east-1.on.aws/MARK", "210987654321.dkr-ecr.us-east-2.on.aws/MARK"),
    spelt("every port", "every-port.example/MARK", "other-port.example/MARK"),
    spelt("every port, another one", "every-port.example:8443/MARK", "other-port.example:8443/MARK"),
    spelt("every port, in upper case", "EVERY-port.example:080/MARK", "OTHER-port.example:080/MARK"),
    spelt("every port of a glob", "a.every-port.example:5000/evil/MARK", "a.every-port.example:5000/fine/MARK"),
    spelt("every port of IPv6", "[2001:0DB8::2BAD]:05000/MARK", "[2001:db8::2bae]:5000/MARK"),
    spelt("the node itself", "localhost:80/MARK", "localhost.example:80/MARK"),
    spelt("the node itself, IPv4", "127.1:5000/MARK", "128.1:5000/MARK"),
    spelt("the node itself, IPv6", "[0:0:0:0:0:0:0:1]:5000/MARK", "[0:0:0:0:0:0:0:2]:5000/MARK"),
    spelt("the node itself, no address", "0.0.0.0:5000/MARK", "0.0.0.1:5000/MARK"),
    spelt("official image, short", "badofficial:MARK", "goodofficial:MARK"),
    spelt("official image, in full", "docker.io/library/badofficial:MARK", "docker.io/library/goodofficial:MARK"),
    spelt("official image, half", "docker.io/badofficial:MARK", "docker.io/goodofficial:MARK"),
    spelt("official image, another name of the Hub", "registry-1.docker.io/badofficial:MARK", "registry-1.docker.io/goodofficial:MARK"),
    spelt("IPv6", "[2001:db8::bad]/MARK", "[2001:db8::f00]/MARK"),
    spelt("IPv6, in full", "[2001:0DB8:0000:0000:0000:0000:0000:0BAD]:443/MARK", "[2001:0db8:0:0:0:0:0:f00]:443/MARK"),
    spelt("IPv4", "10.0.0.5:5000/MARK", "10.0.0.6:5000/MARK"),
    spelt("IPv4 in IPv6", "[::ffff:a00:5]:5000/MARK", "[::ffff:a00:6]:5000/MARK"),
    spelt("IPv4 in IPv6, in full", "[0:0:0:0:0:FFFF:0A00:0005]:5000/MARK", "[0:0:0:0:0:FFFF:0A00:0006]:5000/MARK"),
    spelt("IPv4, octal", "012.0.0.05:5000/MARK", "012.0.0.06:5000/MARK"),
    spelt("IPv4, hexadecimal", "0xA.0x0.0.0x5:5000/MARK", "0xA.0x0.0.0x6:5000/MARK"),
    spelt("IPv4, short", "10.5:5000/MARK", "10.6:5000/MARK"),
    spelt("IPv4, one number", "167772165:5000/MARK", "167772166:5000/MARK"),
];
