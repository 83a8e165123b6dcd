//! The two answers, row by row of the design's table, from bytes to bytes.
//!
//! What the API server really sends is in `tests/fixtures/reviews` (recorded) and is
//! answered in `tests/fixtures/admission/answers.txt`; `UPDATE_GOLDEN=1` rewrites
//! that. The rest is made here, to reach what the API server never sends.

use crate::golden;
use crate::reviews::{POLICY, context, context_of, now, pod, review};
use base64::Engine;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, EphemeralContainer, LocalObjectReference, Pod, PodSpec, Volume,
};
use kube::core::admission::AdmissionReview;
use proptest::prelude::*;
use pullpass_core::admission::{self, Endpoint, Outcome, ReviewError};
use pullpass_core::map::{self, Options, SourceFile};
use pullpass_core::policy::Namespace;
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;

fn answer_at(
    endpoint: Endpoint,
    review: &[u8],
    now: Timestamp,
) -> Result<(Value, Outcome), ReviewError> {
    let answer = admission::review(&context_of(&POLICY, now), endpoint, review)?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(body["kind"], "AdmissionReview");
    Ok((body["response"].clone(), answer.report.outcome()))
}

fn answer(endpoint: Endpoint, review: &Value) -> Value {
    let (response, _) = answer_at(endpoint, review.to_string().as_bytes(), now()).unwrap();
    assert_eq!(response["uid"], review["request"]["uid"]);
    response
}

fn with_secrets(mut pod: Value, names: &[&str]) -> Value {
    let list: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    pod["spec"]["imagePullSecrets"] = list.into();
    pod
}

/// The object after the answer's patch, or as it was.
fn patched(object: &Value, response: &Value) -> Value {
    let mut object = object.clone();
    if let Some(patch) = response["patch"].as_str() {
        assert_eq!(response["patchType"], "JSONPatch");
        let json = base64::engine::general_purpose::STANDARD
            .decode(patch)
            .unwrap();
        let patch: json_patch::Patch = serde_json::from_slice(&json).unwrap();
        json_patch::patch(&mut object, &patch).unwrap();
    } else {
        assert!(response.get("patchType").is_none());
    }
    object
}

fn secrets_after_mutate(namespace: &str, object: &Value) -> Vec<String> {
    let response = answer(Endpoint::Mutate, &review("CREATE", namespace, object));
    assert_eq!(response["allowed"], true);
    assert!(response.get("warnings").is_none() && response.get("auditAnnotations").is_none());
    patched(object, &response)["spec"]["imagePullSecrets"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|secret| secret["name"].as_str().unwrap_or("{}").to_owned())
        .collect()
}

fn warnings(response: &Value) -> Vec<String> {
    let list = response["warnings"].as_array().cloned().unwrap_or_default();
    list.iter()
        .map(|w| w.as_str().unwrap().to_owned())
        .collect()
}

mod mutate {
    use super::*;

    #[test]
    fn each_image_brings_its_secret_and_none_brings_two() {
        for (images, expected) in [
            (&["registry.corp.example/a"][..], &["corp-pull"][..]),
            (
                &["registry.corp.example/a", "registry.corp.example:5000/b"],
                &["corp-pull"],
            ),
            // The Aliyun story: two secrets for one host in one pod.
            (
                &[
                    "registry.cn-hangzhou.aliyuncs.com/xxxx/rbd-rest-api",
                    "registry.cn-hangzhou.aliyuncs.com/xxxx/test",
                ],
                &["aliyun-rest", "aliyun-test"],
            ),
            // The Raspberry Pi story.
            (&["localhost:5000/zyxist/moj-obraz"], &["local-pull"]),
            // The Harbor story, and an old public one.
            (
                &[
                    "kube-registry.cdn/kube-test/myweb:1.0",
                    "k8s.gcr.io/busybox",
                ],
                &["cdn-pull"],
            ),
            (&["team/app", "index.docker.io/team/b"], &["hub-pull"]),
            // Allowed with a warning is allowed.
            (&["frowned.example/x"], &["frowned-pull"]),
            // What is denied, public, unknown or no reference brings nothing.
            (
                &[
                    "evil/x",
                    "nginx",
                    "nowhere.example/x",
                    "HTTP://x",
                    "",
                    "a b",
                ],
                &[],
            ),
        ] {
            assert_eq!(
                secrets_after_mutate("shop", &pod(images)),
                expected,
                "{images:?}"
            );
        }
    }

    #[test]
    fn own_secrets_stay_first_and_are_not_repeated() {
        let images = ["registry.corp.example/a", "team/b"];
        let own = with_secrets(pod(&images), &["own", "hub-pull"]);
        assert_eq!(
            secrets_after_mutate("shop", &own),
            ["own", "hub-pull", "corp-pull"]
        );
    }

    #[test]
    fn a_second_call_on_the_result_changes_nothing() {
        let object = pod(&["registry.corp.example/a"]);
        let first = answer(Endpoint::Mutate, &review("CREATE", "shop", &object));
        let object = patched(&object, &first);
        assert_eq!(
            object["metadata"]["annotations"]["pullpass.dev/injected"],
            "corp-pull"
        );
        let second = answer(Endpoint::Mutate, &review("CREATE", "shop", &object));
        assert!(second.get("patch").is_none(), "{second}");
    }

    #[test]
    fn what_is_not_to_be_patched_is_let_through() {
        let object = pod(&["registry.corp.example/a"]);
        let mut mirror = object.clone();
        mirror["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "x".into();
        let mut ephemeral = review("UPDATE", "shop", &object);
        ephemeral["request"]["subResource"] = "ephemeralcontainers".into();
        let mut deployment = review("CREATE", "shop", &object);
        deployment["request"]["resource"] =
            json!({"group": "apps", "version": "v1", "resource": "deployments"});
        for (why, review) in [
            ("mirror pod", review("CREATE", "shop", &mirror)),
            ("exempt namespace", review("CREATE", "kube-system", &object)),
            ("own namespace", review("CREATE", "pullpass", &object)),
            ("update", review("UPDATE", "shop", &object)),
            ("sub-resource", ephemeral),
            ("delete", review("DELETE", "shop", &Value::Null)),
            ("connect", review("CONNECT", "shop", &Value::Null)),
            ("a later operation", review("FROB", "shop", &object)),
            ("another resource", deployment),
        ] {
            let response = answer(Endpoint::Mutate, &review);
            assert_eq!(
                response,
                json!({"uid": "5a1d6d0c", "allowed": true}),
                "{why}"
            );
        }
    }
}

mod validate {
    use super::*;

    fn judge(namespace: &str, object: &Value) -> Value {
        answer(Endpoint::Validate, &review("CREATE", namespace, object))
    }

    fn update(old: &Value, new: &Value) -> Value {
        let mut review = review("UPDATE", "shop", new);
        review["request"]["oldObject"] = old.clone();
        answer(Endpoint::Validate, &review)
    }

    #[test]
    fn a_denial_says_everything_in_its_first_line() {
        let response = judge("shop", &pod(&["nginx", "registry.corp.exampel/a:1"]));
        assert_eq!(response["allowed"], false);
        assert_eq!(response["status"]["code"], 403);
        assert_eq!(response["status"]["reason"], "Forbidden");
        assert_eq!(
            response["status"]["message"],
            "image \"registry.corp.exampel/a:1\" (spec.containers[1].image) is not allowed: \
             no entry for host registry.corp.exampel; did you mean registry.corp.example?; \
             ask for an entry; contact: #platform on chat"
        );
        assert_eq!(response["auditAnnotations"]["decision"], "deny");
        assert!(response.get("patch").is_none() && response.get("warnings").is_none());
    }

    #[test]
    fn each_action_has_its_answer() {
        let secret = |image| with_secrets(pod(&[image]), &["frowned-pull", "corp-pull"]);
        for (namespace, image, allowed, warned, recorded) in [
            ("shop", "registry.corp.example/a", true, false, None),
            ("shop", "nginx", true, false, None),
            ("shop", "nowhere.example/a", false, false, Some("deny")),
            ("dev-1", "nowhere.example/a", true, true, Some("warn")),
            ("lab", "nowhere.example/a", true, false, Some("audit")),
            ("free", "nowhere.example/a", true, false, None),
            ("kube-system", "nowhere.example/a", true, false, None),
            ("shop", "evil/a", false, false, Some("deny")),
            ("free", "evil/a", false, false, Some("deny")),
            ("shop", "DOCKER.IO:443/evil/a", false, false, Some("deny")),
            (
                "shop",
                "registry-1.docker.io/evil/a",
                false,
                false,
                Some("deny"),
            ),
            ("shop", "bitnami/redis", true, true, Some("warn")),
            ("shop", "watched.example/a", true, false, Some("audit")),
            ("shop", "frowned.example/a", true, true, Some("warn")),
            ("shop", "not a reference", false, false, Some("deny")),
            ("shop", "x.example:99999/a", false, false, Some("deny")),
        ] {
            let response = judge(namespace, &secret(image));
            let case = format!("{namespace} {image}: {response}");
            assert_eq!(response["allowed"], allowed, "{case}");
            assert_eq!(!warnings(&response).is_empty(), warned, "{case}");
            assert_eq!(
                response["auditAnnotations"]["decision"].as_str(),
                recorded,
                "{case}"
            );
        }
    }

    #[test]
    fn dates_count_to_the_second() {
        let verdict = |image: &str, at: &str| {
            let object = with_secrets(pod(&[image]), &["legacy-pull"]);
            let review = review("CREATE", "shop", &object).to_string();
            let (response, outcome) =
                answer_at(Endpoint::Validate, review.as_bytes(), at.parse().unwrap()).unwrap();
            (outcome, warnings(&response).join("\n"))
        };
        let (before, words) = verdict("bitnami/redis", "2027-02-28T23:59:59Z");
        assert_eq!(before, Outcome::Warned);
        assert!(
            words.contains("from 2027-03-01 on; use registry.corp.example/bitnami"),
            "{words}"
        );
        assert_eq!(
            verdict("bitnami/redis", "2027-03-01T00:00:00Z").0,
            Outcome::Denied
        );

        assert_eq!(
            verdict("quay.io/legacy/a", "2026-11-20T00:00:00Z").0,
            Outcome::Untouched
        );
        let (near, words) = verdict("quay.io/legacy/a", "2026-12-31T23:59:59Z");
        assert_eq!(near, Outcome::Warned);
        assert!(words.contains("expires after 2026-12-31"), "{words}");
        // As if absent: what is left of quay.io is public.
        assert_eq!(
            verdict("quay.io/legacy/a", "2027-01-01T00:00:00Z").0,
            Outcome::Untouched
        );
    }

    #[test]
    fn a_missing_secret_is_a_warning_that_names_it() {
        let object = pod(&["registry.corp.example/a"]);
        let words = warnings(&judge("shop", &object));
        assert_eq!(words.len(), 1);
        assert!(
            words[0].starts_with("pull secret \"corp-pull\" is not in"),
            "{words:?}"
        );
        assert!(warnings(&judge("shop", &with_secrets(object, &["corp-pull"]))).is_empty());
    }

    #[test]
    fn a_spelling_that_hides_the_credentials_is_a_warning() {
        for (image, warned) in [
            ("registry.corp.example/a", false),
            ("REGISTRY.corp.example/a", true),
            ("registry.corp.example:443/a", true),
            ("team/a", false),
            ("docker.io/team/a", false),
            ("registry-1.docker.io/team/a", true),
        ] {
            let object = with_secrets(pod(&[image]), &["corp-pull", "hub-pull"]);
            let words = warnings(&judge("shop", &object));
            assert_eq!(!words.is_empty(), warned, "{image}: {words:?}");
            assert!(
                words.iter().all(|w| w.contains("letter by letter")),
                "{words:?}"
            );
        }
    }

    #[test]
    fn only_new_images_of_an_update_are_judged() {
        let old = pod(&["nowhere.example/a", "nginx"]);
        let mut labelled = old.clone();
        labelled["metadata"]["labels"] = json!({"a": "b"});
        assert_eq!(update(&old, &labelled)["allowed"], true);
        // In any field: what runs in one container may run in another.
        let moved = pod(&["nginx", "nowhere.example/a"]);
        assert_eq!(update(&old, &moved)["allowed"], true);
        let changed = pod(&["nowhere.example/a:2", "nginx"]);
        assert_eq!(update(&old, &changed)["allowed"], false);
        let mut going = changed.clone();
        going["metadata"]["deletionTimestamp"] = "2026-11-20T11:00:00Z".into();
        // What counts is the pod as it is, not as it is sent.
        assert_eq!(update(&old, &going)["allowed"], false);
        let mut old_going = old.clone();
        old_going["metadata"]["deletionTimestamp"] = "2026-11-20T11:00:00Z".into();
        assert_eq!(update(&old_going, &going)["allowed"], true);
    }

    #[test]
    fn a_deletion_time_on_a_new_pod_exempts_nobody() {
        let mut object = pod(&["nowhere.example/a"]);
        object["metadata"]["deletionTimestamp"] = "2026-11-20T11:00:00Z".into();
        assert_eq!(judge("shop", &object)["allowed"], false);
    }

    #[test]
    fn an_update_that_needs_a_secret_is_warned_about_and_never_denied() {
        let response = update(&pod(&["nginx"]), &pod(&["registry.corp.example/a"]));
        assert_eq!(response["allowed"], true);
        let words = warnings(&response);
        assert!(words[0].contains("delete the pod"), "{words:?}");
    }

    #[test]
    fn an_ephemeral_container_is_judged_like_any_other() {
        let old = pod(&["nginx"]);
        for (image, allowed, words) in [
            ("nowhere.example/debug", false, ""),
            (
                "registry.corp.example/debug",
                true,
                "a running pod cannot get it",
            ),
            ("busybox", true, ""),
        ] {
            let mut new = old.clone();
            new["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": image}]);
            let mut review = review("UPDATE", "shop", &new);
            review["request"]["subResource"] = "ephemeralcontainers".into();
            review["request"]["oldObject"] = old.clone();
            let response = answer(Endpoint::Validate, &review);
            assert_eq!(response["allowed"], allowed, "{image}");
            assert!(
                warnings(&response).join("").contains(words),
                "{image}: {response}"
            );
        }
    }

    #[test]
    fn a_mirror_pod_is_let_through_only_for_a_node() {
        let mut object = pod(&["nowhere.example/a"]);
        object["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "x".into();
        let mut review = review("CREATE", "shop", &object);
        assert_eq!(answer(Endpoint::Validate, &review)["allowed"], false);
        review["request"]["userInfo"]["groups"] = json!(["system:nodes"]);
        assert_eq!(
            answer(Endpoint::Validate, &review),
            json!({"uid": "5a1d6d0c", "allowed": true})
        );
    }

    #[test]
    fn every_image_bearing_field_is_judged() {
        for (path, field) in [
            (
                json!({"containers": [{"image": "n.example/x"}]}),
                "spec.containers[0].image",
            ),
            (
                json!({"initContainers": [{"image": "n.example/x"}]}),
                "spec.initContainers[0].image",
            ),
            (
                json!({"ephemeralContainers": [{"image": "n.example/x"}]}),
                "spec.ephemeralContainers[0].image",
            ),
            (
                json!({"volumes": [{"name": "v"}, {"image": {"reference": "n.example/x"}}]}),
                "spec.volumes[1].image.reference",
            ),
        ] {
            let response = judge("shop", &json!({"metadata": {}, "spec": path}));
            let message = response["status"]["message"].as_str().unwrap();
            assert!(message.contains(field), "{message}");
        }
    }

    #[test]
    fn a_long_list_is_cut_with_a_count() {
        let images: Vec<_> = (0..40).map(|i| format!("n{i}.example/x")).collect();
        let images: Vec<_> = images.iter().map(String::as_str).collect();
        let response = judge("shop", &pod(&images));
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.contains("and 30 more images"), "{message}");
        assert!(message.ends_with("contact: #platform on chat"), "{message}");
        let words = warnings(&judge("dev-1", &pod(&images)));
        assert_eq!(words.len(), 13);
        assert_eq!(words[12], "and 28 more warnings from pullpass");
        assert!(words.iter().map(|w| w.chars().count()).sum::<usize>() < 4096);
    }

    #[test]
    fn lesser_cases_in_front_do_not_hide_the_worst() {
        let decoys = (0..40).map(|i| format!("watched.example/decoy-{i}"));
        let images: Vec<_> = decoys.chain(["n.example/x".to_owned()]).collect();
        let images: Vec<_> = images.iter().map(String::as_str).collect();
        let record = judge("shop", &pod(&images))["auditAnnotations"]["images"].take();
        let record = record.as_str().unwrap();
        assert!(record.starts_with("image \"n.example/x\""), "{record}");
    }

    #[test]
    fn hostile_texts_are_shown_without_their_tricks() {
        let hostile = "n.example/\u{202e}x\n\u{1b}[31mWarning: all is well\u{0}";
        for namespace in ["shop", "dev-1"] {
            let response = judge(namespace, &pod(&[hostile, &"a".repeat(100_000)]));
            let mut texts = warnings(&response);
            texts.extend(
                response["status"]["message"]
                    .as_str()
                    .map(|m| m.replace('\n', "")),
            );
            texts.push(
                response["auditAnnotations"]["images"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            );
            for text in texts {
                assert!(
                    !text.contains(|c: char| c.is_control() || c == '\u{202e}'),
                    "{text:?}"
                );
                assert!(text.len() < 2_000, "{} bytes", text.len());
            }
        }
    }
}

#[test]
fn a_dry_run_gets_the_same_answer() {
    for endpoint in [Endpoint::Mutate, Endpoint::Validate] {
        for image in [
            "registry.corp.example/a",
            "nowhere.example/a",
            "frowned.example/a",
        ] {
            let mut review = review("CREATE", "shop", &pod(&[image]));
            let wet = answer(endpoint, &review);
            review["request"]["dryRun"] = true.into();
            assert_eq!(answer(endpoint, &review), wet);
        }
    }
}

#[test]
fn what_is_not_shaped_like_a_review_is_a_fault_and_no_approval() {
    let object = pod(&["nowhere.example/a"]);
    let good = review("CREATE", "shop", &object);
    let with = |path: &str, value: Value| {
        let mut review = good.clone();
        *review.pointer_mut(path).unwrap() = value;
        review.to_string().into_bytes()
    };
    let mut bodies = vec![
        b"[]".to_vec(),
        format!(
            r#"["admission.k8s.io/v1","AdmissionReview",{}]"#,
            good["request"]
        )
        .into_bytes(),
        with("/request", json!([])),
        with("/request/resource", json!(null)),
        with("/request/resource", json!({})),
        with("/request/resource", json!(["", "v1", "pods"])),
        with("/request/operation", json!(null)),
        with("/request/operation", json!("")),
        with("/request/userInfo", json!([["system:nodes"]])),
        with("/request/object", json!([])),
        with("/request/object", json!("pod")),
        with("/request/object/metadata", json!([])),
        with("/request/object/spec", json!([])),
        with("/request/object/spec/containers", json!({})),
        with(
            "/request/object/spec/containers/0",
            json!(["c0", "nowhere.example/a"]),
        ),
        with(
            "/request/object/spec/containers/0/image",
            json!(["nowhere.example/a"]),
        ),
        with("/request/uid", json!(7)),
    ];
    let mut not_utf8 = good.to_string().into_bytes();
    // In a name that nobody reads.
    let at = not_utf8.windows(2).position(|two| two == b"c0").unwrap();
    not_utf8[at] = 0xff;
    bodies.push(not_utf8);
    for body in bodies {
        for endpoint in [Endpoint::Mutate, Endpoint::Validate] {
            let shown = String::from_utf8_lossy(&body);
            let fault = answer_at(endpoint, &body, now());
            assert!(
                matches!(fault, Err(ReviewError::BadReview(_))),
                "{shown}: {fault:?}"
            );
        }
    }
}

#[test]
fn many_secrets_of_many_images_are_each_injected_and_missed_once() {
    let mut text = String::from("apiVersion: pullpass.dev/v1\nkind: RegistryMap\nregistries:\n");
    let mut images = Vec::new();
    for i in 0..2_000 {
        writeln!(text, "- {{match: r{i}.example, pullSecrets: [s{i}]}}").unwrap();
        images.push(format!("r{i}.example/a"));
    }
    let files = [SourceFile {
        name: "map".to_owned(),
        text,
    }];
    let policy = map::load(&files, &Options::default()).unwrap().policy;
    let images: Vec<_> = images.iter().map(String::as_str).collect();
    let body = review("CREATE", "shop", &pod(&images)).to_string();
    let context = context_of(&policy, now());
    let answer = admission::review(&context, Endpoint::Validate, body.as_bytes()).unwrap();
    assert_eq!(
        answer.report.statement().unwrap().ruling.messages().len(),
        13
    );
    let answer = admission::review(&context, Endpoint::Mutate, body.as_bytes()).unwrap();
    assert_eq!(answer.report.secrets().len(), 2_000);
}

#[test]
fn an_exempt_namespace_is_exempt_for_every_caller() {
    for namespace in ["kube-system", "pullpass"] {
        for image in [
            "nowhere.example/a",
            "evil/a",
            "registry.corp.example/a",
            "not valid",
        ] {
            let judgement = POLICY
                .context(Some(Namespace::named(namespace)), now())
                .judge(image)
                .unwrap();
            assert_eq!(judgement.action, pullpass_core::policy::Action::Allow);
            assert!(judgement.pull_secrets.is_empty());
        }
    }
}

#[test]
fn the_largest_pods_are_answered() {
    let images: Vec<_> = (0..100_000).map(|i| format!("n{i}.example/x")).collect();
    let images: Vec<_> = images.iter().map(String::as_str).collect();
    let object = pod(&images);
    let response = answer(Endpoint::Validate, &review("CREATE", "shop", &object));
    assert_eq!(response["allowed"], false);
    assert!(response.to_string().len() < 10_000);
    let response = answer(Endpoint::Mutate, &review("CREATE", "shop", &object));
    assert_eq!(response["allowed"], true);
}

#[test]
fn recorded_reviews_are_answered_as_written_down() {
    let mut files: Vec<_> = fs::read_dir("tests/fixtures/reviews")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    assert!(files.len() >= 25, "the recorded reviews are missing");
    let mut text = String::new();
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let endpoint = if name.starts_with("mutate-") {
            Endpoint::Mutate
        } else {
            Endpoint::Validate
        };
        let body = fs::read(&path).unwrap();
        let (mut response, outcome) = answer_at(endpoint, &body, now()).unwrap();
        response.as_object_mut().unwrap().remove("uid");
        if let Some(patch) = response["patch"].as_str() {
            let json = base64::engine::general_purpose::STANDARD
                .decode(patch)
                .unwrap();
            response["patch"] = serde_json::from_slice(&json).unwrap();
        }
        let shown = serde_json::to_string_pretty(&response).unwrap();
        writeln!(text, "{name}: {}\n{shown}\n", outcome.as_str()).unwrap();
    }
    golden::same("tests/fixtures/admission/answers.txt", &text);
}

prop_compose! {
    fn any_image()(image in prop_oneof![
        "[a-z]{1,8}(\\.example)?(:[0-9]{1,5})?/[a-z]{1,8}(:[a-z0-9.]{1,5})?",
        "registry\\.corp\\.example/[a-z]{1,4}",
        "\\PC{0,20}",
        any::<String>(),
    ]) -> Option<String> { Some(image) }
}

fn any_pod() -> impl Strategy<Value = Pod> {
    let images = || proptest::collection::vec(any_image(), 0..4);
    let secrets = proptest::option::of(proptest::collection::vec("[a-z]{0,6}", 0..3));
    (images(), images(), images(), secrets).prop_map(|(main, init, ephemeral, secrets)| {
        let container = |image| Container {
            image,
            ..Container::default()
        };
        Pod {
            spec: Some(PodSpec {
                containers: main.into_iter().map(container).collect(),
                init_containers: Some(init.iter().cloned().map(container).collect()),
                ephemeral_containers: Some(
                    ephemeral
                        .into_iter()
                        .map(|image| EphemeralContainer {
                            image,
                            ..EphemeralContainer::default()
                        })
                        .collect(),
                ),
                volumes: Some(
                    init.into_iter()
                        .map(|reference| Volume {
                            image: Some(k8s_openapi::api::core::v1::ImageVolumeSource {
                                reference,
                                ..Default::default()
                            }),
                            ..Volume::default()
                        })
                        .collect(),
                ),
                image_pull_secrets: secrets.map(|names| {
                    names
                        .into_iter()
                        .map(|name| LocalObjectReference { name })
                        .collect()
                }),
                ..PodSpec::default()
            }),
            ..Pod::default()
        }
    })
}

/// The images and secrets of a pod as the typed client reads them.
fn typed(pod: &Pod) -> (Vec<String>, Vec<String>) {
    let spec = pod.spec.clone().unwrap_or_default();
    let images = spec
        .containers
        .into_iter()
        .chain(spec.init_containers.into_iter().flatten())
        .map(|c| c.image)
        .chain(
            spec.ephemeral_containers
                .into_iter()
                .flatten()
                .map(|c| c.image),
        )
        .chain(
            spec.volumes
                .into_iter()
                .flatten()
                .map(|v| v.image?.reference),
        )
        .flatten()
        .filter(|image| !image.is_empty())
        .collect();
    let secrets = spec.image_pull_secrets.into_iter().flatten();
    (
        images,
        secrets.map(|s| s.name).filter(|n| !n.is_empty()).collect(),
    )
}

proptest! {
    #[test]
    fn prop_we_read_a_pod_as_the_typed_client_does(pod in any_pod()) {
        let object = serde_json::to_value(&pod).unwrap();
        let text = review("CREATE", "shop", &object).to_string();
        let theirs: AdmissionReview<Pod> = serde_json::from_str(&text).unwrap();
        let theirs = theirs.request.unwrap();
        let ours = admission::request::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&*ours.uid, &theirs.uid);
        prop_assert_eq!(Some(&*ours.namespace), theirs.namespace.as_deref());
        let (images, secrets) = typed(&theirs.object.unwrap());
        let pod = ours.object.unwrap();
        prop_assert_eq!(pod.images().map(|(_, i)| i.to_owned()).collect::<Vec<_>>(), images);
        prop_assert_eq!(pod.pull_secrets().map(str::to_owned).collect::<Vec<_>>(), secrets);
    }

    #[test]
    fn prop_every_pod_is_answered_the_same_twice_and_the_patch_applies(pod in any_pod()) {
        let object = serde_json::to_value(&pod).unwrap();
        let review = review("CREATE", "shop", &object);
        for endpoint in [Endpoint::Mutate, Endpoint::Validate] {
            prop_assert_eq!(answer(endpoint, &review), answer(endpoint, &review));
        }
        let after = patched(&object, &answer(Endpoint::Mutate, &review));
        // A second round finds nothing to do, and validate misses no secret.
        let again = crate::reviews::review("CREATE", "shop", &after);
        prop_assert!(answer(Endpoint::Mutate, &again).get("patch").is_none());
        let words = warnings(&answer(Endpoint::Validate, &again)).join("");
        prop_assert!(!words.contains("is not in spec.imagePullSecrets"), "{}", words);
    }

    #[test]
    fn prop_no_bytes_make_a_review_panic(
        cut in 0_usize..2000,
        flips in proptest::collection::vec((0_usize..2000, any::<u8>()), 0..20),
    ) {
        let mut body = fs::read("tests/fixtures/reviews/mutate-pod-every-field.json").unwrap();
        for (at, byte) in flips {
            let at = at % body.len();
            body[at] = byte;
        }
        body.truncate(body.len().saturating_sub(cut % 3 * cut));
        for endpoint in [Endpoint::Mutate, Endpoint::Validate] {
            let _ = admission::review(&context(), endpoint, &body);
        }
    }
}
