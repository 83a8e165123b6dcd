//! The load of `tests/cluster/soak`: a steady stream of pods to a real API server, and
//! what became of each. It knows nothing of what happens meanwhile; whoever makes it
//! happen says on standard input where a row of the table begins and ends:
//!
//! ```text
//! row zero rolling upgrade     from here on it is counted
//! end 2 pods replaced          waits for what controllers make, answers with the row
//! ```
//!
//! Two sorts of pods: one must be admitted with its pull secret in it, the other must
//! be refused. No scheduler takes them, and they are deleted soon. Each second there is
//! also a Deployment, whose two pods a controller makes, and tries again when refused.
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value answers null for what it does not have"
)]

use anyhow::{Context, Result, bail};
use http_body_util::BodyExt;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use std::fmt::Display;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

const NAMESPACE: &str = "soak";
/// What the map of `tests/cluster/soak` asks for.
const SECRET: &str = "corp-pull";
const PULLED: &str = "registry.corp.example/team/app:1";
const REFUSED: &str = "unheard.example/app:1";
/// Creates on the way at a time; a paused etcd holds them up to a minute each.
const IN_FLIGHT: usize = 600;
/// Replicas of each Deployment.
const REPLICAS: usize = 2;
/// For what controllers make, after a row's end. They wait longer and longer between
/// tries, up to twice the time that they were refused, and the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(3);

#[tokio::main]
async fn main() -> Result<()> {
    let mut config = kube::Config::infer().await?;
    // What went wrong is what is counted here.
    config.default_retry = false;
    let client = Client::try_from(config)?;
    let rate = match std::env::var("SOAK_RATE") {
        Ok(rate) => rate.parse().context("SOAK_RATE: creates a second")?,
        Err(_) => 60,
    };
    let (rows, row) = watch::channel(None);
    tokio::spawn(make_pods(client.clone(), row.clone(), rate));
    tokio::spawn(make_deployments(client.clone(), row.clone()));
    tokio::spawn(delete_pods(client.clone()));
    obey(&client, &rows).await
}

/// Does what standard input says, until it ends.
async fn obey(client: &Client, rows: &watch::Sender<Option<Arc<Row>>>) -> Result<()> {
    let (send, mut lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    let mut number = 0;
    while let Some(line) = lines.recv().await {
        let line = line?;
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "row" => {
                let (expected, name) = rest.split_once(' ').context("row: what is expected?")?;
                number += 1;
                rows.send_replace(Some(Arc::new(Row::new(number, expected, name)?)));
            }
            "end" => {
                let row = rows.send_replace(None).context("end: of which row?")?;
                row.end(client, rest).await;
            }
            _ => bail!("neither row nor end: {line}"),
        }
    }
    Ok(())
}

/// What must be true of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// No failed admission.
    Zero,
    /// They are counted: nobody can keep them from failing.
    Counted,
    /// pullpass comes. Until it is first heard of, pods are admitted as they are; then
    /// failed admissions are counted, and none may be admitted unjudged any more.
    Arrival,
    /// pullpass goes: no create may fail, whether it is judged or not.
    Departure,
}

/// What became of a create.
enum Fate {
    Judged,
    /// Refused because pullpass could not be asked.
    Failed(String),
    /// Admitted without the secret or the verdict, or refused without a reason.
    Unjudged(String),
    /// The API server itself could not take it.
    NotTaken(String),
}

/// One thing that happens under the load, and what was counted meanwhile.
struct Row {
    number: u32,
    name: String,
    expected: Expected,
    began: Instant,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    on_the_way: usize,
    creates: usize,
    judged: usize,
    failed: usize,
    unjudged: usize,
    not_taken: usize,
    /// Of failed admissions; the first and the last.
    trouble: Option<(Instant, Instant)>,
    /// When the first answer came that pullpass had to do with.
    heard_of: Option<Instant>,
    slowest: Duration,
    deployments: usize,
    samples: Vec<String>,
}

impl Row {
    fn new(number: u32, expected: &str, name: &str) -> Result<Self> {
        Ok(Self {
            number,
            name: name.to_owned(),
            expected: match expected {
                "zero" => Expected::Zero,
                "counted" => Expected::Counted,
                "arrival" => Expected::Arrival,
                "departure" => Expected::Departure,
                other => bail!("nothing is expected with the word {other}"),
            },
            began: Instant::now(),
            counts: Mutex::default(),
        })
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, fate: Fate, began: Instant) {
        let now = Instant::now();
        let mut counts = self.counts();
        counts.on_the_way -= 1;
        counts.creates += 1;
        let heard_of = match fate {
            Fate::Judged | Fate::Failed(_) => *counts.heard_of.get_or_insert(now),
            _ => counts.heard_of.unwrap_or(now),
        };
        let sample = match fate {
            Fate::Judged => {
                counts.judged += 1;
                counts.slowest = counts.slowest.max(began.elapsed());
                return;
            }
            // Nobody has promised a verdict.
            Fate::Unjudged(_)
                if self.expected == Expected::Departure
                    || self.expected == Expected::Arrival && began <= heard_of =>
            {
                return;
            }
            Fate::NotTaken(words) => {
                counts.not_taken += 1;
                format!("not taken: {words}")
            }
            Fate::Unjudged(words) => {
                counts.unjudged += 1;
                format!("UNJUDGED: {words}")
            }
            Fate::Failed(words) => {
                counts.failed += 1;
                let first = counts.trouble.map_or(now, |(first, _)| first);
                counts.trouble = Some((first, now));
                format!("failed: {words}")
            }
        };
        // Names and addresses change from pod to pod; the beginning and the end do not.
        if counts.samples.len() < 6 && !counts.samples.contains(&sample) {
            say_aside(format_args!(
                "{}, {:.1} s: {sample}",
                self.name,
                self.began.elapsed().as_secs_f32()
            ));
            counts.samples.push(sample);
        }
    }

    /// Waits for what is on the way and for what controllers make, and prints the row.
    async fn end(&self, client: &Client, words: &str) {
        let lasted = self.began.elapsed();
        while self.counts().on_the_way > 0 {
            sleep(Duration::from_millis(20)).await;
        }
        let arrived = self.all_arrived(client).await;
        let counts = self.counts();
        let good = counts.unjudged == 0
            && arrived.is_some()
            && match self.expected {
                Expected::Zero | Expected::Departure => counts.failed == 0,
                Expected::Counted | Expected::Arrival => true,
            };
        let trouble = match counts.trouble {
            Some((first, last)) => format!("{:.1} s", last.duration_since(first).as_secs_f32()),
            None => "-".to_owned(),
        };
        let arrived = match arrived {
            Some(time) => format!("{} after {:.1} s", counts.deployments, time.as_secs_f32()),
            None => format!("{} NOT ALL THERE", counts.deployments),
        };
        let unjudged = match counts.unjudged {
            0 => String::new(),
            count => format!(" ({count} unjudged)"),
        };
        say(format_args!(
            "| {} | {:.0} s | {} | {}{unjudged} | {trouble} | {} | {} ms | {arrived} | {words} | {} |",
            self.name,
            lasted.as_secs_f32(),
            counts.creates,
            counts.failed + counts.unjudged,
            counts.not_taken,
            counts.slowest.as_millis(),
            if good { "ok" } else { "FAIL" },
        ));
    }

    /// After how long all pods of the row's Deployments were there with their secrets.
    async fn all_arrived(&self, client: &Client) -> Option<Duration> {
        let from = Instant::now();
        let pods = Api::<Pod>::namespaced(client.clone(), NAMESPACE);
        let counted = ListParams::default().labels(&format!("row={},counted=yes", self.number));
        loop {
            let expected = self.counts().deployments * REPLICAS;
            if let Ok(found) = pods.list(&counted).await {
                let with = found.items.iter().filter(|pod| has_secret(pod)).count();
                if with == expected && with == found.items.len() {
                    break;
                }
            }
            if from.elapsed() > PATIENCE {
                return None;
            }
            sleep(Duration::from_millis(100)).await;
        }
        let after = from.elapsed();
        let deployments = Api::<Deployment>::namespaced(client.clone(), NAMESPACE);
        let of_row = ListParams::default().labels(&format!("row={}", self.number));
        // What is left stands in nobody's way.
        let _ = deployments
            .delete_collection(&DeleteParams::background(), &of_row)
            .await;
        Some(after)
    }
}

fn has_secret(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let secrets = spec.and_then(|spec| spec.image_pull_secrets.as_ref());
    secrets.is_some_and(|all| all.iter().any(|one| one.name == SECRET))
}

/// A pod that nothing runs.
fn pod_spec(image: &str) -> Value {
    json!({"schedulerName": "nobody", "containers": [{"name": "app", "image": image}]})
}

async fn make_pods(client: Client, rows: watch::Receiver<Option<Arc<Row>>>, rate: u32) {
    let mut tick = interval(Duration::from_secs(1) / rate.max(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    for number in 0_u64.. {
        tick.tick().await;
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let row = rows.borrow().clone();
        if let Some(row) = &row {
            row.counts().on_the_way += 1;
        }
        let client = client.clone();
        tokio::spawn(async move {
            let began = Instant::now();
            let refused = number % 3 == 2;
            let fate = create(&client, number, refused).await;
            if let Some(row) = row {
                row.note(fate, began);
            }
            drop(place);
        });
    }
}

async fn create(client: &Client, number: u64, refused: bool) -> Fate {
    let image = if refused { REFUSED } else { PULLED };
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": "p-",
            "labels": {"soak": "load", "batch": batch(number)},
        },
        "spec": pod_spec(image),
    });
    let request = Request::post(format!("/api/v1/namespaces/{NAMESPACE}/pods"))
        .header(CONTENT_TYPE, "application/json")
        .body(pod.to_string().into_bytes().into());
    let answer = async {
        let answer = client.send(request?).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        anyhow::Ok((status, serde_json::from_slice::<Value>(&body)?))
    };
    match answer.await {
        Ok((status, body)) => judge(status, &body, refused),
        Err(error) => Fate::NotTaken(format!("{error:#}")),
    }
}

fn judge(status: u16, body: &Value, refused: bool) -> Fate {
    let message = body["message"].as_str().unwrap_or_default();
    let words = || format!("{status} {message}");
    if message.contains("failed calling webhook") {
        return Fate::Failed(words());
    }
    let denied = message.contains("pullpass.dev\" denied the request");
    let mut secrets = body["spec"]["imagePullSecrets"]
        .as_array()
        .into_iter()
        .flatten();
    match status {
        201 if !refused && secrets.any(|secret| secret["name"] == SECRET) => Fate::Judged,
        403 if refused && denied => Fate::Judged,
        201 => Fate::Unjudged(format!(
            "created {}",
            body["spec"]["containers"][0]["image"]
        )),
        _ if denied => Fate::Unjudged(words()),
        _ => Fate::NotTaken(words()),
    }
}

/// A new one every few seconds.
fn batch(number: u64) -> String {
    (number / 250).to_string()
}

/// Deletes all pods but those of the newest batches, so that etcd does not grow.
async fn delete_pods(client: Client) {
    let pods = Api::<Pod>::namespaced(client, NAMESPACE);
    loop {
        sleep(Duration::from_secs(5)).await;
        let load = ListParams::default().labels("soak=load");
        let Ok(found) = pods.list_metadata(&load).await else {
            continue;
        };
        let batch_of = |labels: &std::collections::BTreeMap<String, String>| {
            labels.get("batch").and_then(|batch| batch.parse().ok())
        };
        let batches = found.items.iter().filter_map(|pod| {
            let labels = pod.metadata.labels.as_ref();
            labels.and_then(batch_of)
        });
        let batches: std::collections::BTreeSet<u64> = batches.collect();
        for old in batches.iter().rev().skip(1) {
            let of_batch = ListParams::default().labels(&format!("soak=load,batch={old}"));
            let _ = pods
                .delete_collection(&DeleteParams::default(), &of_batch)
                .await;
        }
    }
}

/// One each second; its pods are made by a controller, which tries again.
async fn make_deployments(client: Client, rows: watch::Receiver<Option<Arc<Row>>>) {
    let deployments = Api::<Deployment>::namespaced(client, NAMESPACE);
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0_u64.. {
        tick.tick().await;
        let Some(row) = rows.borrow().clone() else {
            continue;
        };
        let counted = row.expected != Expected::Departure
            && (row.expected != Expected::Arrival || row.counts().heard_of.is_some());
        let labels = json!({
            "app": format!("d{number}"),
            "row": row.number.to_string(),
            "counted": if counted {"yes"} else {"no"},
        });
        let deployment = json!({
            "metadata": {"name": format!("d{number}"), "labels": labels},
            "spec": {
                "replicas": REPLICAS,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod_spec(PULLED)},
            },
        });
        let Ok(deployment) = serde_json::from_value(deployment) else {
            return;
        };
        row.counts().on_the_way += 1;
        let made = deployments
            .create(&PostParams::default(), &deployment)
            .await;
        let mut counts = row.counts();
        counts.on_the_way -= 1;
        // One that the API server could not take is none.
        if made.is_ok() && counted {
            counts.deployments += 1;
        }
    }
}

fn say(words: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{words}");
}

fn say_aside(words: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{words}");
}
