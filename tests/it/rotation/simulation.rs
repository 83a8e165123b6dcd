//! A Secret and two webhooks with versions, replicas that act on them one small step
//! at a time, and clients whose API server learns late of what is published.

use jiff::{SignedDuration, Timestamp};
use pullpass::certs::issuer::CertificateMaker;
use pullpass_core::rotation::{
    Adoption, CERTIFICATE, KEY, Leaf, MakeCertificates, Observation, PlannedChange, ReplicaState,
    RotationReason, RotationSettings, SecretChange, SecretContent, TRUSTED, TrustAnchor, Validity,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// An API server learns of a new `caBundle` this late, at the latest.
const LAG: SignedDuration = SignedDuration::from_secs(10);

/// What somebody with the right to do so does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Empties the Secret.
    Emptied,
    /// Empties the Secret and one `caBundle`.
    EmptiedBoth,
    /// Puts back the Secret of before the last leaf.
    RolledBack,
    /// Puts back the first Secret.
    RolledBackFar,
    /// Loses the CA's key.
    LostKey,
    /// Puts another's key beside the leaf.
    WrongLeafKey,
    /// Writes nonsense into every value.
    Nonsense,
    /// Loses the times.
    LostTimes,
    /// Writes times of far away.
    WildTimes,
    /// Takes the bundle out of a webhook.
    NoBundle,
    /// Puts another CA in its place.
    ForeignBundle,
    /// Writes no PEM into it.
    NonsenseBundle,
    /// Puts a CA of their own into the Secret.
    ForeignIssuer,
}

impl Trouble {
    pub(crate) const ALL: [Self; 13] = [
        Self::Emptied,
        Self::EmptiedBoth,
        Self::RolledBack,
        Self::RolledBackFar,
        Self::LostKey,
        Self::WrongLeafKey,
        Self::Nonsense,
        Self::LostTimes,
        Self::WildTimes,
        Self::NoBundle,
        Self::ForeignBundle,
        Self::NonsenseBundle,
        Self::ForeignIssuer,
    ];
}

#[derive(Clone, Default)]
struct Versioned<T> {
    value: T,
    version: u64,
}

/// A `caBundle`, and until when some API server may still hold it.
struct Known {
    pem: Vec<u8>,
    until: Timestamp,
}

pub(crate) struct World {
    pub(crate) crashes: bool,
    pub(crate) clocks: bool,
    pub(crate) crashed: usize,
    pub(crate) handshakes: usize,
    now: Timestamp,
    began: Timestamp,
    random: u64,
    secret: Versioned<SecretContent>,
    secret_before: SecretContent,
    first_secret: SecretContent,
    bundles: [Versioned<Vec<u8>>; 2],
    /// Bundles that pullpass has replaced, by webhook.
    known: [VecDeque<Known>; 2],
    /// Whether a `caBundle` is at the moment what somebody else has made of it.
    spoilt: [bool; 2],
    replicas: Vec<Replica>,
    written: Vec<RotationReason>,
    /// The CA by which a leaf is accepted, if it is.
    verified: HashMap<(Vec<u8>, String), Option<TrustAnchor>>,
    /// What replicas found that others have written into the Secret.
    pub(crate) foreign: Vec<&'static str>,
}

struct Replica {
    memory: ReplicaState,
    settings: RotationSettings,
    phase: Phase,
    /// What its clock shows less the true time.
    skew: SignedDuration,
    /// Something has changed since it last looked.
    notified: bool,
}

enum Phase {
    Idle(Option<Timestamp>),
    Bundles,
    Secret([Versioned<Vec<u8>>; 2]),
    Acting {
        bundles: [Versioned<Vec<u8>>; 2],
        secret_version: u64,
        actions: VecDeque<Action>,
        acted: bool,
        wake: Option<Timestamp>,
    },
}

enum Action {
    Make(Box<PlannedChange>),
    Write(RotationReason, SecretChange),
    Publish(usize, String),
    Adopt(Adoption),
}

impl Replica {
    fn new(settings: RotationSettings) -> Self {
        Self {
            memory: ReplicaState::default(),
            settings,
            phase: Phase::Bundles,
            skew: SignedDuration::ZERO,
            notified: false,
        }
    }
}

impl World {
    pub(crate) fn new(seed: u64, replicas: usize, settings: &RotationSettings) -> Self {
        let now = super::start();
        Self {
            crashes: false,
            clocks: false,
            crashed: 0,
            handshakes: 0,
            now,
            began: now,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            secret: Versioned::default(),
            secret_before: SecretContent::default(),
            first_secret: SecretContent::default(),
            bundles: Default::default(),
            known: Default::default(),
            spoilt: [true; 2],
            replicas: (0..replicas)
                .map(|_| Replica::new(settings.clone()))
                .collect(),
            written: Vec::new(),
            verified: HashMap::new(),
            foreign: Vec::new(),
        }
    }

    pub(crate) fn count(&self, reason: RotationReason) -> usize {
        self.written
            .iter()
            .filter(|written| **written == reason)
            .count()
    }

    pub(crate) fn passed(&self) -> SignedDuration {
        self.now.duration_since(self.began)
    }

    pub(crate) fn trusted(&self) -> Vec<TrustAnchor> {
        let all = TrustAnchor::all_in_pem(&self.bundles[0].value);
        assert_eq!(self.bundles[0].value, self.bundles[1].value);
        assert_eq!(self.bundles[0].value, self.secret.value.expose(TRUSTED));
        all
    }

    pub(crate) fn all_serve(&self) -> bool {
        let serves = |replica: &Replica| replica.memory.serving().is_some();
        self.replicas.iter().all(serves)
    }

    pub(crate) fn rename(&mut self, replica: usize, name: &str) {
        self.replicas[replica].settings.names = vec![name.to_owned()];
    }

    /// One replica does one thing; when none has anything to do, time passes.
    pub(crate) fn step(&mut self) {
        let busy: Vec<usize> = (0..self.replicas.len())
            .filter(|at| self.is_busy(*at))
            .collect();
        if busy.is_empty() {
            self.pass_idly(SignedDuration::from_hours(24));
        } else {
            let at = busy[self.index(busy.len())];
            self.act(at);
            let passes = self.below(2000);
            self.now += SignedDuration::from_millis(passes.into());
            if self.crashes && self.below(40) == 0 {
                let settings = self.replicas[at].settings.clone();
                self.replicas[at] = Replica::new(settings);
                self.crashed += 1;
            }
        }
        if self.clocks && self.below(10) == 0 {
            let at = self.index(self.replicas.len());
            let skew = i64::from(self.below(10_000)) - 5_000;
            self.replicas[at].skew = SignedDuration::from_millis(skew);
        }
        self.check();
    }

    /// Until nobody has anything to do for hours and all that can be served is.
    pub(crate) fn calm_down(&mut self) {
        let since = self.now;
        for _ in 0..5000 {
            self.step();
            let quiet = !(0..self.replicas.len()).any(|at| self.is_busy(at));
            let waits = self.replicas.iter().all(|replica| match replica.phase {
                Phase::Idle(Some(at)) => at.duration_since(self.now).as_hours() > 3,
                _ => true,
            });
            if quiet && waits {
                let took = self.now.duration_since(since);
                assert!(self.spoilt == [false; 2], "never put right");
                assert!(self.all_serve(), "a replica serves nothing after {took:?}");
                return;
            }
        }
        panic!("never calms down: {:?}", self.written);
    }

    pub(crate) fn pass(&mut self, time: SignedDuration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    pub(crate) fn make(&mut self, trouble: Trouble) {
        let foreign = self.foreign_ca();
        let mut secret = self.secret.value.clone();
        let nonsense =
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\xff".to_vec();
        match trouble {
            Trouble::Emptied | Trouble::EmptiedBoth => secret = SecretContent::default(),
            Trouble::RolledBack => secret = self.secret_before.clone(),
            Trouble::RolledBackFar => secret = self.first_secret.clone(),
            Trouble::LostKey => secret.insert("issuer.key", Vec::new()),
            Trouble::WrongLeafKey => secret.insert(KEY, secret.expose("issuer.key").to_vec()),
            Trouble::Nonsense => {
                for key in [TRUSTED, CERTIFICATE, KEY, "issuer.crt", "issuer.key", "next.crt"] {
                    secret.insert(key, nonsense.clone());
                }
            }
            Trouble::LostTimes => secret.insert("rotation.json", b"{".to_vec()),
            Trouble::WildTimes => secret.insert(
                "rotation.json",
                br#"{"leavesEnd":"1999-01-01T00:00:00Z","nextPublished":"2999-01-01T00:00:00Z","retiredUntil":"2999-01-01T00:00:00Z"}"#.to_vec(),
            ),
            Trouble::ForeignIssuer => {
                secret.insert("issuer.crt", foreign.0.clone());
                secret.insert("issuer.key", foreign.1);
            }
            Trouble::NoBundle => self.spoil(Vec::new()),
            Trouble::ForeignBundle => self.spoil(foreign.0),
            Trouble::NonsenseBundle => self.spoil(nonsense),
        }
        if trouble == Trouble::EmptiedBoth {
            self.spoil(Vec::new());
        }
        self.secret.value = secret;
        self.secret.version += 1;
        self.notify();
    }

    fn foreign_ca(&self) -> (Vec<u8>, Vec<u8>) {
        let validity = Validity {
            not_before: self.now,
            not_after: self.now + SignedDuration::from_hours(24 * 200),
        };
        let made = CertificateMaker.authority(validity).unwrap();
        (
            made.anchor.to_pem().into_bytes(),
            made.key.expose_pem().as_bytes().to_vec(),
        )
    }

    fn spoil(&mut self, pem: Vec<u8>) {
        self.bundles[0].value = pem;
        self.bundles[0].version += 1;
        self.spoilt[0] = true;
    }

    fn notify(&mut self) {
        for replica in &mut self.replicas {
            replica.notified = true;
        }
    }

    fn below(&mut self, end: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        u32::try_from(self.random % u64::from(end)).unwrap()
    }

    fn index(&mut self, length: usize) -> usize {
        self.below(u32::try_from(length).unwrap()) as usize
    }

    fn is_busy(&self, at: usize) -> bool {
        let replica = &self.replicas[at];
        match replica.phase {
            Phase::Idle(wake) => {
                replica.notified || wake.is_some_and(|wake| wake <= self.now + replica.skew)
            }
            _ => true,
        }
    }

    fn pass_idly(&mut self, most: SignedDuration) {
        let wakes = self
            .replicas
            .iter()
            .filter_map(|replica| match replica.phase {
                Phase::Idle(wake) => Some(wake? - replica.skew),
                _ => None,
            });
        let next = wakes.min().unwrap_or(self.now + most);
        self.now = next.clamp(self.now + SignedDuration::from_secs(1), self.now + most);
    }

    fn act(&mut self, at: usize) {
        let now = self.now + self.replicas[at].skew;
        let phase = std::mem::replace(&mut self.replicas[at].phase, Phase::Bundles);
        self.replicas[at].phase = match phase {
            Phase::Idle(_) => {
                self.replicas[at].notified = false;
                Phase::Bundles
            }
            Phase::Bundles => Phase::Secret(self.bundles.clone()),
            Phase::Secret(bundles) => self.plan(at, bundles, now),
            Phase::Acting {
                bundles,
                secret_version,
                mut actions,
                acted,
                wake,
            } => match actions.pop_front() {
                None if acted => Phase::Bundles,
                None => Phase::Idle(wake),
                Some(action) => {
                    self.perform(at, action, &bundles, secret_version, &mut actions);
                    Phase::Acting {
                        bundles,
                        secret_version,
                        actions,
                        acted: true,
                        wake,
                    }
                }
            },
        };
    }

    fn plan(&mut self, at: usize, bundles: [Versioned<Vec<u8>>; 2], now: Timestamp) -> Phase {
        let observed = Observation {
            secret: self.secret.value.clone(),
            bundles: bundles.iter().map(|bundle| bundle.value.clone()).collect(),
        };
        let replica = &mut self.replicas[at];
        let plan = replica.memory.plan(&observed, now, &replica.settings);
        self.foreign.extend(&plan.foreign);
        let mut actions = VecDeque::new();
        actions.extend(plan.write.map(Box::new).map(Action::Make));
        for (hook, bundle) in bundles.iter().enumerate() {
            let publish = plan.publish.as_ref();
            if let Some(pem) = publish.filter(|pem| pem.as_bytes() != bundle.value) {
                actions.push_back(Action::Publish(hook, pem.clone()));
            }
        }
        actions.extend(plan.adopt.map(Action::Adopt));
        Phase::Acting {
            bundles,
            secret_version: self.secret.version,
            actions,
            acted: false,
            wake: plan.wake,
        }
    }

    fn perform(
        &mut self,
        at: usize,
        action: Action,
        bundles: &[Versioned<Vec<u8>>; 2],
        secret_version: u64,
        actions: &mut VecDeque<Action>,
    ) {
        match action {
            Action::Make(recipe) => {
                let reason = recipe.reason;
                let change = recipe.make(&mut CertificateMaker).unwrap();
                actions.push_front(Action::Write(reason, change));
            }
            // A conflict: somebody was faster.
            Action::Write(..) if secret_version != self.secret.version => {}
            Action::Write(reason, change) => {
                if reason == RotationReason::Leaf {
                    self.secret_before = self.secret.value.clone();
                }
                self.secret.value.apply(&change);
                self.secret.version += 1;
                if reason == RotationReason::FirstAuthority {
                    self.first_secret = self.secret.value.clone();
                }
                self.written.push(reason);
                self.notify();
            }
            Action::Publish(hook, _) if bundles[hook].version != self.bundles[hook].version => {}
            Action::Publish(hook, pem) => {
                let pem = pem.into_bytes();
                let old = std::mem::replace(&mut self.bundles[hook].value, pem);
                self.bundles[hook].version += 1;
                if !self.spoilt[hook] {
                    let until = self.now + LAG;
                    self.known[hook].push_back(Known { pem: old, until });
                }
                self.spoilt[hook] = false;
                self.notify();
            }
            Action::Adopt(adoption) => self.replicas[at].memory.adopted(adoption),
        }
    }

    /// Every API server calls every replica.
    fn check(&mut self) {
        let now = self.now;
        for known in &mut self.known {
            known.retain(|known| known.until > now);
        }
        let mut bundles: Vec<Vec<u8>> = Vec::new();
        for (hook, known) in self.known.iter().enumerate() {
            bundles.extend(known.iter().map(|known| known.pem.clone()));
            if !self.spoilt[hook] {
                bundles.push(self.bundles[hook].value.clone());
            }
        }
        let served: Vec<(Leaf, String)> = self
            .replicas
            .iter()
            .filter_map(|replica| {
                let leaf = replica.memory.serving()?.clone();
                Some((leaf, replica.settings.names[0].clone()))
            })
            .collect();
        for (leaf, _) in served {
            for bundle in &bundles {
                self.handshake(&leaf, bundle);
            }
        }
    }

    fn handshake(&mut self, leaf: &Leaf, bundle: &[u8]) {
        self.handshakes += 1;
        let now = self.now;
        assert!(
            leaf.not_before() <= now && now <= leaf.not_after(),
            "not valid now"
        );
        let key = (bundle.to_vec(), leaf.to_pem());
        let verify = || {
            let trusted = TrustAnchor::all_in_pem(bundle);
            let issuer = trusted.into_iter().find(|anchor| anchor.issued(leaf));
            issuer.filter(|_| verifies(leaf, bundle, now))
        };
        let issuer = self.verified.entry(key).or_insert_with(verify);
        // `rustls` does not look at the end of a trusted CA; Go does.
        let good = issuer
            .as_ref()
            .is_some_and(|issuer| issuer.not_before() <= now && now <= issuer.not_after());
        assert!(
            good,
            "a handshake fails at {now} ({:?} after the start), written: {:?}",
            now.duration_since(self.began),
            self.written
        );
    }
}

fn verifies(leaf: &Leaf, bundle: &[u8], now: Timestamp) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    for anchor in CertificateDer::pem_slice_iter(bundle) {
        roots.add(anchor.unwrap()).unwrap();
    }
    if roots.is_empty() {
        return false;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap();
    let certificate = CertificateDer::from_pem_slice(leaf.to_pem().as_bytes()).unwrap();
    let seconds = u64::try_from(now.as_second()).unwrap();
    leaf.names().iter().all(|name| {
        let name = ServerName::try_from(name.clone()).unwrap();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let verdict = verifier.verify_server_cert(&certificate, &[], &name, &[], time);
        verdict.is_ok()
    })
}
