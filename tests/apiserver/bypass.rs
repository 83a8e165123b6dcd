//! Attempts to get round the map, each in each mode: refused in `deny`, warned about
//! in `warn`, recorded in the API server's audit log in all three. Beside each goes a
//! twin that must be admitted without a word.
//!
//! The attempts are in `bypass/table.rs`, the roads they take in `bypass/ways.rs`.

mod table;
mod ways;

use crate::api::{Answer, eventually};
use crate::pullpass::Scene;
use crate::registration::{Hook, conditions_of_chart};
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use table::{ALIASES, Attempt, Fate, LATE, LOOK_ALIKES, WAYS};

/// Only what is named is allowed.
const ALLOW_LIST: &str = r#"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: corp, match: [registry.corp.example, our_registry.example]}
  - {name: mine, match: docker.io/mycompany}
  - {name: address, match: "[2001:db8::5]:5000"}
  - {name: ended, match: ended.example, until: 2020-01-01}
  - {name: ending, match: ending.example, until: 2999-01-01}
  - {name: elsewhere, match: elsewhere.example, namespaces: ["another-*"]}
  - {name: here, match: here.example, namespaces: [NAMESPACE]}
unknownRegistries: MODE
publicRegistries: []
"#;

/// Everything is allowed but what is named.
const DENY_LIST: &str = r#"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - name: evil
    action: MODE
    match:
      - evil.example
      - "*.evil.example:5000"
      - bad_host.example
      - docker.io/evil
      - docker.io/library/badofficial
      - "[2001:db8::bad]"
      - 10.0.0.5:5000
      - every-port.example:*
      - "*.every-port.example:*/evil"
      - "[2001:db8::2bad]:*"
      - "localhost:*"
      - "127.0.0.1:*"
      - "[::1]:*"
      - "0.0.0.0:*"
      - public.ecr.aws/evil
      - 123456789012.dkr.ecr.eu-west-1.amazonaws.com
      - "*.dkr.ecr.us-east-1.amazonaws.com"
unknownRegistries: allow
publicRegistries: []
"#;

/// How strict the map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Deny,
    Warn,
    Audit,
}

impl Mode {
    fn word(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Warn => "warn",
            Self::Audit => "audit",
        }
    }
}

/// A test for each mode and table.
macro_rules! in_each_mode {
    ($($name:ident: $attempts:expr, $map:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn denied() {
                all($attempts, $map, Mode::Deny).await;
            }

            #[tokio::test]
            async fn warned_about() {
                all($attempts, $map, Mode::Warn).await;
            }

            #[tokio::test]
            async fn recorded() {
                all($attempts, $map, Mode::Audit).await;
            }
        }
    )*};
}

in_each_mode! {
    other_ways: WAYS, ALLOW_LIST;
    later_webhooks: LATE, ALLOW_LIST;
    look_alikes: LOOK_ALIKES, ALLOW_LIST;
    other_spellings: ALIASES, DENY_LIST;
}

/// Tries everything, so that one failure does not hide the next.
async fn all(attempts: &[Attempt], map: &str, mode: Mode) {
    let map = map.replace("MODE", mode.word());
    // A condition that keeps a request from pullpass would be a way round it too.
    let as_installed =
        |hook: &mut Hook<'_>| hook.match_conditions = conditions_of_chart(hook.stage);
    let Some(scene) = Scene::with(Some(&map), as_installed).await else {
        return;
    };
    let mut _late = None;
    if attempts
        .iter()
        .any(|attempt| attempt.way.needs_late_webhook())
    {
        _late = Some(ways::late_webhook(&scene).await);
    }
    let mut faults = Vec::new();
    for attempt in attempts {
        let tried = Tried::new(&scene, attempt, attempt.bad).await;
        let held = match attempt.fate {
            Fate::Judged => tried.judged(mode).await,
            Fate::NotForUs(status) => tried.refused_by_others(status),
            Fate::Dropped => tried.without_effect().await,
            Fate::Inert => tried.inert().await,
        };
        let twin = Tried::new(&scene, attempt, attempt.good).await;
        let twin_held = match attempt.fate {
            // What is wrong with them is wrong whatever the image.
            Fate::NotForUs(_) if attempt.way != ways::Way::Container => Ok(()),
            Fate::Dropped => twin.without_effect().await,
            _ => twin.admitted().await,
        };
        for (image, held) in [(&tried.image, held), (&twin.image, twin_held)] {
            if let Err(what) = held {
                faults.push(format!("{} ({image:?}): {what}", attempt.name));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "in mode {}, {} of {} are not as they should be:\n{}",
        mode.word(),
        faults.len(),
        attempts.len(),
        faults.join("\n")
    );
}

/// An attempt that was made.
struct Tried<'s> {
    scene: &'s Scene,
    name: String,
    image: String,
    /// What of the image is this attempt's alone.
    mark: String,
    is_by_controller: bool,
    answer: Answer,
}

impl<'s> Tried<'s> {
    async fn new(scene: &'s Scene, attempt: &Attempt, image: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mark = format!("f{:05x}", COUNT.fetch_add(1, Ordering::Relaxed));
        let image = image
            .replace("MARK", &mark)
            .replace("DIGEST", &"0123456789abcdef".repeat(4))
            .replace("LONG", &"a".repeat(300))
            .replace("ZEROS", &"0".repeat(100));
        let name = format!("try-{mark}");
        let answer = attempt.way.go(scene, &name, &image).await;
        Self {
            scene,
            name,
            image,
            mark,
            is_by_controller: attempt.way.is_by_controller(),
            answer,
        }
    }

    async fn judged(&self, mode: Mode) -> Result<(), String> {
        let record = if self.is_by_controller {
            eventually("a record of the controller's pod", async || self.record()).await
        } else {
            self.record()
                .ok_or_else(|| format!("nothing is recorded; {}", self.said()))?
        };
        if record != mode.word() {
            return Err(format!("recorded as {record}"));
        }
        if self.is_by_controller {
            return match (mode, self.pods().await.is_empty()) {
                (Mode::Deny, false) => Err("the pod was made".to_owned()),
                (Mode::Warn | Mode::Audit, true) => {
                    self.pod_of_controller().await;
                    Ok(())
                }
                _ => Ok(()),
            };
        }
        let Answer {
            status, warnings, ..
        } = &self.answer;
        let ours = r#"admission webhook "validate.pullpass.dev" denied the request: image "#;
        let named = |text: &str| text.contains(&self.mark) && text.contains("spec.");
        let held = match mode {
            Mode::Deny => {
                let message = self.answer.message();
                *status == 403 && message.starts_with(ours) && named(message)
            }
            Mode::Warn => *status < 300 && warnings.iter().any(|warning| named(warning)),
            Mode::Audit => *status < 300 && self.our_warnings().next().is_none(),
        };
        held.then_some(()).ok_or_else(|| self.said())
    }

    async fn admitted(&self) -> Result<(), String> {
        if self.is_by_controller {
            self.pod_of_controller().await;
        } else if self.answer.status >= 300 || self.our_warnings().next().is_some() {
            return Err(self.said());
        }
        let is_there = self.is_by_controller || self.answer.body.to_string().contains(&self.mark);
        match self.record() {
            Some(record) => Err(format!("recorded as {record}")),
            None if !is_there => Err(format!("the image is not in the pod: {}", self.said())),
            None => Ok(()),
        }
    }

    fn refused_by_others(&self, status: u16) -> Result<(), String> {
        let is_ours = self.answer.message().contains("pullpass.dev");
        let held = self.answer.status == status && !is_ours;
        held.then_some(()).ok_or_else(|| self.said())
    }

    async fn without_effect(&self) -> Result<(), String> {
        let pod = self
            .scene
            .namespace
            .get(&format!("pods/{}", self.name))
            .await;
        let spec = pod.body["spec"].to_string();
        let refused_by_us = self.answer.message().contains("pullpass.dev");
        let held = !refused_by_us && !spec.contains(&self.mark);
        held.then_some(())
            .ok_or_else(|| format!("{}; {spec}", self.said()))
    }

    async fn inert(&self) -> Result<(), String> {
        let pod = self
            .scene
            .namespace
            .get(&format!("pods/{}", self.name))
            .await;
        let held =
            self.answer.status < 300 && pod.body["metadata"]["deletionTimestamp"].is_string();
        held.then_some(()).ok_or_else(|| self.said())
    }

    /// Warnings of pullpass's; the API server has some of its own.
    fn our_warnings(&self) -> impl Iterator<Item = &String> {
        self.answer
            .warnings
            .iter()
            .filter(|text| text.starts_with("image \""))
    }

    fn said(&self) -> String {
        let Answer {
            status, warnings, ..
        } = &self.answer;
        format!("{status} {} {warnings:?}", self.answer.message())
    }

    /// The decision that the audit log has for this image.
    fn record(&self) -> Option<String> {
        let log = std::fs::read_to_string(&self.scene.plane.audit_log).unwrap();
        let lines = log.lines().filter(|line| line.contains(&self.mark));
        let events = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let here = events.filter(|event| event["objectRef"]["namespace"] == *self.scene.name);
        let mut found = here.filter_map(|event| {
            let annotation = |key: &str| {
                let value = &event["annotations"][format!("validate.pullpass.dev/{key}")];
                value.as_str().map(str::to_owned)
            };
            annotation("images").filter(|images| images.contains(&self.mark))?;
            annotation("decision")
        });
        found.next_back()
    }

    async fn pods(&self) -> Vec<Value> {
        let list = self.scene.namespace.get("pods").await.succeeded();
        let pods = list["items"].as_array().unwrap().iter();
        let ours = pods.filter(|pod| pod["spec"].to_string().contains(&self.image));
        ours.cloned().collect()
    }

    async fn pod_of_controller(&self) {
        eventually("the controller's pod", async || self.pods().await.pop()).await;
    }
}
