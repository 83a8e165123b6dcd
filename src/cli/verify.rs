//! `pullpass verify`: tries whether pullpass decides in a cluster.
//!
//! It sends the [probes](probe) of the map to the API server, as a dry run, and prints each answer
//! beside the expected one. It must not decide what an answer means.

use super::cluster_args::{self, ClusterArgs, MapSource};
use super::map_args::MapArgs;
use super::output::{Format, Printer};
use super::{CliError, Status};
use crate::kube::client::KubeError;
use crate::kube::dry_run::DryRunClient;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use pullpass_core::policy::{LabelMap, Namespace, Policy};
use pullpass_core::probe::{self, ApiResponse, Probe, ProbeKind, ProbeOutcome, Sent};
use pullpass_core::text::{cut, visible};
use pullpass_core::well_known::MIRROR_POD_ANNOTATION;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Namespaces that are tried at the same time, few enough for a busy API server.
const AT_ONCE: usize = 8;
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
    /// The output format
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
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
    printer.finish(if *findings > 0 || !unproven.is_empty() {
        Status::Findings
    } else {
        Status::Ok
    })
}

/// What is printed. The keys are a promise to scripts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerifyReport {
    time: Timestamp,
    pullpass: &'static str,
    cluster: Identity,
    map: Map,
    probes: Vec<Row>,
    summary: Summary,
}

/// Which cluster it was.
#[derive(Serialize)]
struct Identity {
    server: String,
    context: Option<String>,
    version: String,
    /// That of the namespace `kube-system`, which lives as long as the cluster.
    uid: Option<String>,
}

#[derive(Serialize)]
struct Map {
    source: String,
    digest: String,
}

#[derive(Serialize)]
struct Row {
    namespace: String,
    probe: ProbeKind,
    image: String,
    expected: &'static str,
    got: &'static str,
    result: ProbeOutcome,
    detail: String,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Summary {
    as_expected: usize,
    findings: usize,
    not_tried: usize,
    no_proof: usize,
    exempt: usize,
    /// Namespaces that are not exempt and in which nothing shows that pullpass is called.
    unproven_namespaces: Vec<String>,
}

impl Args {
    async fn verify(&self) -> Result<VerifyReport, CliError> {
        let api = self.cluster.connect().await?;
        let cluster = identity(&api).await?;
        let MapSource { loaded, source } = self.cluster.map(&self.map, &api).await?;
        let now = self.map.now();
        let namespaces = self.namespaces(&api, &loaded.policy).await?;
        let (api, policy) = (&api, &loaded.policy);
        let tried = stream::iter(&namespaces).map(async |(name, labels)| {
            let namespace = Namespace::labelled(name, labels);
            let mut rows = Vec::new();
            for probe in probe::probes(policy, namespace, now, &self.images)? {
                rows.push(attempt(api, name, &probe).await?);
            }
            Ok::<_, CliError>(rows)
        });
        let rows: Vec<Vec<Row>> = tried.buffered(AT_ONCE).try_collect().await?;
        let rows: Vec<Row> = rows.into_iter().flatten().collect();
        Ok(VerifyReport {
            time: now,
            pullpass: env!("CARGO_PKG_VERSION"),
            cluster,
            map: Map {
                source,
                digest: policy.digest().to_owned(),
            },
            summary: Summary::of(namespaces.keys(), &rows),
            probes: rows,
        })
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

impl Summary {
    fn of<'n>(namespaces: impl Iterator<Item = &'n String>, rows: &[Row]) -> Self {
        let count = |wanted: ProbeOutcome| rows.iter().filter(|row| row.result == wanted).count();
        let shows =
            |row: &&Row| matches!(row.result, ProbeOutcome::AsExpected | ProbeOutcome::Exempt);
        let proven: std::collections::HashSet<&str> = rows
            .iter()
            .filter(shows)
            .map(|row| row.namespace.as_str())
            .collect();
        let unproven = namespaces.filter(|name| !proven.contains(name.as_str()));
        Self {
            as_expected: count(ProbeOutcome::AsExpected),
            findings: count(ProbeOutcome::Finding),
            not_tried: count(ProbeOutcome::NotTried),
            no_proof: count(ProbeOutcome::NoProof),
            exempt: count(ProbeOutcome::Exempt),
            unproven_namespaces: unproven.cloned().collect(),
        }
    }
}

/// How much of an image a table shows, in characters.
const IMAGE: usize = 48;

impl VerifyReport {
    fn tell(&self, printer: &mut Printer) -> Result<(), CliError> {
        let Identity {
            server,
            context,
            version,
            uid,
        } = &self.cluster;
        let context = context.as_deref().unwrap_or("none");
        let uid = uid.as_deref().unwrap_or("unknown");
        printer.line(format_args!("time      {}", self.time))?;
        printer.line(format_args!("pullpass  {}", self.pullpass))?;
        printer.line(format_args!(
            "cluster   {server}, Kubernetes {version}, context {context}, uid {uid}"
        ))?;
        printer.line(format_args!(
            "map       {}, {}",
            self.map.source, self.map.digest
        ))?;
        printer.line("")?;
        self.table(printer)?;
        printer.line("")?;
        let Summary {
            as_expected,
            findings,
            not_tried,
            no_proof,
            exempt,
            unproven_namespaces: unproven,
        } = &self.summary;
        printer.line(format_args!(
            "findings: {findings}, as expected: {as_expected}, no proof: {no_proof}, \
             not tried: {not_tried}, exempt: {exempt}"
        ))?;
        if !unproven.is_empty() {
            printer.line(format_args!(
                "nothing shows that pullpass is called in: {}",
                unproven.join(", ")
            ))?;
        }
        Ok(())
    }

    fn table(&self, printer: &mut Printer) -> Result<(), CliError> {
        let head = ["NAMESPACE", "PROBE", "IMAGE", "EXPECTED", "GOT", "RESULT"];
        let mut lines = vec![head.map(str::to_owned)];
        for row in &self.probes {
            let image = match row.image.as_str() {
                "" => "-".to_owned(),
                image => cut(visible(image), IMAGE),
            };
            lines.push([
                row.namespace.clone(),
                row.probe.as_str().to_owned(),
                image,
                row.expected.to_owned(),
                row.got.to_owned(),
                row.result.as_str().to_owned(),
            ]);
        }
        let mut widths = [0; 6];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        let details = std::iter::once("").chain(self.probes.iter().map(|row| row.detail.as_str()));
        for (line, detail) in lines.iter().zip(details) {
            let cells = line.iter().zip(widths);
            let cells: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            printer.line(cells.join("  ").trim_end())?;
            if !detail.is_empty() {
                printer.line(format_args!("    {detail}"))?;
            }
        }
        Ok(())
    }
}
