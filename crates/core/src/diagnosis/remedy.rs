//! What to do about a finding: one sentence, commands to paste, and the page that says more.
//!
//! A command never has an untrusted text in it that is not a valid image, host or name, so
//! that it can be pasted; what is not known stands in capitals. It must not decide what the
//! cause is.

use super::cause::Cause;
use super::finding::Finding;
use super::platform::Platform;
use image_reference::Reference;

mod names;

use names::{Names, host_only};

/// The page about the causes.
pub const PAGE: &str = "docs/troubleshooting.md";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// In one or two sentences.
    pub summary: String,
    /// Commands to paste. Those that begin with `#` are words.
    pub commands: Vec<String>,
    /// Where the documentation says more.
    pub docs: String,
}

/// What to do about a finding on nodes of this kind.
#[must_use]
pub fn remedy(finding: &Finding, platform: Platform) -> Remedy {
    let names = Names::of(finding, platform);
    let (summary, mut commands) = names.words(finding);
    commands.splice(0..0, finding.commands.iter().cloned());
    Remedy {
        summary,
        commands,
        docs: format!("{PAGE}#{}", finding.cause.as_str()),
    }
}

impl Names {
    #[expect(
        clippy::too_many_lines,
        reason = "a table with one row for each cause reads best in one piece"
    )]
    fn words(&self, finding: &Finding) -> (String, Vec<String>) {
        let Self {
            image,
            host,
            namespace,
            pod,
            platform,
        } = self;
        let text = |words: &str| words.to_owned();
        match finding.cause {
            Cause::NoCredential => (
                text(
                    "give the pod a pull secret whose key is the image's registry as the image \
                     writes it; a docker login on a node is never read by the kubelet",
                ),
                self.secret_commands(),
            ),
            Cause::DeniedOrMissing => (
                text(
                    "check first that the repository and the tag exist, then that the pod has a \
                     pull secret for this registry and that its user may pull",
                ),
                self.secret_commands(),
            ),
            Cause::CredentialRejected => (
                text(
                    "renew the credential in the pull secret: the password is wrong or has \
                     expired, or the user is disabled (a token of Amazon ECR lasts 12 hours); a \
                     rejected credential also breaks images that anybody may pull",
                ),
                self.secret_commands(),
            ),
            Cause::NotPermitted => (
                text(
                    "let the user of the pull secret pull this repository, or the address of the \
                     nodes reach it; without a pull secret, the registry does not let anonymous \
                     pulls in",
                ),
                self.secret_commands(),
            ),
            Cause::SecretMissing => (
                text(
                    "create the Secret in the pod's own namespace, or correct its name; the \
                     kubelet takes it at the next attempt, without a restart",
                ),
                vec![
                    format!(
                        "kubectl get pod {pod} -n {namespace} -o jsonpath='{{.spec.imagePullSecrets[*].name}}'"
                    ),
                    format!(
                        "kubectl get secrets -n {namespace} --field-selector type=kubernetes.io/dockerconfigjson"
                    ),
                    format!(
                        "kubectl create secret docker-registry SECRET -n {namespace} --docker-server='{host}' --docker-username=USER --docker-password=PASSWORD"
                    ),
                ],
            ),
            Cause::SecretMalformed => (
                text(
                    "write the Secret anew: one that cannot be read stops every image of every \
                     pod that names it",
                ),
                vec![
                    format!(
                        "kubectl get secret SECRET -n {namespace} -o yaml | pullpass explain --secret - '{image}'"
                    ),
                    format!(
                        "kubectl create secret docker-registry SECRET -n {namespace} --docker-server='{host}' --docker-username=USER --docker-password=PASSWORD --dry-run=client -o yaml | kubectl replace -f -"
                    ),
                ],
            ),
            Cause::NotFound => (
                text(
                    "correct the name or the tag, or push the image; some registries also answer \
                     \"not found\" to those who may not pull",
                ),
                vec![format!(
                    "crane ls '{}'   # the tags that exist",
                    self.repository()
                )],
            ),
            Cause::BlobMissing => (
                text(
                    "push the image again: the registry knows it, and a layer or a manifest of \
                     it is gone (a clean-up, or a mirror that copied half of it)",
                ),
                vec![format!("crane validate --remote '{image}'")],
            ),
            Cause::NoPlatform => (
                text(
                    "build the image for the architecture of the nodes, or keep the pod on nodes \
                     that it is built for",
                ),
                vec![
                    "kubectl get nodes -L kubernetes.io/arch".to_owned(),
                    format!("crane manifest '{image}'   # the platforms it has"),
                    text("# in the pod: nodeSelector: {kubernetes.io/arch: amd64}"),
                ],
            ),
            Cause::BadReference => (
                text(
                    "write the image as host[:port]/path:tag, in lower case, without a scheme, \
                     blanks or placeholders",
                ),
                vec![format!(
                    "kubectl get pod {pod} -n {namespace} -o jsonpath='{{.spec.containers[*].image}}'"
                )],
            ),
            Cause::NeverPull => (
                text(
                    "let the kubelet pull (imagePullPolicy: IfNotPresent), or load the image on \
                     every node that the pod can run on",
                ),
                vec![format!(
                    "kubectl get pod {pod} -n {namespace} -o wide   # the node"
                )],
            ),
            Cause::RateLimited => (
                text(
                    "pull with a login, which has a higher limit, or through a mirror; the limit \
                     of Docker Hub counts by address, so all nodes behind one gateway share it",
                ),
                self.secret_commands(),
            ),
            Cause::KubeletQps => (
                text(
                    "wait, because the kubelet tries again by itself; raise registryPullQPS and \
                     registryBurst in its configuration if it happens often",
                ),
                vec!["kubectl get --raw /api/v1/nodes/NODE/proxy/configz".to_owned()],
            ),
            Cause::TlsUnknownCa => (
                format!(
                    "give the node the registry's certificate authority; a pull secret cannot \
                     do that (these are the commands for {})",
                    platform.name()
                ),
                [vec![self.show_certificate()], platform.trust_ca(host)].concat(),
            ),
            Cause::TlsName => (
                text(
                    "write the image with a name that is in the certificate, or issue one that \
                     has this name as subject alternative name",
                ),
                vec![self.show_certificate()],
            ),
            Cause::TlsExpired => (
                text("renew the certificate, or correct the clock of the node"),
                vec![self.show_certificate(), text("timedatectl   # on the node")],
            ),
            Cause::TlsOther => (
                text(
                    "look at the handshake: the registry may want a client certificate, or \
                     something between speaks another TLS",
                ),
                vec![self.show_certificate()],
            ),
            Cause::PlainHttp => (
                format!(
                    "give the registry a certificate, or let the nodes speak plain HTTP to it; \
                     a pull secret cannot do that (these are the commands for {})",
                    platform.name()
                ),
                platform.plain_http(host),
            ),
            Cause::Dns => (
                text(
                    "check the spelling of the host, then the resolver of the node: the kubelet \
                     does not use the DNS of the cluster, so names of Services do not resolve",
                ),
                vec![
                    format!("getent hosts '{}'   # on the node", host_only(host)),
                    text("cat /etc/resolv.conf   # on the node"),
                ],
            ),
            Cause::Unreachable => (
                match finding.host.as_ref().and_then(|host| host.is_private) {
                    Some(true) => text(
                        "the address is private: check that the registry runs and listens there, \
                         and that the node has a route to it",
                    ),
                    Some(false) => text(
                        "the address is public: check that the node may reach the internet, \
                         directly or through a proxy (firewall, egress rules, NAT)",
                    ),
                    None => text("check the way from the node to the host: firewall, route, proxy"),
                },
                vec![format!(
                    "curl -sv -m 10 -o /dev/null https://{host}/v2/   # on the node"
                )],
            ),
            Cause::Proxy => (
                text(
                    "correct HTTPS_PROXY of the container runtime, or name the registry in \
                     NO_PROXY, and restart the runtime",
                ),
                vec![
                    text(
                        "systemctl show containerd crio docker k3s --property=Environment   # on the node",
                    ),
                    format!(
                        "curl -sv -m 10 --noproxy '*' -o /dev/null https://{host}/v2/   # on the node: without the proxy"
                    ),
                ],
            ),
            Cause::RegistryError => (
                text(
                    "look at the registry, the mirror or the proxy before it; the kubelet tries \
                     again by itself, every five minutes at the latest",
                ),
                vec![format!("curl -sv -m 10 -o /dev/null https://{host}/v2/")],
            ),
            Cause::CorruptTransfer => (
                text(
                    "try again; if it stays, look for what cuts or changes the transfer: a \
                     proxy, a firewall, a mirror with a damaged cache, a wrong MTU",
                ),
                vec![format!("crictl pull '{image}'   # on the node")],
            ),
            Cause::NotARegistry => (
                text(
                    "check the host and the path: a login page, a portal or another web server \
                     answers instead of a registry",
                ),
                vec![format!(
                    "curl -s -m 10 -D - -o /dev/null https://{host}/v2/"
                )],
            ),
            Cause::Schema1 => (
                text("build and push the image anew; containerd 2 has dropped its format"),
                vec![format!("crane manifest '{image}' | head -c 200")],
            ),
            Cause::DiskFull => (
                text("free the disk of the node, or give it a larger one"),
                vec![
                    text("kubectl describe nodes | grep -A8 Conditions:"),
                    text("crictl rmi --prune   # on the node"),
                ],
            ),
            Cause::ShortName => (
                format!(
                    "write the image with its registry, such as docker.io/{}",
                    finding
                        .images
                        .iter()
                        .find_map(|image| Reference::parse(image).ok())
                        .map_or_else(
                            || "library/NAME".to_owned(),
                            |image| image.repository().into_owned()
                        )
                ),
                vec![],
            ),
            Cause::Cancelled => (
                text(
                    "wait for the next attempt; if it stays, the pull makes no progress: look at \
                     the network, at the size of the image and at the runtime's time limit",
                ),
                vec![format!("crictl pull '{image}'   # on the node")],
            ),
            Cause::SandboxImage => (
                text(
                    "let the node reach the image of its sandbox, or name another one in the \
                     configuration of the container runtime; pull secrets never apply to it",
                ),
                vec![text("crictl info | grep -i sandboxImage   # on the node")],
            ),
            Cause::Admission => (
                text("read who denied the pod: there is nothing to pull before it is admitted"),
                vec![
                    format!(
                        "kubectl get events -n {namespace} --field-selector reason=FailedCreate"
                    ),
                    text(
                        "kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations",
                    ),
                ],
            ),
            Cause::PolicyRejected => (
                text("sign the image, or change the node's policy for its registry"),
                vec![text("cat /etc/containers/policy.json   # on the node")],
            ),
            Cause::CredentialUnverified => (
                text(
                    "give the pod a pull secret for the image, though the image is on the node: \
                     the kubelet checks since 1.35 that a pod may use what others have pulled",
                ),
                self.secret_commands(),
            ),
            Cause::Unknown => (
                text("the words fit no known cause; the node's log has more"),
                vec![text(
                    "journalctl -u kubelet -u containerd -u crio --since -15min | grep -i pull   # on the node",
                )],
            ),
        }
    }
}
