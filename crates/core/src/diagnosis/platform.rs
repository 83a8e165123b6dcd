//! The distribution of a node, by what the node says about itself.
//!
//! Certificates, mirrors and proxies are configured differently on each. It must not know what
//! is wrong.

/// What configures the container runtime of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// containerd with its `certs.d` folder; also where nothing is known.
    #[default]
    Containerd,
    /// k3s, which writes containerd's configuration itself.
    K3s,
    /// RKE2, likewise.
    Rke2,
    /// Talos Linux, which has no shell.
    Talos,
    /// `MicroK8s`, a snap.
    MicroK8s,
    /// `OpenShift`, which writes CRI-O's configuration itself.
    OpenShift,
    /// Bottlerocket, which has an API instead of a shell.
    Bottlerocket,
    /// CRI-O.
    CriO,
    /// Docker with cri-dockerd.
    Docker,
}

impl Platform {
    /// By the fields of `status.nodeInfo` and the names of the node's labels.
    #[must_use]
    pub fn of_node<'l>(
        kubelet_version: &str,
        os_image: &str,
        runtime_version: &str,
        labels: impl IntoIterator<Item = &'l str>,
    ) -> Self {
        let labels: Vec<&str> = labels.into_iter().collect();
        let labelled = |part: &str| labels.iter().any(|label| label.contains(part));
        if kubelet_version.contains("+k3s") {
            Self::K3s
        } else if kubelet_version.contains("+rke2") {
            Self::Rke2
        } else if os_image.starts_with("Talos") {
            Self::Talos
        } else if os_image.starts_with("Bottlerocket") {
            Self::Bottlerocket
        } else if labelled("microk8s") {
            Self::MicroK8s
        } else if labelled("node.openshift.io/")
            || os_image.contains("CoreOS") && runtime_version.starts_with("cri-o://")
        {
            Self::OpenShift
        } else if runtime_version.starts_with("cri-o://") {
            Self::CriO
        } else if runtime_version.starts_with("docker://") {
            Self::Docker
        } else {
            Self::Containerd
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::K3s => "k3s",
            Self::Rke2 => "RKE2",
            Self::Talos => "Talos",
            Self::MicroK8s => "MicroK8s",
            Self::OpenShift => "OpenShift",
            Self::Bottlerocket => "Bottlerocket",
            Self::CriO => "CRI-O",
            Self::Docker => "Docker",
        }
    }

    /// Commands that make the node trust the certificate authority in `ca.crt` for a host.
    pub(super) fn trust_ca(self, host: &str) -> Vec<String> {
        match self {
            Self::K3s | Self::Rke2 => {
                let (folder, service) = self.rancher();
                vec![
                    format!("# on the node, in /etc/rancher/{folder}/registries.yaml:"),
                    format!("#   configs: {{\"{host}\": {{tls: {{ca_file: /etc/rancher/{folder}/ca.crt}}}}}}"),
                    format!("cp ca.crt /etc/rancher/{folder}/ca.crt && systemctl restart {service}"),
                ]
            }
            Self::Talos => vec![format!(
                "talosctl patch mc -n NODE --patch '{{\"machine\":{{\"registries\":{{\"config\":{{\"{host}\":{{\"tls\":{{\"ca\":\"'\"$(base64 -w0 ca.crt)\"'\"}}}}}}}}}}}}'"
            )],
            Self::MicroK8s => hosts_toml("/var/snap/microk8s/current/args/certs.d", host, true),
            Self::OpenShift => vec![
                format!(
                    "oc create configmap registry-ca -n openshift-config --from-file='{}'=ca.crt",
                    host.replace(':', "..")
                ),
                "oc patch image.config.openshift.io/cluster --type=merge -p '{\"spec\":{\"additionalTrustedCA\":{\"name\":\"registry-ca\"}}}'".to_owned(),
            ],
            Self::Bottlerocket => vec![
                "apiclient set settings.pki.registry-ca.trusted=true settings.pki.registry-ca.data=\"$(base64 -w0 ca.crt)\"".to_owned(),
            ],
            Self::CriO => vec![format!(
                "mkdir -p '/etc/containers/certs.d/{host}' && cp ca.crt '/etc/containers/certs.d/{host}/ca.crt'   # on every node"
            )],
            Self::Docker => vec![format!(
                "mkdir -p '/etc/docker/certs.d/{host}' && cp ca.crt '/etc/docker/certs.d/{host}/ca.crt'   # on every node"
            )],
            Self::Containerd => hosts_toml("/etc/containerd/certs.d", host, true),
        }
    }

    /// Commands that let the node speak plain HTTP to a host.
    pub(super) fn plain_http(self, host: &str) -> Vec<String> {
        match self {
            Self::K3s | Self::Rke2 => {
                let (folder, service) = self.rancher();
                vec![
                    format!("# on the node, in /etc/rancher/{folder}/registries.yaml:"),
                    format!("#   mirrors: {{\"{host}\": {{endpoint: [\"http://{host}\"]}}}}"),
                    format!("systemctl restart {service}"),
                ]
            }
            Self::Talos => vec![format!(
                "talosctl patch mc -n NODE --patch '{{\"machine\":{{\"registries\":{{\"mirrors\":{{\"{host}\":{{\"endpoints\":[\"http://{host}\"]}}}}}}}}}}'"
            )],
            Self::MicroK8s => hosts_toml("/var/snap/microk8s/current/args/certs.d", host, false),
            Self::OpenShift => vec![format!(
                "oc patch image.config.openshift.io/cluster --type=merge -p '{{\"spec\":{{\"registrySources\":{{\"insecureRegistries\":[\"{host}\"]}}}}}}'"
            )],
            Self::Bottlerocket => vec![
                "# Bottlerocket: add a mirror whose endpoint begins with http:// (settings.container-registry.mirrors)".to_owned(),
            ],
            Self::CriO => vec![format!(
                "printf '[[registry]]\\nlocation = \"{host}\"\\ninsecure = true\\n' > /etc/containers/registries.conf.d/insecure.conf && systemctl restart crio   # on every node"
            )],
            Self::Docker => vec![format!(
                "# on every node, in /etc/docker/daemon.json: {{\"insecure-registries\": [\"{host}\"]}}; then systemctl restart docker"
            )],
            Self::Containerd => hosts_toml("/etc/containerd/certs.d", host, false),
        }
    }

    /// The folder and the service of Rancher's distributions.
    fn rancher(self) -> (&'static str, &'static str) {
        if self == Self::Rke2 {
            ("rke2", "rke2-agent")
        } else {
            ("k3s", "k3s")
        }
    }
}

/// What containerd reads about a host: a certificate authority, or that it speaks plain HTTP.
///
/// A folder with certificates and no `hosts.toml` is enough for the first. With a `hosts.toml`
/// containerd 1.6 wants a `[host]`, and asks its `server` as well: one without the `ca` turns
/// "not found" into "unknown authority".
fn hosts_toml(folder: &str, host: &str, has_ca: bool) -> Vec<String> {
    let at = format!("{folder}/{host}");
    let mut commands = vec![format!("mkdir -p '{at}'   # on every node")];
    if has_ca {
        commands.push(format!(
            "cp ca.crt '{at}/ca.crt'   # if there is a hosts.toml, name it there as well: ca = \"{at}/ca.crt\""
        ));
    } else {
        commands.push(format!(
            "echo 'server = \"http://{host}\"' > '{at}/hosts.toml'"
        ));
        commands.push(format!(
            "echo '[host.\"http://{host}\"]' >> '{at}/hosts.toml'"
        ));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_says_what_it_is() {
        for (kubelet, os, runtime, label, expected) in [
            (
                "v1.33.1+k3s1",
                "Ubuntu 24.04",
                "containerd://2.0.5-k3s1",
                "",
                Platform::K3s,
            ),
            (
                "v1.33.1+rke2r1",
                "SLES",
                "containerd://2.0.5-k3s1",
                "",
                Platform::Rke2,
            ),
            (
                "v1.33.1",
                "Talos (v1.10.0)",
                "containerd://2.0.5",
                "",
                Platform::Talos,
            ),
            (
                "v1.33.1",
                "Bottlerocket OS 1.40",
                "containerd://1.7.27",
                "",
                Platform::Bottlerocket,
            ),
            (
                "v1.33.1",
                "Ubuntu",
                "containerd://1.7",
                "microk8s.io/cluster",
                Platform::MicroK8s,
            ),
            (
                "v1.33.1",
                "Red Hat Enterprise Linux CoreOS 418",
                "cri-o://1.31",
                "",
                Platform::OpenShift,
            ),
            ("v1.33.1", "Fedora 42", "cri-o://1.33", "", Platform::CriO),
            ("v1.33.1", "Ubuntu", "docker://28.0", "", Platform::Docker),
            (
                "v1.33.1",
                "Debian 12",
                "containerd://1.6.20",
                "",
                Platform::Containerd,
            ),
        ] {
            assert_eq!(
                Platform::of_node(kubelet, os, runtime, [label]),
                expected,
                "{kubelet} {os}"
            );
        }
    }
}
