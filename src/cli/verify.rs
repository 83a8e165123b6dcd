//! `pullpass verify`: tries whether pullpass decides in a cluster.
//!
//! It sends the [probes](probe) of the map to the API server, as a dry run, and prints each answer
//! beside the expected one. It must not decide what an answer means.

use super::cluster_args::{self, ClusterArgs, MapSource};
use super::map_args::MapArgs;
use super::output::{self, Format, Printer};
use super::{CliError, Status};
use crate::http::deadline::parse_duration;
use crate::kube::client::KubeError;
use crate::kube::dry_run::DryRunClient;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use pullpass_core::policy::{LabelMap, Namespace, Policy};
use pullpass_core::probe::{self, ApiResponse, Probe, ProbeOutcome, Sent};
use pullpass_core::text::visible;
use pullpass_core::well_known::MIRROR_POD_ANNOTATION;
use replicas::{ReplicaMap, Replicas};
use report::{Identity, Map, Row, Summary, VerifyReport};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

mod replicas;
mod report;

/// Namespaces that are tried at the same time, few enough for a busy API server.
const AT_ONCE: usize = 8;
/// The pause before the next attempt with `--wait`.
const PAUSE: Duration = Duration::from_secs(1);
/// Where the replicas cannot be asked, so many attempts on end must be good: each may reach
/// another replica.
const GOOD_ATTEMPTS: usize = 3;
/// How often the replicas are asked in vain.
const FAILURES: usize = 3;
/// How many pods are searched for one that can take an ephemeral container.
const PODS: usize = 50;

/// Try whether pullpass decides in a cluster
///
/// Sends pods to the API server that must be denied or patched, as a dry run: nothing is
/// created. Prints the expected and the actual answers, namespace by namespace, with the date,
/// the cluster and the map. The exit code is 1 if an answer is not as expected, or if nothing
/// shows that the API server calls pullpass. You need permission to create pods, to patch
/// pods/ephemeralcontainers, and to list namespaces and pods.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    map: MapArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// A namespace to test; may be repeated; the default is all namespaces
    #[arg(long = "namespace", short, value_name = "NAME", value_parser = cluster_args::namespace)]
    namespaces: Vec<String>,
    /// Also try a pod with this image, such as docker.io/nginx; may be repeated
    #[arg(long = "image", value_name = "IMAGE")]
    images: Vec<String>,
    /// Wait until this map is in force on all ready replicas, and until no answer is a finding
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(
        long,
        value_name = "TIME",
        default_value = "2m",
        requires = "wait",
        value_parser = timeout
    )]
    timeout: Duration,
    /// The output format
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

fn timeout(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a number with a unit, such as 90s or 2m".to_owned())
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Status, CliError> {
    if args.map.at.is_some() {
        return Err(CliError::input(
            "--at has no effect on a cluster, which goes by its own clock; leave it out",
        ));
    }
    let report = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::unreachable)?
        .block_on(args.verify())?;
    let mut printer = Printer::default();
    match args.output {
        Format::Json => printer.json(&report)?,
        Format::Text => report.tell(&mut printer)?,
    }
    let Summary {
        findings,
        unproven_namespaces: unproven,
        ..
    } = &report.summary;
    // Where nothing shows that pullpass is called, nothing is verified.
    let is_other = |replica: &ReplicaMap| replica.digest.as_ref() != Some(&report.map.digest);
    let differs = report.replicas.iter().any(is_other);
    printer.finish(if *findings > 0 || differs || !unproven.is_empty() {
        Status::Findings
    } else {
        Status::Ok
    })
}

impl Args {
    async fn verify(&self) -> Result<VerifyReport, CliError> {
        let api = self.cluster.connect().await?;
        let cluster = identity(&api).await?;
        let MapSource {
            loaded,
            source,
            namespace,
        } = self.cluster.map(&self.map, &api).await?;
        let policy = &loaded.policy;
        let deadline = Instant::now() + self.timeout;
        let replicas = if self.wait {
            self.replicas(&api, namespace, policy.digest(), deadline)
                .await?
        } else {
            Replicas::NotAsked
        };
        let wanted = match &replicas {
            Replicas::NotAsked if self.wait => GOOD_ATTEMPTS,
            _ => 1,
        };
        let now = self.map.now();
        let namespaces = self.namespaces(&api, policy).await?;
        let mut good = 0;
        let rows = loop {
            let rows = self.attempt_all(&api, policy, &namespaces, now).await?;
            let summary = Summary::of(namespaces.keys(), &rows);
            let is_good = summary.findings == 0 && summary.unproven_namespaces.is_empty();
            good = if is_good { good + 1 } else { 0 };
            if !self.wait || good >= wanted || Instant::now() >= deadline {
                break rows;
            }
            sleep(PAUSE).await;
        };
        Ok(VerifyReport {
            time: now,
            pullpass: env!("CARGO_PKG_VERSION"),
            cluster,
            map: Map {
                source,
                digest: policy.digest().to_owned(),
            },
            replicas: match replicas {
                Replicas::Asked(replicas) => replicas,
                Replicas::NotAsked => Vec::new(),
            },
            summary: Summary::of(namespaces.keys(), &rows),
            probes: rows,
        })
    }

    /// Waits until all ready replicas have the map; says so where they cannot be asked.
    async fn replicas(
        &self,
        api: &DryRunClient,
        namespace: Option<String>,
        digest: &str,
        deadline: Instant,
    ) -> Result<Replicas, CliError> {
        let Some(namespace) = namespace else {
            return Err(CliError::input(
                "--wait needs the namespace of pullpass; name it by --pullpass-namespace",
            ));
        };
        let mut failures = 0;
        loop {
            let replicas = match replicas::ask(api, &namespace).await {
                Ok(replicas) => replicas,
                // A pod may have gone since it was listed.
                Err(_) if failures < FAILURES && Instant::now() < deadline => {
                    failures += 1;
                    sleep(PAUSE).await;
                    continue;
                }
                Err(error) => {
                    let why = visible(&error.to_string());
                    output::say(&format_args!(
                        "note: the replicas cannot be asked which map is in force: {why}; \
                         waiting for {GOOD_ATTEMPTS} attempts without a finding instead"
                    ));
                    return Ok(Replicas::NotAsked);
                }
            };
            let is_done = |replica: &ReplicaMap| replica.digest.as_deref() == Some(digest);
            let are_done = !replicas.is_empty() && replicas.iter().all(is_done);
            if are_done || Instant::now() >= deadline {
                return Ok(Replicas::Asked(replicas));
            }
            sleep(PAUSE).await;
        }
    }

    /// Every probe of every namespace.
    async fn attempt_all(
        &self,
        api: &DryRunClient,
        policy: &Policy,
        namespaces: &BTreeMap<String, LabelMap>,
        now: Timestamp,
    ) -> Result<Vec<Row>, CliError> {
        let tried = stream::iter(namespaces).map(async |(name, labels)| {
            let namespace = Namespace::labelled(name, labels);
            let mut rows = Vec::new();
            for probe in probe::probes(policy, namespace, now, &self.images)? {
                rows.push(attempt(api, name, &probe).await?);
            }
            Ok::<_, CliError>(rows)
        });
        let rows: Vec<Vec<Row>> = tried.buffered(AT_ONCE).try_collect().await?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// The namespaces to try, with their labels where the map asks for those.
    async fn namespaces(
        &self,
        api: &DryRunClient,
        policy: &Policy,
    ) -> Result<BTreeMap<String, LabelMap>, CliError> {
        if !self.namespaces.is_empty() {
            let mut found = BTreeMap::new();
            for name in &self.namespaces {
                let labels = if policy.uses_selectors() {
                    let object = api.get(&format!("/api/v1/namespaces/{name}")).await;
                    labels(&object.map_err(|error| cluster_args::request_error(&error))?)
                } else {
                    LabelMap::new()
                };
                found.insert(name.clone(), labels);
            }
            return Ok(found);
        }
        let list = api.list("/api/v1/namespaces", "").await;
        let list = list.map_err(|error| match error {
            KubeError::Refused { .. } => CliError::unreachable(format_args!(
                "cannot list namespaces: {}; name them by --namespace",
                visible(&error.to_string())
            )),
            error => cluster_args::request_error(&error),
        })?;
        let names = list.iter().filter_map(|object| {
            let name = object.pointer("/metadata/name")?.as_str()?;
            // The name stands in a path, so it is checked like those that people write.
            Some((cluster_args::namespace(name).ok()?, labels(object)))
        });
        Ok(names.collect())
    }
}

fn labels(object: &Value) -> LabelMap {
    let labels = object
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    labels.into_iter().flatten().filter_map(text).collect()
}

async fn identity(api: &DryRunClient) -> Result<Identity, CliError> {
    let text = |value: &Value, pointer: &str| {
        let text = value.pointer(pointer).and_then(Value::as_str);
        text.map(visible)
    };
    let version = api
        .get("/version")
        .await
        .map_err(|error| cluster_args::request_error(&error))?;
    // Not every user may read it.
    let system = api.get("/api/v1/namespaces/kube-system").await.ok();
    Ok(Identity {
        server: visible(&api.url),
        context: api.context.as_deref().map(visible),
        version: text(&version, "/gitVersion").unwrap_or_default(),
        uid: system.and_then(|object| text(&object, "/metadata/uid")),
    })
}

/// Sends a probe and compares the answer.
async fn attempt(api: &DryRunClient, namespace: &str, probe: &Probe) -> Result<Row, CliError> {
    let result = match send(api, namespace, &probe.sent).await {
        Ok(Ok(answer)) => probe::read(probe, &answer),
        Ok(Err(why)) => probe::ProbeResult {
            got: "nothing",
            outcome: ProbeOutcome::NotTried,
            detail: why,
        },
        Err(error) => return Err(cluster_args::request_error(&error)),
    };
    Ok(Row {
        namespace: namespace.to_owned(),
        probe: probe.kind,
        image: probe.image.clone(),
        expected: if probe.image.is_empty() {
            "nothing"
        } else {
            probe.expected.as_str()
        },
        got: result.got,
        result: result.outcome,
        detail: result.detail,
    })
}

/// The answer, or why a probe cannot be sent.
async fn send(
    api: &DryRunClient,
    namespace: &str,
    sent: &Sent,
) -> Result<Result<ApiResponse, String>, KubeError> {
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    match sent {
        Sent::Nothing(why) => Ok(Err((*why).to_owned())),
        Sent::Pod(pod) => api.create(&pods, pod).await.map(Ok),
        Sent::Ephemeral(change) => {
            let list = match api.get(&format!("{pods}?limit={PODS}")).await {
                Err(error @ KubeError::Refused { .. }) => {
                    return Ok(Err(visible(&error.to_string())));
                }
                list => list?,
            };
            let list = list.get("items").and_then(Value::as_array);
            let Some(name) = list.into_iter().flatten().find_map(running) else {
                return Ok(Err("no running pod".to_owned()));
            };
            let path = format!("{pods}/{name}/ephemeralcontainers");
            api.patch(&path, change).await.map(Ok)
        }
    }
}

/// The name of the pod, where it can take an ephemeral container.
fn running(pod: &Value) -> Option<&str> {
    let is_over = matches!(
        pod.pointer("/status/phase").and_then(Value::as_str),
        Some("Succeeded" | "Failed")
    );
    let is_going = pod.pointer("/metadata/deletionTimestamp").is_some();
    // The API server rejects ephemeral containers of static pods.
    let annotations = pod.pointer("/metadata/annotations");
    let is_static = annotations.is_some_and(|all| all.get(MIRROR_POD_ANNOTATION).is_some());
    let name = pod.pointer("/metadata/name")?.as_str()?;
    let is_plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    (!is_over && !is_going && !is_static && is_plain).then_some(name)
}
