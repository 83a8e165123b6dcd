//! An index of the map's patterns, in which the search for the rule of an image costs the
//! same with ten entries and with a hundred thousand.
//!
//! The cost depends on the image (parts of its path, labels of its host) and on the
//! patterns that match its host, never on the other patterns. Users choose the keys, so
//! every hash map is the standard one, whose hashes users cannot predict. The memory grows
//! with the bytes of the map, and with the pairs of a pattern and a namespace of one entry,
//! which [`crate::map`] bounds. This module only finds the rule; it must not decide what the
//! rule means.

use std::cmp::Reverse;
use std::collections::HashMap;

mod host_tree;

use super::canonical::Location;
use super::glob::GlobMap;
use super::glob::text_map::TextMap;
use super::precedence::{Rank, ScopeKind};
use super::selectors::{Selectors, Undecided};
use super::{Context, Entry, LabelsUnknown, Namespace, Pattern, Scope};
use host_tree::{GlobHost, HostEnds, HostTree};

/// The position of a rule in the map: of an entry and one of its patterns, or of a public
/// registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RulePosition {
    Entry { entry: usize, pattern: usize },
    Public(usize),
}

/// The rule for an image, and the cost of finding it.
#[derive(Debug, Clone, Copy)]
pub(super) struct IndexHit {
    pub(super) position: Result<Option<RulePosition>, LabelsUnknown>,
    /// How many parts of the index the search looked at.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only the tests of the cost read it")
    )]
    pub(super) looked_at: usize,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    hosts: HashMap<u16, Hosts>,
    // The hosts of patterns for every port.
    on_every_port: Hosts,
}

/// The hosts of one port, or of every port.
#[derive(Debug, Default)]
struct Hosts {
    literal: HashMap<Box<str>, Paths>,
    globs: HostTree,
    // What the positions in the tree lead to.
    of_globs: Vec<Paths>,
}

/// The paths of one host.
#[derive(Debug, Default)]
struct Paths {
    is_for_one_port: bool,
    literal_characters: usize,
    most_slashes: usize,
    scopes: TextMap<Scopes>,
}

/// The rules on one pattern, by scope.
#[derive(Debug, Default)]
struct Scopes {
    by_namespace: Option<Box<ByNamespace>>,
    everywhere: Vec<RulePosition>,
    public: Option<RulePosition>,
}

#[derive(Debug, Default)]
struct ByNamespace {
    namespaces: GlobMap<Vec<RulePosition>>,
    selectors: Selectors<RulePosition>,
}

/// The rule that precedes all others on a host or pattern, if it applies.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    position: RulePosition,
    // Whether it applies depends on labels that are not known.
    is_undecided: bool,
}

impl Candidate {
    fn certain(position: RulePosition) -> Self {
        Self {
            position,
            is_undecided: false,
        }
    }

    fn decided(self) -> Result<RulePosition, LabelsUnknown> {
        if self.is_undecided {
            Err(LabelsUnknown)
        } else {
            Ok(self.position)
        }
    }
}

/// The index while the patterns are added.
#[derive(Default)]
struct IndexBuilder<'p> {
    index: Index,
    // The hosts with `*` of a port.
    globs: HashMap<(Option<u16>, &'p str), HostEnds>,
}

impl Index {
    pub(super) fn build(entries: &[Entry], public: &[Pattern]) -> Self {
        let mut builder = IndexBuilder::default();
        for (at, entry) in entries.iter().enumerate() {
            for (which, pattern) in entry.patterns.iter().enumerate() {
                let position = RulePosition::Entry {
                    entry: at,
                    pattern: which,
                };
                builder.scopes(pattern).add(&entry.scope, position);
            }
        }
        for (at, pattern) in public.iter().enumerate() {
            builder
                .scopes(pattern)
                .public
                .get_or_insert(RulePosition::Public(at));
        }
        builder.finish()
    }

    fn hosts_mut(&mut self, port: Option<u16>) -> &mut Hosts {
        match port {
            Some(port) => self.hosts.entry(port).or_default(),
            None => &mut self.on_every_port,
        }
    }

    /// The rule that decides about a location, by the precedence of the map.
    pub(super) fn find(&self, location: &Location<'_>, context: &Context<'_, '_>) -> IndexHit {
        let mut search = Search {
            location,
            context,
            looked_at: 0,
        };
        let first = search.first(self);
        IndexHit {
            position: first.map(Candidate::decided).transpose(),
            looked_at: search.looked_at,
        }
    }
}

impl<'p> IndexBuilder<'p> {
    fn scopes(&mut self, pattern: &'p Pattern) -> &mut Scopes {
        let hosts = self.index.hosts_mut(pattern.port());
        let paths = if pattern.is_glob() {
            let ends = self.globs.entry((pattern.port(), pattern.host()));
            let ends = ends.or_default();
            let position = if pattern.is_deep() {
                &mut ends.deep
            } else {
                &mut ends.here
            };
            let at = *position.get_or_insert(hosts.of_globs.len());
            if at == hosts.of_globs.len() {
                hosts.of_globs.push(Paths::default());
            }
            #[expect(
                clippy::indexing_slicing,
                reason = "the paths are pushed if they are not in the list"
            )]
            &mut hosts.of_globs[at]
        } else {
            hosts.literal.entry(pattern.host().into()).or_default()
        };
        paths.is_for_one_port = pattern.port().is_some();
        paths.literal_characters = pattern.literal_characters();
        paths.most_slashes = paths.most_slashes.max(pattern.path().matches('/').count());
        paths.scopes.entry(pattern.path(), Scopes::default)
    }

    fn finish(self) -> Index {
        let mut index = self.index;
        let mut of_ports: HashMap<Option<u16>, Vec<GlobHost<'p>>> = HashMap::new();
        for ((port, host), ends) in self.globs {
            let hosts = of_ports.entry(port).or_default();
            hosts.push(GlobHost::new(host, ends));
        }
        for (port, hosts) in of_ports {
            index.hosts_mut(port).globs = HostTree::build(hosts);
        }
        index
    }
}

impl Scopes {
    fn add(&mut self, scope: &Scope, position: RulePosition) {
        match scope {
            Scope::Everywhere => {
                self.everywhere.reserve_exact(1);
                self.everywhere.push(position);
            }
            Scope::Namespaces(namespaces) => {
                let by_namespace = self.by_namespace.get_or_insert_default();
                for namespace in namespaces {
                    let positions = by_namespace.namespaces.entry(namespace, Vec::new);
                    positions.reserve_exact(1);
                    positions.push(position);
                }
            }
            Scope::Selector(selector) => {
                let by_namespace = self.by_namespace.get_or_insert_default();
                by_namespace.selectors.push(selector.clone(), position);
            }
        }
    }
}

/// The order of rules on hosts with `*`.
type GlobRank = (Rank, Reverse<usize>);

/// One search for the rule of one image.
struct Search<'s> {
    location: &'s Location<'s>,
    context: &'s Context<'s, 's>,
    looked_at: usize,
}

impl Search<'_> {
    fn first(&mut self, index: &Index) -> Option<Candidate> {
        let of_port = index.hosts.get(&self.location.port);
        let host = self.location.host.as_ref();
        // A pattern for one port precedes one for every port.
        for hosts in of_port.into_iter().chain([&index.on_every_port]) {
            if let Some(paths) = hosts.literal.get(host)
                && let Some((.., first)) = self.on_host(paths)
            {
                return Some(first);
            }
        }
        if host.starts_with('[') {
            return None;
        }
        let mut best = None;
        for hosts in of_port.into_iter().chain([&index.on_every_port]) {
            self.on_globs(hosts, &mut best);
        }
        best.map(|(_, first)| first)
    }

    /// Puts the rule that precedes on the hosts with `*` into `best`, if it precedes what is
    /// there.
    fn on_globs(&mut self, hosts: &Hosts, best: &mut Option<(GlobRank, Candidate)>) {
        let mut matching = Vec::new();
        let host = self.location.host.as_ref();
        hosts
            .globs
            .collect(host, &mut matching, &mut self.looked_at);
        for at in matching {
            let Some(paths) = hosts.of_globs.get(at) else {
                continue;
            };
            let Some((length, first)) = self.on_host(paths) else {
                continue;
            };
            // Two entries have equal rank only if one of them has a selector. Then the
            // order of the map decides.
            let (is_entry, earlier_first) = match first.position {
                RulePosition::Entry { entry, .. } => (true, Reverse(entry)),
                RulePosition::Public(at) => (false, Reverse(at)),
            };
            let rank = Rank::of_glob_host(
                paths.literal_characters,
                paths.is_for_one_port,
                length,
                is_entry,
            );
            let rank = (rank, earlier_first);
            if best.is_none_or(|(best, _)| rank > best) {
                *best = Some((rank, first));
            }
        }
    }

    /// The rule with the longest path that covers the image's path and applies, with the
    /// length of its path.
    fn on_host(&mut self, paths: &Paths) -> Option<(usize, Candidate)> {
        let whole = self.location.path.as_ref();
        // Longer paths than the longest path of this host cannot match.
        let mut path = match whole.match_indices('/').nth(paths.most_slashes) {
            Some((at, _)) => whole.get(..at)?,
            None => whole,
        };
        loop {
            self.looked_at += 1;
            if let Some(scopes) = paths.scopes.get(path)
                && let Some(first) = self.on_pattern(scopes)
            {
                return Some((path.len(), first));
            }
            if path.is_empty() {
                return None;
            }
            path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }

    /// The rule that applies on one pattern: the closest scope comes first,
    /// `publicRegistries` come last.
    fn on_pattern(&mut self, scopes: &Scopes) -> Option<Candidate> {
        ScopeKind::CLOSEST_FIRST
            .into_iter()
            .find_map(|kind| self.in_scope(scopes, kind))
            .or_else(|| scopes.public.map(Candidate::certain))
    }

    fn in_scope(&mut self, scopes: &Scopes, kind: ScopeKind) -> Option<Candidate> {
        if kind == ScopeKind::Everywhere {
            return self.first_unexpired(scopes.everywhere.iter());
        }
        let by_namespace = scopes.by_namespace.as_deref()?;
        let namespace = self.context.namespace?;
        match kind {
            ScopeKind::Name => self.first_unexpired(
                by_namespace
                    .namespaces
                    .literal(namespace.name)
                    .into_iter()
                    .flatten(),
            ),
            ScopeKind::Glob => {
                self.first_unexpired(by_namespace.namespaces.globs(namespace.name).flatten())
            }
            ScopeKind::Selector | ScopeKind::Everywhere => self.selected(by_namespace, &namespace),
        }
    }

    fn selected(
        &mut self,
        by_namespace: &ByNamespace,
        namespace: &Namespace<'_>,
    ) -> Option<Candidate> {
        let is_unexpired = |position: &RulePosition| self.is_unexpired(*position);
        match by_namespace.selectors.first(namespace, is_unexpired) {
            Ok(position) => position.copied().map(Candidate::certain),
            Err(Undecided(position)) => Some(Candidate {
                position: *position,
                is_undecided: true,
            }),
        }
    }

    fn first_unexpired<'t>(
        &mut self,
        mut positions: impl Iterator<Item = &'t RulePosition>,
    ) -> Option<Candidate> {
        let first = positions.find(|position| self.is_unexpired(**position));
        first.copied().map(Candidate::certain)
    }

    /// Whether a rule has not expired.
    fn is_unexpired(&mut self, position: RulePosition) -> bool {
        self.looked_at += 1;
        let RulePosition::Entry { entry, .. } = position else {
            return true;
        };
        let entry = self.context.policy.entries.get(entry);
        entry.is_some_and(|entry| !entry.is_expired(self.context.now))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::policy::namespace::{Labels, NamespaceSelector, Operator, Requirement};
    use crate::policy::{Parts, Policy};
    use image_reference::Reference;
    use jiff::Timestamp;

    fn entry(patterns: &[&str], namespaces: Option<&[&str]>) -> Entry {
        let scope = namespaces.map_or(Scope::Everywhere, |globs| {
            Scope::Namespaces(globs.iter().map(|glob| (*glob).to_owned()).collect())
        });
        Entry {
            name: String::new(),
            patterns: patterns
                .iter()
                .map(|text| Pattern::parse(text).unwrap())
                .collect(),
            pull_secrets: Vec::new(),
            action: crate::policy::Action::Allow,
            reason: None,
            from: None,
            until: None,
            replace_with: None,
            scope,
            location: String::new(),
        }
    }

    /// A map whose entries are made from their numbers.
    struct IndexedMap(Policy);

    impl IndexedMap {
        fn new(size: usize, entry: impl Fn(usize) -> Entry) -> Self {
            Self(Policy::new(Parts {
                entries: (0..size).map(entry).collect(),
                ..Parts::default()
            }))
        }

        /// The number of the entry that decides, and the cost of finding it.
        fn look(&self, image: &str, namespace: &str) -> (Option<usize>, usize) {
            let (entry, looked_at) = self.find(image, Namespace::named(namespace));
            (entry.unwrap(), looked_at)
        }

        fn find(
            &self,
            image: &str,
            namespace: Namespace<'_>,
        ) -> (Result<Option<usize>, LabelsUnknown>, usize) {
            let reference = Reference::parse(image).unwrap();
            let location = Location::of(&reference).unwrap();
            let context = self.0.context(Some(namespace), Timestamp::UNIX_EPOCH);
            let found = self.0.index.find(&location, &context);
            let number = |position| match position {
                RulePosition::Entry { entry, .. } => entry,
                RulePosition::Public(_) => panic!("{image}"),
            };
            let entry = found.position.map(|position| position.map(number));
            (entry, found.looked_at)
        }
    }

    fn costs_the_same(entry: impl Fn(usize) -> Entry + Copy, image: &str, namespace: &str) {
        costs_the_same_with(100_000, entry, image, namespace);
    }

    fn costs_the_same_with(
        size: usize,
        entry: impl Fn(usize) -> Entry + Copy,
        image: &str,
        namespace: &str,
    ) {
        let (small, large) = (IndexedMap::new(10, entry), IndexedMap::new(size, entry));
        assert_eq!(large.look(image, namespace), small.look(image, namespace));
        assert_eq!(large.look(image, namespace).0, Some(7), "{image}");
        // A search that finds nothing has the cost of an unknown registry.
        let unknown = "elsewhere.test/a/b/c";
        assert_eq!(
            large.look(unknown, "elsewhere"),
            small.look(unknown, "elsewhere")
        );
        assert_eq!(large.look(unknown, "elsewhere").0, None);
    }

    #[test]
    fn many_hosts_cost_no_more() {
        let entry = |at: usize| entry(&[&format!("r{at}.example")], None);
        costs_the_same(entry, "r7.example/team/app", "default");
    }

    #[test]
    fn many_paths_on_one_host_cost_no_more() {
        let path = |at: usize| entry(&[&format!("registry.example/team/p{at}")], None);
        costs_the_same(path, "registry.example/team/p7/a/b/c/d", "default");
        // The path of an image is cut to the depth of the map before the lookup.
        let deep = format!("registry.example/team/p7{}", "/a".repeat(100));
        let (found, looked_at) = IndexedMap::new(10, path).look(&deep, "default");
        assert_eq!(found, Some(7));
        assert!(looked_at <= 5, "{looked_at}");
    }

    #[test]
    fn many_namespaces_on_one_pattern_cost_no_more() {
        let named = |at: usize| entry(&["registry.example"], Some(&[&format!("team-{at}")]));
        costs_the_same(named, "registry.example/app", "team-7");
        let globs = |at: usize| entry(&["registry.example"], Some(&[&format!("team-{at}-*")]));
        costs_the_same(globs, "registry.example/app", "team-7-dev");
        let tails = |at: usize| entry(&["registry.example"], Some(&[&format!("*-team-{at}")]));
        costs_the_same(tails, "registry.example/app", "dev-team-7");
    }

    #[test]
    fn many_selectors_on_one_pattern_cost_no_more() {
        let selected = |at: usize| {
            let requirement = Requirement {
                key: "team".to_owned(),
                operator: Operator::In(BTreeSet::from([at.to_string()])),
            };
            let mut entry = entry(&["registry.example"], None);
            let selector = NamespaceSelector::new(BTreeSet::from([requirement]));
            entry.scope = Scope::Selector(selector.unwrap());
            entry
        };
        let labels = BTreeMap::from([("team".to_owned(), "7".to_owned())]);
        let look = |size, labels| {
            let map = IndexedMap::new(size, selected);
            let name = "default";
            map.find("registry.example/app", Namespace { name, labels })
        };
        let (small, large) = (10, 100_000);
        let found = look(large, Labels::Known(&labels));
        assert_eq!(found, look(small, Labels::Known(&labels)));
        assert_eq!(found, (Ok(Some(7)), found.1));
        let undecided = look(large, Labels::Unknown);
        assert_eq!(undecided, look(small, Labels::Unknown));
        assert_eq!(undecided, (Err(LabelsUnknown), undecided.1));
    }

    #[test]
    fn many_glob_hosts_cost_no_more() {
        let entry = |at: usize| entry(&[&format!("*.r{at}.example")], None);
        costs_the_same(entry, "a.r7.example/app", "default");
    }

    #[test]
    fn many_globs_of_other_shapes_cost_no_more() {
        for (glob, image) in [
            ("**.r{}.example", "a.b.r7.example/app"),
            ("r{}-*.example", "r7-eu.example/app"),
            ("*-r{}.example", "eu-r7.example/app"),
            ("*.r{}.*.example", "a.r7.b.example/app"),
            ("*.example/p{}", "a.example/p7/app"),
        ] {
            let entry = |at: usize| entry(&[&glob.replace("{}", &at.to_string())], None);
            costs_the_same_with(10_000, entry, image, "default");
        }
    }

    #[test]
    fn the_cost_of_a_long_image_is_bounded_by_the_depth_of_the_map() {
        let entry = |at: usize| entry(&[&format!("*.r{at}.example/p")], None);
        let host = format!("{}r7.example", "a.".repeat(20_000));
        let (found, looked_at) = IndexedMap::new(10, entry).look(&format!("{host}/p"), "default");
        assert_eq!(found, None);
        assert!(looked_at <= 5, "{looked_at}");
    }
}
