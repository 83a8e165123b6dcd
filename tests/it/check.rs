//! `check`: manifests of every shape, their places, what is skipped, what is an error.
//! The forms of its output are in `check/forms.rs`.

use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

mod forms;

const MAP: &str = "examples/registry-map.yaml";
const AT: &str = "2026-11-20";

/// Runs `check` on what is given to its standard input.
fn check(more: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pullpass"))
        .args(["check", "--at", AT])
        .args(if more.contains(&"--config") {
            &[][..]
        } else {
            &["--config", MAP]
        })
        .args(more)
        .env_remove("PULLPASS_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // From another thread: a program that reads no input must not block the test.
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// The JSON lines about a manifest, without the sum, and the exit code.
fn lines(more: &[&str], manifest: &str) -> (Vec<Value>, i32) {
    let output = check(
        &[&["-f", "-", "-o", "json"], more].concat(),
        manifest.as_bytes(),
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.pop().unwrap()["type"], "summary", "{text}");
    (lines, output.status.code().unwrap())
}

/// `type line:column field or reason`, a line for a line.
fn told(more: &[&str], manifest: &str) -> String {
    let (lines, _) = lines(more, manifest);
    let mut told = String::new();
    for line in lines {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let what = match &*text("type") {
            "image" => format!("{} {} {}", text("field"), text("image"), text("action")),
            "skipped" => format!("{} {}", text("kind"), text("skipped")),
            _ => text("message"),
        };
        let (kind, at, column) = (text("type"), &line["line"], &line["column"]);
        writeln!(told, "{kind} {at}:{column} {what}").unwrap();
    }
    told
}

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      initContainers:
      - name: init
        image: 'unknown.example/init:1'
      containers:
      - {name: web, image: registry.corp.example/shop/web:1}
      - image: nginx
      volumes:
      - image: {reference: evil/data}
";

#[test]
fn every_image_is_told_with_its_field_and_its_place() {
    assert_eq!(
        told(&[], DEPLOYMENT),
        "\
image 11:28 spec.template.spec.containers[0].image registry.corp.example/shop/web:1 allow
image 12:16 spec.template.spec.containers[1].image nginx allow
image 9:16 spec.template.spec.initContainers[0].image unknown.example/init:1 deny
image 14:28 spec.template.spec.volumes[0].image.reference evil/data deny
"
    );
    let (lines, code) = lines(&[], DEPLOYMENT);
    assert_eq!(code, 1);
    assert_eq!(lines[0]["secrets"], serde_json::json!(["corp-pull"]));
    assert_eq!(lines[0]["entry"], "corp");
    assert_eq!(lines[2]["rule"], "unknown");
    assert_eq!(
        (&lines[0]["kind"], &lines[0]["namespace"], &lines[0]["name"]),
        (&"Deployment".into(), &"shop".into(), &"web".into())
    );
}

#[test]
fn every_kind_is_looked_into() {
    let templated = "spec: {template: {spec: {containers: [{image: evil/x}]}}}";
    let cron = format!("spec: {{jobTemplate: {{{templated}}}}}");
    let kinds = [
        ("v1", "Pod", "spec: {containers: [{image: evil/x}]}", ""),
        (
            "v1",
            "PodTemplate",
            &templated[7..templated.len() - 1],
            "template.",
        ),
        ("v1", "ReplicationController", templated, "spec.template."),
        ("apps/v1", "Deployment", templated, "spec.template."),
        ("apps/v1", "StatefulSet", templated, "spec.template."),
        ("apps/v1", "DaemonSet", templated, "spec.template."),
        ("apps/v1", "ReplicaSet", templated, "spec.template."),
        ("batch/v1", "Job", templated, "spec.template."),
        (
            "extensions/v1beta1",
            "Deployment",
            templated,
            "spec.template.",
        ),
        ("apps/v1beta1", "StatefulSet", templated, "spec.template."),
        (
            "batch/v1",
            "CronJob",
            &cron,
            "spec.jobTemplate.spec.template.",
        ),
    ];
    let mut list = String::from("apiVersion: v1\nkind: List\nitems:\n");
    for (api_version, kind, body, path) in kinds {
        let document = format!("apiVersion: {api_version}\nkind: {kind}\n{body}\n");
        let (lines, _) = lines(&[], &document);
        assert_eq!(lines.len(), 1, "{kind}");
        assert_eq!(lines[0]["field"], format!("{path}spec.containers[0].image"));
        assert_eq!(lines[0]["line"], 3);
        writeln!(
            list,
            "- {{apiVersion: {api_version}, kind: {kind}, {body}}}"
        )
        .unwrap();
    }
    let (lines, _) = lines(&[], &list);
    let places: Vec<_> = lines
        .iter()
        .map(|line| line["line"].as_u64().unwrap())
        .collect();
    assert_eq!(places, (4..15).collect::<Vec<_>>());
}

#[test]
fn what_is_not_looked_at_says_why() {
    let manifest = "\
# only a comment, before the first
---
apiVersion: v1
kind: Service
metadata: {name: web}
---
# nothing
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
spec: {template: {spec: {containers: [{image: evil/x}]}}}
---
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
---
replicas: 3
---
- a list
---
{{- if .Values.web }}
apiVersion: v1
kind: Pod
{{- end }}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{image: {{ .Values.image }}}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
";
    assert_eq!(
        told(&[], manifest),
        "\
skipped 3:1 Service no-pods
skipped 6:1  empty
skipped 9:1 Rollout custom-resource
skipped 13:1 Kustomization kustomization
skipped 16:1  no-object
skipped 18:1  no-object
skipped 19:1  template
skipped 25:1 Pod template
skipped 30:1 Ingress no-pods
"
    );
    assert_eq!(lines(&[], manifest).1, 0);
    assert_eq!(told(&[], ""), "skipped 1:1  empty\n");
}

#[test]
fn what_cannot_be_read_is_an_error_and_takes_nothing_with_it() {
    let manifest = "\
apiVersion: v1
kind: Pod
spec: {containers: [{image: evil/a}]}
---
apiVersion: v1
kind: Pod
spec: [
---
apiVersion: v1
kind: Pod
spec:
  containers:
  - image: 7
---
apiVersion: v1
kind: Pod
spec:
  containers:
  - {image: a, image: b}
---
apiVersion: v1
kind: Pod
spec: {containers: [{image: evil/b}]}
";
    let (lines, code) = lines(&[], manifest);
    assert_eq!(code, 2);
    let shown: Vec<_> = lines
        .iter()
        .map(|line| format!("{} {}:{}", line["type"], line["line"], line["column"]))
        .collect();
    assert_eq!(
        shown,
        [
            "\"image\" 3:29",
            "\"error\" 7:7",
            "\"error\" 13:12",
            "\"error\" 19:5",
            "\"image\" 23:29"
        ]
    );
    assert_eq!(
        lines[2]["message"],
        "invalid type: a number, expected a string"
    );
    assert_eq!(lines[3]["message"], "duplicate field `image`");
}

#[test]
fn a_placeholder_elsewhere_excuses_nothing() {
    let document = |image: &str| {
        format!(
            "# {{{{ a comment }}}}\napiVersion: v1\nkind: Pod\nmetadata: {{name: '{{{{x}}}}'}}\nspec: {{containers: [{{{image}}}]}}\n"
        )
    };
    for (image, code) in [
        ("image: {{ .Values.image }}", 0),
        ("image: a, image: b", 2),
        ("image: 7", 2),
    ] {
        assert_eq!(lines(&[], &document(image)).1, code, "{image}");
    }
    assert_eq!(lines(&[], "# {{ a comment }}\na: [\n").1, 2);
}

#[test]
fn json_is_read_one_value_after_the_other() {
    let pod = |image: &str| {
        format!(
            r#"{{"apiVersion":"v1","kind":"Pod","spec":{{"containers":[{{"image":"{image}"}}]}}}}"#
        )
    };
    let text = format!("{}{}\n  {}\n", pod("evil/a"), pod("evil/b"), pod("evil/c"));
    let column = pod("").find(r#""""#).unwrap() + 1;
    let second = column + pod("evil/a").len();
    let third = column + 2;
    assert_eq!(
        told(&[], &text),
        format!(
            "\
image 1:{column} spec.containers[0].image evil/a deny
image 1:{second} spec.containers[0].image evil/b deny
image 2:{third} spec.containers[0].image evil/c deny
"
        )
    );
    let list = format!(
        r#"{{"kind":"PodList","apiVersion":"v1","items":[{{"spec":{{"containers":[{{"image":"evil/d"}}]}}}},{}]}}"#,
        pod("nginx")
    );
    let (lines, _) = lines(&[], &list);
    assert_eq!(lines[0]["image"], "evil/d");
    assert_eq!(lines[1]["image"], "nginx");
}

#[test]
fn anchors_and_merges_are_resolved_and_bombs_are_not() {
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {annotations: {x: &image evil/x}}
spec:
  containers:
  - &first
    name: a
    image: *image
  - <<: *first
    name: b
  - {<<: *first, image: nginx}
";
    assert_eq!(
        told(&[], manifest),
        "\
image 8:12 spec.containers[0].image evil/x deny
image 9:9 spec.containers[1].image evil/x deny
image 11:25 spec.containers[2].image nginx allow
"
    );
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (name, of) in ["b", "c", "d", "e", "f", "g"]
        .iter()
        .zip(["a", "b", "c", "d", "e", "f"])
    {
        let ten = vec![format!("*{of}"); 10].join(", ");
        writeln!(bomb, "{name}: &{name} [{ten}]").unwrap();
    }
    for hostile in [
        bomb,
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
    ] {
        let (lines, code) = lines(&[], &hostile);
        assert_eq!((lines[0]["type"].as_str(), code), (Some("error"), 2));
    }
}

#[test]
fn a_quoted_text_may_continue_where_its_key_stands() {
    let manifest = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: multus}
data:
  config: '{
\"name\": \"cni\",
\t\"plugins\": []
}'
  other: \"a
  b\"
---
apiVersion: v1
kind: Pod
metadata: {name: p, annotations: {8080: x, yes: 'a
b'}}
spec: {containers: [{name: 'c
d', image: evil/x}]}
";
    assert_eq!(
        told(&[], manifest),
        "\
skipped 1:1 ConfigMap no-pods
image 17:12 spec.containers[0].image evil/x deny
"
    );
}

#[test]
fn a_document_that_cannot_be_read_takes_no_other_with_it() {
    let pod = |image: &str| {
        format!("apiVersion: v1\nkind: Pod\nspec: {{containers: [{{image: {image}}}]}}\n")
    };
    let manifest = format!(
        "{}---\na: 'b\n---\n{}---{{a: b}}\n{}",
        pod("evil/a"),
        pod("evil/b"),
        pod("evil/c")
    );
    assert_eq!(
        told(&[], &manifest),
        "\
image 3:29 spec.containers[0].image evil/a deny
error 6:1 this cannot be read: a text in quotes goes on to here and does not end
image 9:29 spec.containers[0].image evil/b deny
error 10:1 kubectl takes nothing but a comment behind `---`; write it on the next line
image 13:29 spec.containers[0].image evil/c deny
"
    );
    assert_eq!(lines(&[], &manifest).1, 2);
}

#[test]
fn a_merge_goes_over_what_stands_before_it() {
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {annotations: {}}
spec:
  initContainers:
  - &evil {image: evil/x}
  containers:
  - image: nginx
    <<: *evil
  - <<: *evil
    image: nginx
";
    assert_eq!(
        told(&[], manifest),
        "\
image 9:9 spec.containers[0].image evil/x deny
image 11:12 spec.containers[1].image nginx allow
image 6:19 spec.initContainers[0].image evil/x deny
"
    );
}

/// A map of which an entry and an override depend on labels.
const LABELLED: &str = "\
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
- match: registry.corp.example/payments
  namespaceSelector: {matchLabels: {team: payments}}
- match: docker.io/evil
  action: deny
- match: docker.io/evil/app
  namespaceSelector: {matchLabels: {team: payments}}
publicRegistries: [docker.io]
unknownRegistries:
  default: deny
  overrides:
  - namespaceSelector: {matchLabels: {tier: sandbox}}
    action: allow
";

fn labelled(more: &[&str], manifest: &str) -> (String, i32) {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map.yaml");
    std::fs::write(&map, LABELLED).unwrap();
    std::fs::write(folder.path().join("pods.yaml"), manifest).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pullpass"))
        .args(["check", "-o", "json", "-f"])
        .arg(folder.path().join("pods.yaml"))
        .args(more)
        .env("PULLPASS_CONFIG", &map)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut told = String::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        match line["type"].as_str().unwrap() {
            "image" => writeln!(told, "{} {}", line["image"], line["action"]).unwrap(),
            "undecided" => writeln!(told, "{} undecided", line["image"]).unwrap(),
            "summary" => writeln!(told, "{} undecided", line["undecided"]).unwrap(),
            _ => {}
        }
    }
    (told.replace('"', ""), output.status.code().unwrap())
}

/// Pods that depend on labels and pods that do not.
fn pods(namespace: &str) -> String {
    let mut pods = String::new();
    for image in [
        "registry.corp.example/payments/x",
        "evil/app",
        "evil/other",
        "nginx",
    ] {
        writeln!(
            pods,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{namespace}}}\nspec: {{containers: [{{image: {image}}}]}}"
        )
        .unwrap();
    }
    pods
}

const UNDECIDED: &str = "\
registry.corp.example/payments/x undecided
evil/app undecided
evil/other deny
nginx allow
2 undecided
";

/// What is told where the labels are known, by what the first two images meet.
fn decided(corp: &str, app: &str) -> (String, i32) {
    let told = format!(
        "registry.corp.example/payments/x {corp}\nevil/app {app}\nevil/other deny\nnginx allow\n0 \
         undecided\n"
    );
    (told, 1)
}

const SANDBOX: [&str; 4] = ["-n", "shop", "--namespace-labels", "tier=sandbox"];

#[test]
fn what_depends_on_labels_is_decided_by_those_of_the_flag() {
    assert_eq!(labelled(&[], &pods("")), (UNDECIDED.to_owned(), 2));
    let labels = ["--namespace-labels", "team=payments"];
    assert_eq!(labelled(&labels, &pods("")), decided("allow", "allow"));
    let none = ["--namespace-labels", ""];
    assert_eq!(labelled(&none, &pods("")), decided("deny", "deny"));
    let own = pods(", namespace: shop");
    for pods in [&pods(""), &own] {
        assert_eq!(labelled(&SANDBOX, pods), decided("allow", "deny"));
    }
    // They are those of one namespace only.
    assert_eq!(
        labelled(&SANDBOX, &pods(", namespace: other")),
        (UNDECIDED.to_owned(), 2)
    );
}

#[test]
fn what_depends_on_labels_is_decided_by_namespaces_among_the_manifests() {
    let namespace = |name: &str, labels: &str| {
        format!(
            "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {labels}}}\n"
        )
    };
    // Behind the pods, before them, in a List.
    let own = pods(", namespace: shop");
    let payments = namespace("shop", "{team: payments}");
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: payments}}}\n";
    for manifest in [
        own.clone() + &payments,
        payments.clone() + &own,
        list.to_owned() + &own,
    ] {
        assert_eq!(labelled(&[], &manifest), decided("allow", "allow"));
        // The flag goes over them.
        assert_eq!(labelled(&SANDBOX, &manifest), decided("allow", "deny"));
    }
    let unlabelled = namespace("shop", "null") + &own;
    assert_eq!(labelled(&[], &unlabelled), decided("deny", "deny"));
    // Not the labels that the API server would refuse, nor those of another namespace.
    for namespace in [
        namespace("shop", "{team: 7}"),
        namespace("shop", "[team]"),
        namespace("other", "{team: payments}"),
    ] {
        let told = labelled(&[], &(namespace + &own));
        assert_eq!(told, (UNDECIDED.to_owned(), 2));
    }
}

#[test]
fn what_is_undecided_is_told_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map.yaml");
    std::fs::write(&map, LABELLED).unwrap();
    let pod =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{image: evil/app}]}\n";
    let print = |form: &str| {
        let output = check(
            &["--config", map.to_str().unwrap(), "-o", form, "-f", "-"],
            pod.as_bytes(),
        );
        assert_eq!(output.status.code(), Some(2), "{form}");
        String::from_utf8(output.stdout).unwrap()
    };
    let words = "image \"evil/app\" (spec.containers[0].image) depends on labels of namespace \
                 \"default\", which are not known; check its Namespace too, or give them with \
                 --namespace-labels";
    assert_eq!(
        print("text"),
        format!(
            "-:4:29: undecided: Pod default/p: {words}\n0 images checked: 0 denied, 0 warned \
             about, 0 recorded; 0 documents skipped; 1 image undecided\n"
        )
    );
    let json = print("json");
    let line: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&line["type"], &line["message"]),
        (&"undecided".into(), &words.into())
    );
    assert_eq!(line["field"], "spec.containers[0].image");
    let sarif: Value = serde_json::from_str(&print("sarif")).unwrap();
    let run = &sarif["runs"][0];
    let result = &run["results"][0];
    assert_eq!(
        (&result["ruleId"], &result["kind"], &result["level"]),
        (&"undecided".into(), &"open".into(), &"none".into())
    );
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    forms::is_sarif(&sarif);
    let junit = print("junit");
    assert!(
        junit.contains(r#"tests="1" failures="0" errors="1" skipped="0""#)
            && junit.contains(r#"<error type="undecided""#),
        "{junit}"
    );
}

#[test]
fn the_deepest_that_is_read_needs_no_more_stack_than_there_is() {
    let deep = format!("a: {}{}", "[".repeat(120), "]".repeat(120));
    assert_eq!(told(&[], &deep), "skipped 1:1  no-object\n");
}

#[test]
fn the_namespace_is_the_documents_own_or_the_one_named() {
    let sandboxed = |namespace: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p{namespace}}}\nspec: {{containers: [{{image: unknown.example/x}}]}}\n"
        )
    };
    let action = |more: &[&str], manifest: &str| {
        let (lines, code) = lines(more, manifest);
        (lines[0]["action"].as_str().unwrap().to_owned(), code)
    };
    let own = sandboxed(", namespace: sandbox-1");
    assert_eq!(action(&[], &sandboxed("")), ("deny".into(), 1));
    assert_eq!(
        action(&["-n", "sandbox-1"], &sandboxed("")),
        ("warn".into(), 0)
    );
    assert_eq!(action(&["-n", "shop"], &own), ("warn".into(), 0));
    assert_eq!(action(&["--fail-on", "warn"], &own), ("warn".into(), 1));
    let exempt = sandboxed(", namespace: kube-system");
    assert_eq!(action(&["--fail-on", "warn"], &exempt), ("allow".into(), 0));
}

#[test]
fn directories_are_read_in_order_and_only_as_deep_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, image: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let pod =
            format!("apiVersion: v1\nkind: Pod\nspec: {{containers: [{{image: {image}}}]}}\n");
        std::fs::write(path, pod).unwrap();
    };
    write("b.yml", "b");
    write("a.yaml", "a");
    write("c.json", "c");
    write("README.md", "no");
    write("more/deep/d.yaml", "d");
    std::os::unix::fs::symlink(folder.path(), folder.path().join("circle")).unwrap();
    let images = |more: &[&str], path: &Path| {
        let path = path.to_str().unwrap();
        let output = check(&[&["-o", "json", "-f", path], more].concat(), b"");
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let images = lines.filter_map(|line| Some(line["image"].as_str()?.to_owned()));
        (
            images.collect::<Vec<_>>().join(" "),
            output.status.code().unwrap(),
        )
    };
    assert_eq!(images(&[], folder.path()), ("a b c".into(), 0));
    assert_eq!(images(&["-R"], folder.path()), ("a b c d".into(), 0));
    assert_eq!(images(&[], &folder.path().join("more")), (String::new(), 2));
    assert_eq!(
        images(&["-R"], &folder.path().join("more")),
        ("d".into(), 0)
    );
    assert_eq!(
        images(&[], &folder.path().join("missing")),
        (String::new(), 2)
    );
    std::fs::write(folder.path().join("a.yaml"), b"\xff").unwrap();
    assert_eq!(images(&[], folder.path()), ("b c".into(), 2));
}

#[test]
fn without_a_map_there_is_no_verdict() {
    let output = Command::new(env!("CARGO_BIN_EXE_pullpass"))
        .args(["check", "-f", "-"])
        .env_remove("PULLPASS_CONFIG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no registry map is named"));
}

/// Opening a pipe that nobody writes to would wait for ever.
#[test]
fn a_pipe_in_a_directory_is_named_and_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.yaml");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let output = Command::new(env!("CARGO_BIN_EXE_pullpass"))
        .args(["check", "--config", "examples/registry-map.yaml", "-f"])
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("pipe.yaml") && said.contains("not a regular file"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(2));
}

/// Exit code and stderr of a check of files, which are written into a directory first.
fn check_files(map: &str, files: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), map).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pullpass"))
        .args(["check", "--config"])
        .arg(config.path())
        .args(arguments)
        .arg("-f")
        .arg(folder.path())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

const DENY_EVIL: &str = "apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: evil, match: docker.io/evil, action: deny}
  - {name: prod, match: r.example/beta, action: deny, namespaceSelector: {matchLabels: {env: prod}}}
";

const POD: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{image: evil/x}]}\n";

/// A placeholder in a text must not make a document a template that is skipped.
#[test]
fn a_placeholder_in_a_text_excuses_no_error() {
    for text in [
        "summary: \"value is {{ $value }}\"",
        "summary: value is {{ $value }}",
        "summary: |\n      {{ $value }}",
        "summary: \"value\n      {{ $value }}\"",
    ] {
        let broken = format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n  annotations:\n    {text}\nspec:\n  nodeSelector: {{a: b:}}\n  containers: [{{image: evil/x}}]\n"
        );
        let (code, said) = check_files(DENY_EVIL, &[("a.yaml", &broken)], &[]);
        assert_eq!(code, Some(2), "{said}");
        assert!(!said.contains("template"), "{said}");
    }
}

#[test]
fn all_white_space_before_json_is_passed_over() {
    let json = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"n"},"spec":{"containers":[{"image":"evil/x"}]}}"#;
    for space in ["\u{a0}", "\u{85}", "\u{3000}\n ", "\u{b}"] {
        let text = format!("{space}{json}\n");
        let (code, said) = check_files(DENY_EVIL, &[("a.yaml", &text)], &[]);
        assert_eq!(code, Some(1), "{space:?}: {said}");
    }
}

#[test]
fn a_file_whose_name_is_an_ending_is_read() {
    let (code, said) = check_files(DENY_EVIL, &[(".yaml", POD), ("ok.yaml", "")], &[]);
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn directories_that_lie_too_deep_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join(["a"; 66].join("/"));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("pod.yaml"), POD).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pullpass"))
        .args([
            "check",
            "--config",
            "examples/registry-map.yaml",
            "-R",
            "-f",
        ])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// `kubectl apply` keeps the labels that a document does not name.
#[test]
fn labels_of_several_documents_are_joined_and_contradictions_are_undecided() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: [{image: r.example/beta/x}]}\n";
    let namespace = |labels: &str| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop{labels}}}\n")
    };
    let in_prod = namespace(", labels: {env: prod}");
    for (other, expected) in [
        (namespace(""), 1),
        (namespace(", labels: {team: a}"), 1),
        (namespace(", labels: {env: test}"), 2),
    ] {
        for (first, second) in [(&in_prod, &other), (&other, &in_prod)] {
            let files = [
                ("1.yaml", first.as_str()),
                ("2.yaml", second),
                ("3.yaml", pod),
            ];
            let (code, said) = check_files(DENY_EVIL, &files, &[]);
            assert_eq!(code, Some(expected), "{said}");
        }
    }
}
