//! The registry map: what is refused and how it is said, and which rule decides.

use pullpass::policy::config::{Options, SourceFile, load};
use pullpass::policy::{Action, Judgement, Policy, Rule, Unknown};

/// A moment at which nothing in the tests' maps has begun or ended by accident.
const NOW: &str = "2026-11-20T12:00:00Z";

fn map(body: &str) -> Policy {
    let text = format!("apiVersion: pullpass.dev/v1\nkind: RegistryMap\n{body}");
    let file = SourceFile {
        name: "map.yaml".to_owned(),
        text,
    };
    match load(std::slice::from_ref(&file), &Options::default()) {
        Ok(loaded) => loaded.policy,
        Err(problems) => panic!(
            "{}",
            pullpass::policy::config::render(&problems, &[file], false)
        ),
    }
}

#[test]
fn the_example_is_a_map() {
    let file = SourceFile {
        name: "examples/registry-map.yaml".to_owned(),
        text: include_str!("../../examples/registry-map.yaml").to_owned(),
    };
    let loaded = load(std::slice::from_ref(&file), &Options::default());
    let loaded = loaded.unwrap_or_else(|problems| {
        panic!(
            "{}",
            pullpass::policy::config::render(&problems, &[file], false)
        )
    });
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let now = NOW.parse().unwrap();
    let judge = |image, namespace| loaded.policy.judge(image, Some(namespace), now);
    let corp = judge("registry.corp.example/app:1", "default");
    assert_eq!(corp.pull_secrets, ["corp-pull"]);
    assert_eq!(judge("unknown.example/app", "default").action, Action::Deny);
    assert_eq!(
        judge("unknown.example/app", "sandbox-1").action,
        Action::Warn
    );
    assert_eq!(judge("nginx", "default").action, Action::Allow);
    assert_eq!(judge("evil/x", "default").action, Action::Deny);
    assert_eq!(
        judge("docker.io/bitnami/redis", "default").action,
        Action::Warn
    );
}
