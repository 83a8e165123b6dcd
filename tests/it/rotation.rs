//! The life of the self-signed certificates, by a clock that the test turns: years
//! pass in seconds, replicas race, crash and are lied to, and after every single step
//! each client that trusts what is published must accept each leaf that is served.
//!
//! What is simulated is the API server's word (versions, conflicts, news that travel
//! slowly); certificates and their verification are real.

mod simulation;

use jiff::{SignedDuration, Timestamp};
use pullpass::certs::issuer::CertificateMaker;
use pullpass_core::rotation::{
    CERTIFICATE, KEY, LeafRequest, MakeCertificates, Observation, ReplicaState, RotationPlan,
    RotationReason, RotationSettings, SecretContent, TRUSTED, TrustAnchor, Validity,
};
use simulation::{Trouble, World};
use std::fmt::Write as _;
use std::time::Duration;

const SERVICE: &str = "pullpass.pullpass.svc";

fn settings() -> RotationSettings {
    RotationSettings::new(vec![SERVICE.to_owned()])
}

fn start() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

fn after(time: Timestamp, hours: i64) -> Timestamp {
    time + SignedDuration::from_hours(hours)
}

#[test]
fn two_replicas_go_through_two_ca_rotations_without_a_failed_handshake() {
    let mut world = World::new(1, 2, &settings());
    while world.count(RotationReason::Promotion) < 2 || world.count(RotationReason::Retirement) < 2
    {
        world.step();
    }
    world.calm_down();
    assert_eq!(world.count(RotationReason::FirstAuthority), 1);
    assert_eq!(world.count(RotationReason::NextAuthority), 2);
    // Thirty days, renewed after twenty: one and a half years are 27 leaves.
    let leaves = world.count(RotationReason::Leaf) + world.count(RotationReason::Promotion);
    assert!((24..=30).contains(&leaves), "{leaves} leaves");
    assert_eq!(world.trusted().len(), 1, "the old CAs are gone");
    // Two rotations at two thirds of a year each, and the leaf's month.
    let passed = world.passed().as_hours() / 24;
    assert!((486..=540).contains(&passed), "{passed} days");
    assert!(world.handshakes > 1000, "{} handshakes", world.handshakes);
    assert_eq!(world.foreign, [""; 0], "nobody else has written the Secret");
}

#[test]
fn crashes_at_any_step_and_clocks_that_disagree_change_nothing() {
    for seed in 1..=5 {
        let mut world = World::new(seed, 3, &settings());
        world.crashes = true;
        world.clocks = true;
        while world.count(RotationReason::Promotion) < 2
            || world.count(RotationReason::Retirement) < 2
        {
            world.step();
        }
        world.calm_down();
        assert!(world.crashed > 20, "{} crashes", world.crashed);
        assert_eq!(world.count(RotationReason::NextAuthority), 2);
        assert_eq!(world.foreign, [""; 0], "nobody else has written the Secret");
    }
}

#[test]
fn an_edited_secret_or_bundle_is_put_right_without_a_failed_handshake() {
    for trouble in Trouble::ALL {
        for seed in 1..=2 {
            let mut world = World::new(seed, 2, &settings());
            world.calm_down();
            world.pass(SignedDuration::from_hours(24 * 90));
            for _ in 0..3 {
                world.make(trouble);
                world.calm_down();
                world.pass(SignedDuration::from_hours(24 * 45));
            }
            assert!(
                world.trusted().len() <= 2,
                "{trouble:?}: {:?}",
                world.trusted()
            );
            assert!(world.all_serve(), "{trouble:?}");
            let is_reported = match trouble {
                // What was once in the Secret, and what is not in it.
                Trouble::RolledBack
                | Trouble::RolledBackFar
                | Trouble::LostTimes
                | Trouble::WildTimes
                | Trouble::NoBundle
                | Trouble::ForeignBundle
                | Trouble::NonsenseBundle => continue,
                _ => !world.foreign.is_empty(),
            };
            assert!(is_reported, "{trouble:?} is not reported");
        }
    }
}

#[test]
fn a_secret_from_before_a_ca_rotation_is_gone_back_to_in_order() {
    for seed in 1..=6 {
        let mut world = World::new(seed, 2, &settings());
        while world.count(RotationReason::Retirement) == 0 {
            world.step();
        }
        world.calm_down();
        world.make(Trouble::RolledBackFar);
        world.calm_down();
        assert!(world.count(RotationReason::StillServed) > 0);
        assert!(!world.foreign.is_empty(), "the Secret lacks what is served");
        world.pass(SignedDuration::from_hours(24 * 60));
        assert_eq!(world.trusted().len(), 1);
    }
}

#[test]
fn trouble_in_the_midst_of_a_rotation_is_survived() {
    for (seed, trouble) in (1..).zip(Trouble::ALL.into_iter().cycle().take(12)) {
        let mut world = World::new(seed, 2, &settings());
        world.calm_down();
        while world.count(RotationReason::NextAuthority) == 0 {
            world.step();
        }
        for _ in 0..seed % 7 {
            world.step();
        }
        world.make(trouble);
        world.calm_down();
        world.pass(SignedDuration::from_hours(24 * 60));
        assert!(world.all_serve(), "{trouble:?}");
        assert!(
            world.trusted().len() <= 2,
            "{trouble:?}: {:?}",
            world.trusted()
        );
    }
}

#[test]
fn replicas_that_want_different_names_do_not_take_them_from_each_other() {
    let mut world = World::new(5, 2, &settings());
    world.rename(0, "old.pullpass.svc");
    world.calm_down();
    let made = world.count(RotationReason::Leaf) + world.count(RotationReason::FirstAuthority);
    assert!(made <= 2, "{made} leaves");
    world.pass(SignedDuration::from_hours(24 * 100));
    let made = world.count(RotationReason::Leaf);
    assert!(made <= 12, "{made} leaves in a hundred days");
}

/// One plan for a Secret and bundles, by a replica that has just started.
fn plan(secret: &SecretContent, bundles: &[&[u8]], now: Timestamp) -> RotationPlan {
    let observed = Observation {
        secret: secret.clone(),
        bundles: bundles.iter().map(|pem| pem.to_vec()).collect(),
    };
    ReplicaState::default().plan(&observed, now, &settings())
}

/// The Secret after the first write.
fn first(now: Timestamp) -> SecretContent {
    let mut secret = SecretContent::default();
    let recipe = plan(&secret, &[b""], now).write.unwrap();
    assert_eq!(recipe.reason, RotationReason::FirstAuthority);
    secret.apply(&recipe.make(&mut CertificateMaker).unwrap());
    secret
}

#[test]
fn an_empty_secret_is_filled_then_published_then_served() {
    let now = start();
    let secret = first(now);
    let unpublished = plan(&secret, &[b""], now);
    assert!(unpublished.write.is_none() && unpublished.adopt.is_none());
    let bundle = unpublished.publish.unwrap();
    assert_eq!(bundle.as_bytes(), secret.expose(TRUSTED));
    let published = plan(&secret, &[bundle.as_bytes()], now);
    assert!(published.write.is_none() && published.publish.is_none());
    let leaf = published.adopt.unwrap().leaf;
    assert_eq!(leaf.names(), [SERVICE]);
    // One webhook of two is not enough.
    assert!(
        plan(&secret, &[bundle.as_bytes(), b""], now)
            .adopt
            .is_none()
    );
    // None at all is: nobody calls, and whoever comes gets the bundle first.
    assert!(plan(&secret, &[], now).adopt.is_some());
    let wake = published.wake.unwrap();
    assert!(wake > after(now, 24 * 19) && wake <= after(now, 24 * 20));
}

#[test]
fn the_next_ca_issues_when_all_can_know_it_and_not_before() {
    let begin = start();
    let mut secret = first(begin);
    let mut memory = ReplicaState::default();
    let old = secret.expose(TRUSTED).to_vec();
    memory.adopted(memory_adoption(&secret, begin));
    let due = after(begin, 24 * 244);
    let mut look =
        |secret: &SecretContent, bundle: &[u8], now| plan_of(&mut memory, secret, bundle, now);
    let write = |secret: &mut SecretContent, plan: RotationPlan, reason| {
        let recipe = plan.write.unwrap();
        assert_eq!(recipe.reason, reason);
        secret.apply(&recipe.make(&mut CertificateMaker).unwrap());
    };
    let plan = look(&secret, &old, due);
    write(&mut secret, plan, RotationReason::NextAuthority);
    let unpublished = look(&secret, &old, due);
    let both = unpublished.publish.clone().unwrap().into_bytes();
    write(&mut secret, unpublished, RotationReason::Leaf);
    let plan = look(&secret, &both, due);
    write(&mut secret, plan, RotationReason::Published);
    let almost = due + SignedDuration::from_secs(29);
    assert!(look(&secret, &both, almost).write.is_none());
    // Taken out again and put back: the wait begins anew.
    let mut lost = secret.clone();
    let plan = look(&lost, &old, almost);
    write(&mut lost, plan, RotationReason::Unpublished);
    let plan = look(&lost, &both, almost);
    write(&mut lost, plan, RotationReason::Published);
    let later = due + SignedDuration::from_secs(31);
    assert!(look(&lost, &both, later).write.is_none());
    let plan = look(&secret, &both, later);
    write(&mut secret, plan, RotationReason::Promotion);

    // One that has just begun, and has nothing, serves it; one that has something good
    // and has not seen the CA for long waits.
    assert!(
        plan_of(&mut ReplicaState::default(), &secret, &both, later)
            .adopt
            .is_some()
    );
    let mut other = ReplicaState::default();
    other.adopted(memory_adoption_at(&lost, &both, almost));
    assert!(plan_of(&mut other, &secret, &both, later).adopt.is_none());
    let settled = later + SignedDuration::from_secs(30);
    assert!(plan_of(&mut other, &secret, &both, settled).adopt.is_some());
}

fn plan_of(
    memory: &mut ReplicaState,
    secret: &SecretContent,
    bundle: &[u8],
    now: Timestamp,
) -> RotationPlan {
    let observed = Observation {
        secret: secret.clone(),
        bundles: vec![bundle.to_vec()],
    };
    memory.plan(&observed, now, &settings())
}

fn memory_adoption_at(
    secret: &SecretContent,
    bundle: &[u8],
    now: Timestamp,
) -> pullpass_core::rotation::Adoption {
    plan(secret, &[bundle], now).adopt.unwrap()
}

#[test]
fn a_ca_that_others_trust_already_is_waited_for() {
    // As when the mode was changed: the webhooks hold another tool's CA.
    let now = start();
    let validity = Validity {
        not_before: after(now, -1),
        not_after: after(now, 24 * 365),
    };
    let theirs = CertificateMaker.authority(validity).unwrap();
    let theirs_pem = theirs.anchor.to_pem();
    let mut secret = SecretContent::default();
    let recipe = plan(&secret, &[theirs_pem.as_bytes()], now).write.unwrap();
    assert_eq!(recipe.reason, RotationReason::NextAuthority);
    secret.apply(&recipe.make(&mut CertificateMaker).unwrap());
    let bundle = plan(&secret, &[theirs_pem.as_bytes()], now)
        .publish
        .unwrap();
    assert!(TrustAnchor::all_in_pem(bundle.as_bytes()).contains(&theirs.anchor));
    assert!(plan(&secret, &[bundle.as_bytes()], now).adopt.is_none());
}

#[test]
fn a_ca_without_the_right_to_issue_is_no_ca() {
    let now = start();
    let validity = Validity {
        not_before: now,
        not_after: after(now, 24),
    };
    let authority = CertificateMaker.authority(validity).unwrap();
    let order = LeafRequest {
        validity,
        names: vec![SERVICE.to_owned()],
    };
    let leaf = CertificateMaker.leaf(&authority, &order).unwrap();
    assert!(TrustAnchor::all_in_pem(leaf.to_pem().as_bytes()).is_empty());
    assert_eq!(
        TrustAnchor::all_in_pem(authority.anchor.to_pem().repeat(3).as_bytes()).len(),
        1
    );
}

#[test]
fn a_short_life_is_gone_through_as_a_long_one() {
    let mut world = World::new(
        3,
        2,
        &RotationSettings {
            authority_lifetime: Duration::from_mins(30),
            leaf_lifetime: Duration::from_mins(6),
            settle: Duration::from_secs(30),
            ..settings()
        },
    );
    while world.count(RotationReason::Retirement) < 4 {
        world.step();
    }
    assert!(world.passed().as_hours() < 3, "{:?}", world.passed());
}

#[test]
fn keys_are_in_nothing_that_can_be_printed() {
    let now = start();
    let secret = first(now);
    let recipe = plan(&SecretContent::default(), &[], now).write.unwrap();
    let observed = Observation {
        secret: secret.clone(),
        bundles: Vec::new(),
    };
    let mut memory = ReplicaState::default();
    let next = memory.plan(&observed, after(now, 24 * 250), &settings());
    memory.adopted(memory_adoption(&secret, now));
    let mut printed = format!("{secret:?} {observed:?} {recipe:?} {next:?} {memory:?}");
    let change = recipe.make(&mut CertificateMaker).unwrap();
    write!(printed, "{change:?}").unwrap();
    assert!(secret.expose(KEY).starts_with(b"-----BEGIN PRIVATE KEY"));
    assert!(!printed.contains("BEGIN PRIVATE") && !printed.contains("BEGIN EC"));
    for key in [KEY, "issuer.key"] {
        let pem = String::from_utf8(secret.expose(key).to_vec()).unwrap();
        let line = pem.lines().nth(1).unwrap();
        assert!(!printed.contains(line), "{key}");
        let bytes = format!("{:?}", line.as_bytes());
        assert!(!printed.contains(bytes.trim_matches(['[', ']'])), "{key}");
    }
    assert!(printed.contains("redacted") && printed.contains(CERTIFICATE));
}

fn memory_adoption(secret: &SecretContent, now: Timestamp) -> pullpass_core::rotation::Adoption {
    let bundle = secret.expose(TRUSTED).to_vec();
    plan(secret, &[&bundle], now).adopt.unwrap()
}
