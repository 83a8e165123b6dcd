//! `serve --check`: whether a server with this configuration could serve.
//!
//! Tries what a start needs (ports, certificate, map, files, rights) and reports every problem
//! at once. It must not answer a review, start a task or change the cluster, because it
//! runs before an installation or an upgrade, beside the replicas of the version before.

use super::{CertificateSource, Config};
use crate::certs::pair::{Pair, PairFiles};
use crate::certs::trust;
use crate::http::{self, Addresses, BindError};
use crate::kube::client::{self, KubeError};
use crate::kube::installations;
use crate::kube::rights::{self, Right};
use crate::state::map_store::{MapError, MapFile};
use jiff::Timestamp;
use pullpass_core::map::LoadedMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// How long the API server is tried: the network of a new pod can take some seconds.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_secs(1);
/// How long the program on a port that is in use may take to say what it is.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// The most bytes of that answer; `/readyz?verbose` has some hundred.
const ANSWER_BYTES: u64 = 16 << 10;

/// What the check knows besides the configuration.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// What stands behind a path of the configuration, for messages.
    pub path_names: Vec<(PathBuf, String)>,
    /// Certificate files below these paths may be missing, because somebody creates them later.
    pub awaited: Vec<PathBuf>,
    /// The Service that the API server connects to. With it, the check looks for other
    /// installations in the cluster.
    pub service: Option<ServiceName>,
    /// The CAs that the API server trusts, as PEM; `None` where that is not known.
    pub authorities: Option<String>,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

impl ServiceName {
    /// What the API server connects to (apiserver `webhook/client.go`).
    fn host(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }
}

/// What the check has found.
#[derive(Debug, Default)]
pub struct CheckReport {
    /// Why this cannot serve.
    pub problems: Vec<String>,
    /// What could not be checked, and what is worth knowing.
    pub notes: Vec<String>,
}

/// Tries everything, and reports all problems.
pub async fn run(config: Config, surroundings: &Surroundings) -> CheckReport {
    let mut check = Check {
        surroundings,
        report: CheckReport::default(),
    };
    check.ports(config.addresses).await;
    if let CertificateSource::Files(files) = &config.certificate {
        check.certificate(files);
    }
    if let Some((destination, _)) = &config.decision_log
        && let Err(error) = destination.check()
    {
        check.problem(format!(
            "cannot write decision records to {destination}: {error}"
        ));
    }
    let map = check.map(&config.map);
    let mut rights = Vec::new();
    if let CertificateSource::Rotated(rotation) = &config.certificate {
        rights.extend(rotation.store.rights());
    }
    if config.events.is_some() {
        rights.push(Right::everywhere("create", "events.k8s.io", "events"));
    }
    if map.is_some_and(|map| map.policy.uses_selectors()) {
        let namespaces = |verb| Right::everywhere(verb, "", "namespaces");
        rights.extend(["list", "watch"].map(namespaces));
    }
    check.cluster(&rights).await;
    check.report
}

struct Check<'s> {
    surroundings: &'s Surroundings,
    report: CheckReport,
}

impl Check<'_> {
    fn problem(&mut self, words: String) {
        self.report.problems.push(words);
    }

    fn note(&mut self, words: String) {
        self.report.notes.push(words);
    }

    /// ` (the path is …)` where that is known.
    fn behind(&self, path: &Path) -> String {
        let mut names = self.surroundings.path_names.iter();
        let name = names.find(|(named, _)| path.starts_with(named));
        name.map_or_else(String::new, |(named, words)| {
            format!(" ({} is {words})", named.display())
        })
    }

    async fn ports(&mut self, Addresses { webhook, admin }: Addresses) {
        // Kept to the end, so that two equal ports are found.
        let mut taken = Vec::new();
        for address in [webhook, admin] {
            match http::listen(address) {
                Ok(listener) => taken.push(listener),
                Err(BindError::Listen { error, .. }) => {
                    let in_use = error.kind() == io::ErrorKind::AddrInUse;
                    if in_use && is_pullpass(admin.port()).await {
                        self.note(format!(
                            "{address} is in use by a replica of pullpass on this node"
                        ));
                    } else {
                        self.problem(port_words(address, &error));
                    }
                }
                Err(error) => self.problem(error.to_string()),
            }
        }
    }

    fn certificate(&mut self, files: &PairFiles) {
        let PairFiles { certificate, key } = files;
        let behind = self.behind(certificate);
        let mut awaited = self.surroundings.awaited.iter();
        if awaited.any(|path| certificate.starts_with(path))
            && !certificate.exists()
            && !key.exists()
        {
            return self.note(format!("there is no certificate yet{behind}"));
        }
        match files.read().and_then(|bytes| bytes.parse()) {
            Ok(pair) => {
                if let Some(why) = self.refusal(&pair, Timestamp::now()) {
                    self.problem(format!(
                        "the API server would not accept the certificate {}{behind}: {why}",
                        certificate.display()
                    ));
                }
            }
            Err(error) => self.problem(format!("cannot serve HTTPS{behind}: {error}")),
        }
    }

    fn refusal(&self, pair: &Pair, now: Timestamp) -> Option<String> {
        if pair.not_after < now {
            return Some(format!("it expired on {:.0}", pair.not_after));
        }
        let host = self.surroundings.service.as_ref()?.host();
        if !pair.is_for(&host) {
            let names = pair.names.join(", ");
            return Some(format!(
                "it is for {names}, and the API server connects to {host}"
            ));
        }
        let authorities = self.surroundings.authorities.as_ref()?;
        let why = trust::refusal(authorities.as_bytes(), pair, &host, now)?;
        Some(format!(
            "{why}; the caBundle of the webhooks must contain the CA that issued it"
        ))
    }

    fn map(&mut self, map: &MapFile) -> Option<LoadedMap> {
        let loaded = map.read().and_then(|files| map.compile(&files));
        let behind = self.behind(map.path());
        match loaded {
            Ok(loaded) => {
                let warnings = loaded.warnings.iter().map(ToString::to_string);
                self.report.notes.extend(warnings);
                Some(loaded)
            }
            Err(error) => {
                self.problem(match error {
                    MapError::Wrong(errors) => {
                        format!(
                            "the registry map has errors{behind}:\n{}",
                            errors.trim_end()
                        )
                    }
                    MapError::Empty(_) => format!(
                        "there is no registry map{behind}: {error}; what the directory is made \
                         of does not exist, or has no key with such an ending"
                    ),
                    MapError::Unreadable { .. } => {
                        format!("there is no registry map{behind}: {error}")
                    }
                });
                None
            }
        }
    }

    /// Asks the API server, where it is needed or there is something to ask.
    async fn cluster(&mut self, needed: &[Right]) {
        if needed.is_empty() && self.surroundings.service.is_none() {
            return;
        }
        if let Err(error) = self.ask(needed).await {
            let words = format!("the API server cannot be asked: {error}");
            if needed.is_empty() {
                self.note(words);
            } else {
                self.problem(format!(
                    "{words}; pullpass must reach it with this configuration"
                ));
            }
        }
    }

    async fn ask(&mut self, needed: &[Right]) -> Result<(), KubeError> {
        let client = client::connect().await?;
        let missing = patiently(|| rights::missing(&client, needed)).await?;
        if !missing.is_empty() {
            let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
            self.problem(format!(
                "the account of pullpass has no right to {}; give it these rights",
                missing.join(", ")
            ));
        }
        let Some(ServiceName { name, namespace }) = &self.surroundings.service else {
            return Ok(());
        };
        let judges = patiently(|| installations::that_judge(&client, namespace, name)).await;
        for judge in match judges {
            Ok(judges) => judges,
            // The account of somebody's own need not have the right.
            Err(error @ KubeError::Refused { .. }) => {
                self.note(format!(
                    "cannot tell whether another installation judges pods in {namespace}: {error}"
                ));
                return Ok(());
            }
            Err(error) => return Err(error),
        } {
            let home = judge.namespace.as_deref().unwrap_or("another cluster");
            self.problem(format!(
                "{} of the installation in {home} denies pods in {namespace} while it does not \
                 answer, and two installations that wait for each other never start again; add \
                 {namespace} to the exempt namespaces of that installation \
                 (webhooks.exemptNamespaces), or uninstall it",
                judge.object
            ));
        }
        Ok(())
    }
}

fn port_words(address: SocketAddr, error: &io::Error) -> String {
    let words = format!("cannot listen on {address}: {error}");
    if error.kind() == io::ErrorKind::PermissionDenied && address.port() < 1024 {
        return format!("{words}; choose a port above 1023, which needs no right");
    }
    words
}

/// Whether the program on the admin port of this machine is a replica of pullpass. In the
/// network of a node, an upgrade finds the ports in use by the version before.
async fn is_pullpass(admin_port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, admin_port)).await?;
        let request =
            "GET /readyz?verbose HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(ANSWER_TIME, ask).await;
    answer.is_ok_and(|answer| {
        answer.is_ok_and(|answer| String::from_utf8_lossy(&answer).contains("]registry-map "))
    })
}

/// The answer of the API server, or the last reason why there is none.
async fn patiently<T, F>(attempt: impl Fn() -> F) -> Result<T, KubeError>
where
    F: Future<Output = Result<T, KubeError>>,
{
    let began = Instant::now();
    loop {
        match attempt().await {
            Err(KubeError::Unreachable { .. }) if began.elapsed() < PATIENCE => {
                sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}
