//! What stands in a remedy's commands: names that are valid, or words in capitals. A name must
//! not end the quotation that it stands in.

use crate::diagnosis::finding::Finding;
use crate::diagnosis::host::{HostRole, registry_of};
use crate::diagnosis::platform::Platform;
use image_reference::Reference;

/// What stands in the commands.
pub(super) struct Names {
    pub(super) image: String,
    pub(super) host: String,
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) platform: Platform,
}

impl Names {
    /// Those of a finding.
    pub(super) fn of(finding: &Finding, platform: Platform) -> Self {
        let image = finding
            .images
            .iter()
            .find(|image| Reference::parse(image).is_ok());
        let subject = finding.subjects.iter().next();
        let name = |name: Option<&String>| name.filter(|name| is_name(name)).cloned();
        let host = finding
            .host
            .as_ref()
            .filter(|host| host.role != HostRole::Proxy)
            .map(|host| host.host.clone())
            .or_else(|| image.and_then(|image| registry_of(image)));
        Self {
            host: host.unwrap_or_else(|| "HOST".to_owned()),
            image: image.cloned().unwrap_or_else(|| "IMAGE".to_owned()),
            namespace: name(subject.and_then(|subject| subject.namespace.as_ref()))
                .unwrap_or_else(|| "NAMESPACE".to_owned()),
            pod: name(subject.and_then(|subject| subject.name.as_ref()))
                .unwrap_or_else(|| "POD".to_owned()),
            platform,
        }
    }

    /// What to look at, and to write, where credentials decide.
    pub(super) fn secret_commands(&self) -> Vec<String> {
        let Self {
            image,
            host,
            namespace,
            pod,
            ..
        } = self;
        let server = match registry_of(image).as_deref() {
            Some("docker.io") | None if host == "docker.io" || host.ends_with(".docker.io") => {
                "https://index.docker.io/v1/".to_owned()
            }
            Some("docker.io") => "https://index.docker.io/v1/".to_owned(),
            Some(registry) => registry.to_owned(),
            None => host.clone(),
        };
        vec![
            format!("pullpass doctor {pod} -n {namespace}   # which Secret applies, and why not"),
            format!(
                "kubectl create secret docker-registry SECRET -n {namespace} --docker-server='{server}' --docker-username=USER --docker-password=PASSWORD"
            ),
            format!(
                "crictl pull --creds USER:PASSWORD '{image}'   # on the node: repeats the kubelet's attempt"
            ),
        ]
    }

    /// Prints what a host's certificate says.
    pub(super) fn show_certificate(&self) -> String {
        let host = &self.host;
        let address = if host_only(host) == host.as_str() {
            format!("{host}:443")
        } else {
            host.clone()
        };
        format!(
            "openssl s_client -connect '{address}' -servername '{}' </dev/null | openssl x509 -noout -subject -issuer -dates -ext subjectAltName",
            host_only(host)
        )
    }

    /// The image without tag and digest.
    pub(super) fn repository(&self) -> String {
        Reference::parse(&self.image).map_or_else(|_| self.image.clone(), |image| image.name())
    }
}

pub(super) fn host_only(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            name
        }
        _ => host,
    }
}

/// Whether a text can stand in a command as the name of an object.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}
