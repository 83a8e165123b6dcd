//! The precedence of the map's rules. It is defined here and nowhere else.
//!
//! A rule has a [`Rank`], and among the rules that cover an image the one with the
//! greatest rank decides. The index finds that rule without comparing all of them,
//! `explain` names the [`Criterion`] that decided, `config validate` warns about a deny
//! that an allow shadows, and [`Policy::ranked`] lists the whole map in this order for
//! admission policies of the API server. This module must not look at images.

use std::cmp::Reverse;

use super::glob::{self, GlobMap};
use super::{Action, Entry, Namespace, Pattern, Policy, Rule, Scope};
use jiff::Timestamp;

/// How closely a scope names a namespace; the closest kind is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ScopeKind {
    /// The scope contains every namespace.
    Everywhere,
    /// The scope contains the namespace by its labels.
    Selector,
    /// The scope contains the namespace by a glob.
    Glob,
    /// The scope contains the namespace by its name.
    Name,
}

impl ScopeKind {
    /// All kinds in the order in which a search tries them.
    pub(crate) const CLOSEST_FIRST: [Self; 4] =
        [Self::Name, Self::Glob, Self::Selector, Self::Everywhere];
}

impl Scope {
    /// How closely the scope names a namespace that it contains.
    pub(crate) fn kind_in(&self, namespace: Option<Namespace<'_>>) -> ScopeKind {
        match self {
            Self::Everywhere => ScopeKind::Everywhere,
            Self::Selector(_) => ScopeKind::Selector,
            Self::Namespaces(globs) => {
                let name = namespace.map(|namespace| namespace.name);
                if globs.iter().any(|text| Some(text.as_str()) == name) {
                    ScopeKind::Name
                } else {
                    ScopeKind::Glob
                }
            }
        }
    }

    /// Whether this scope precedes the other in some namespace because it names that
    /// namespace more closely. Between two selectors the position in the map decides.
    pub(crate) fn precedes_somewhere(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Namespaces(first), Self::Namespaces(second)) => first
                .iter()
                .filter(|name| !glob::is_glob(name))
                .any(|name| {
                    !second.contains(name) && second.iter().any(|glob| glob::matches(glob, name))
                }),
            (first, second) => first.kind_in(None) > second.kind_in(None),
        }
    }
}

/// How close a rule is to the images that it covers; the rule with the greatest rank
/// decides. The order of the fields is the order of the criteria.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// A literal host precedes every host with `*`.
    literal_host: bool,
    /// A host with more literal characters precedes one with fewer.
    literal_characters: usize,
    /// A pattern for one port precedes one for every port.
    is_for_one_port: bool,
    /// A longer path precedes a shorter one.
    path_length: usize,
    /// An entry precedes `publicRegistries`, for which this is `None`; a closer scope
    /// precedes a wider one.
    scope: Option<ScopeKind>,
}

/// The criterion by which one rule precedes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Criterion {
    LiteralHost,
    LiteralCharacters,
    NamedPort,
    PathLength,
    Entry,
    Scope,
    /// The ranks are equal, so the rule that is earlier in the map precedes.
    Position,
}

impl Rank {
    /// The rank of a pattern of an entry with such a scope; without a scope, of a pattern
    /// of `publicRegistries`.
    pub(crate) fn new(pattern: &Pattern, scope: Option<ScopeKind>) -> Self {
        Self {
            literal_host: !pattern.is_glob(),
            literal_characters: pattern.literal_characters(),
            is_for_one_port: pattern.port().is_some(),
            path_length: pattern.path().len(),
            scope,
        }
    }

    /// The rank of a pattern in a namespace in which its rule exists.
    pub(crate) fn in_namespace(
        pattern: &Pattern,
        entry: Option<&Entry>,
        namespace: Option<Namespace<'_>>,
    ) -> Self {
        Self::new(pattern, entry.map(|entry| entry.scope.kind_in(namespace)))
    }

    /// The rank of a rule whose host contains `*`, from the values that the index holds.
    pub(super) fn of_glob_host(
        literal_characters: usize,
        is_for_one_port: bool,
        path_length: usize,
        is_entry: bool,
    ) -> Self {
        Self {
            literal_host: false,
            literal_characters,
            is_for_one_port,
            path_length,
            scope: is_entry.then_some(ScopeKind::Everywhere),
        }
    }

    /// The rank for a comparison with a rule on another pattern. Scopes count only between
    /// rules on the same pattern: between two patterns of equal rank the position decides.
    pub(crate) fn across_patterns(self) -> Self {
        Self {
            scope: self.scope.map(|_| ScopeKind::Everywhere),
            ..self
        }
    }

    /// The criterion by which the greater of two ranks precedes the other.
    pub(crate) fn criterion(self, other: Self) -> Criterion {
        if self.literal_host != other.literal_host {
            Criterion::LiteralHost
        } else if self.literal_characters != other.literal_characters {
            Criterion::LiteralCharacters
        } else if self.is_for_one_port != other.is_for_one_port {
            Criterion::NamedPort
        } else if self.path_length != other.path_length {
            Criterion::PathLength
        } else if self.scope.is_some() != other.scope.is_some() {
            Criterion::Entry
        } else if self.scope != other.scope {
            Criterion::Scope
        } else {
            Criterion::Position
        }
    }
}

/// Where a rule of [`Policy::ranked`] exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RankedScope<'p> {
    /// The rule exists in all namespaces.
    Everywhere,
    /// The rule exists in namespaces that one of the globs covers.
    Globs(Vec<&'p str>),
    /// The rule exists in the namespaces with these names.
    Names(Vec<&'p str>),
}

/// One pattern of the map with one kind of scope.
#[derive(Debug, Clone)]
pub struct Ranked<'p> {
    /// The entry or the public registry.
    pub rule: Rule<'p>,
    /// The pattern of the rule.
    pub pattern: &'p Pattern,
    /// Where the rule exists.
    pub scope: RankedScope<'p>,
}

/// The map contains a label selector, but the caller can only express names of namespaces.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorInMap {
    /// An entry has a selector.
    #[error("entry `{name}` ({location}) has a `namespaceSelector`")]
    Entry {
        /// The entry's name.
        name: String,
        /// Where the map defines the entry: `file:line`.
        location: String,
    },
    /// An override of `unknownRegistries` has a selector.
    #[error("an override of `unknownRegistries` has a `namespaceSelector`")]
    Override,
}

impl Ranked<'_> {
    fn rank(&self) -> Rank {
        let kind = match self.scope {
            RankedScope::Everywhere => ScopeKind::Everywhere,
            RankedScope::Globs(_) => ScopeKind::Glob,
            RankedScope::Names(_) => ScopeKind::Name,
        };
        let is_entry = matches!(self.rule, Rule::Entry(..));
        Rank::new(self.pattern, is_entry.then_some(kind))
    }
}

impl Policy {
    /// All rules that have not expired, in order of precedence: the first rule that exists
    /// in the namespace and covers the image decides.
    ///
    /// Rules of equal rank keep the order of the map. In a map without selectors such
    /// rules never cover the same image in the same namespace.
    ///
    /// It fails if the scope of an entry is a selector: which of two selectors precedes
    /// the other depends on the namespace, so no list can express the order.
    pub fn ranked(&self, now: Timestamp) -> Result<Vec<Ranked<'_>>, SelectorInMap> {
        let mut rules = Vec::new();
        for entry in self.entries.iter().filter(|entry| !entry.is_expired(now)) {
            let scopes = ranked_scopes(entry)?;
            for pattern in &entry.patterns {
                rules.extend(scopes.iter().map(|scope| Ranked {
                    rule: Rule::Entry(entry, pattern),
                    pattern,
                    scope: scope.clone(),
                }));
            }
        }
        rules.extend(self.public.iter().map(|pattern| Ranked {
            rule: Rule::Public(pattern),
            pattern,
            scope: RankedScope::Everywhere,
        }));
        // A stable sort gives the same list for the same map.
        rules.sort_by_key(|rule| Reverse(rule.rank()));
        Ok(rules)
    }

    /// Globs of the namespaces that are exempt, in alphabetical order.
    #[must_use]
    pub fn exempt_namespaces(&self) -> Vec<&str> {
        sorted(&self.exempt, |()| true)
    }

    /// What `unknownRegistries` says about namespaces that globs name, and elsewhere.
    ///
    /// It fails if the scope of an override is a selector.
    pub fn unknown_actions(&self) -> Result<UnknownActions<'_>, SelectorInMap> {
        if !self.unknown.selectors.is_empty() {
            return Err(SelectorInMap::Override);
        }
        let overrides = self.unknown.overrides.iter().enumerate();
        let overrides = overrides
            .map(|(at, action)| (sorted(&self.unknown.namespaces, |of| *of == at), *action))
            // An override whose globs are all in earlier overrides never applies.
            .filter(|(globs, _)| !globs.is_empty());
        Ok(UnknownActions {
            overrides: overrides.collect(),
            default: self.unknown.default,
        })
    }
}

/// What [`Policy::unknown_actions`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownActions<'p> {
    /// Globs of namespaces and their action; the first item that covers a namespace
    /// applies.
    pub overrides: Vec<(Vec<&'p str>, Action)>,
    /// The action where no override applies.
    pub default: Action,
}

fn ranked_scopes(entry: &Entry) -> Result<Vec<RankedScope<'_>>, SelectorInMap> {
    let texts = match &entry.scope {
        Scope::Everywhere => return Ok(vec![RankedScope::Everywhere]),
        Scope::Selector(_) => {
            return Err(SelectorInMap::Entry {
                name: entry.name.clone(),
                location: entry.location.clone(),
            });
        }
        Scope::Namespaces(texts) => texts,
    };
    let (globs, names): (Vec<&str>, Vec<&str>) = texts
        .iter()
        .map(String::as_str)
        .partition(|text| glob::is_glob(text));
    let scopes = [RankedScope::Names(names), RankedScope::Globs(globs)];
    let is_used = |scope: &RankedScope<'_>| match scope {
        RankedScope::Everywhere => true,
        RankedScope::Globs(texts) | RankedScope::Names(texts) => !texts.is_empty(),
    };
    Ok(scopes.into_iter().filter(is_used).collect())
}

fn sorted<V>(map: &GlobMap<V>, wanted: impl Fn(&V) -> bool) -> Vec<&str> {
    let mut texts: Vec<&str> = map
        .all()
        .filter(|(_, value)| wanted(value))
        .map(|(text, _)| text)
        .collect();
    texts.sort_unstable();
    texts
}

#[cfg(test)]
mod tests {
    use crate::map::{self, Options, SourceFile};
    use crate::policy::precedence::SelectorInMap;
    use crate::policy::{
        Namespace, Policy, Ranked, RankedScope, Rule, canonical::Location, glob, pattern,
    };
    use jiff::Timestamp;

    const MAP: &str = r#"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: deep, match: "**.example"}
  - {name: one, match: "*.corp.example"}
  - {name: path, match: "*.corp.example/shop"}
  - {name: literal, match: registry.corp.example}
  - {name: named, match: registry.corp.example/shop, namespaces: [team-a]}
  - {name: globbed, match: registry.corp.example/shop, namespaces: ["team-*"]}
  - {name: ended, match: registry.corp.example/shop/web, until: 2001-01-01}
  - {name: hub, match: docker.io}
  - {name: ports, match: "registry.corp.example:*"}
  - {name: glob-ports, match: "*.corp.example:*/shop"}
publicRegistries: [docker.io, "*.corp.example/shop/web", quay.io]
unknownRegistries: deny
"#;

    fn first<'p>(ranked: &[Ranked<'p>], image: &str, namespace: &str) -> Option<Rule<'p>> {
        let reference = image_reference::Reference::parse(image).unwrap();
        let location = Location::of(&reference).unwrap();
        let covers = |rule: &&Ranked<'_>| {
            let exists = match &rule.scope {
                RankedScope::Everywhere => true,
                RankedScope::Globs(texts) | RankedScope::Names(texts) => {
                    texts.iter().any(|text| glob::matches(text, namespace))
                }
            };
            exists
                && rule.pattern.port().is_none_or(|port| port == location.port)
                && rule.pattern.covers_host(&location.host)
                && pattern::is_path_prefix(rule.pattern.path(), &location.path)
        };
        ranked.iter().find(covers).map(|rule| rule.rule)
    }

    fn policy() -> Policy {
        let file = SourceFile {
            name: "map".to_owned(),
            text: MAP.to_owned(),
        };
        map::load(&[file], &Options::default()).unwrap().policy
    }

    #[test]
    fn the_first_rule_that_covers_an_image_is_the_rule_that_the_index_finds() {
        let (policy, now) = (policy(), Timestamp::from_second(1_800_000_000).unwrap());
        let ranked = policy.ranked(now).unwrap();
        for host in [
            "registry.corp.example",
            "registry.corp.example:5000",
            "other.corp.example",
            "other.corp.example:5000",
            "a.b.example",
            "docker.io",
            "quay.io",
            "none.test",
        ] {
            for path in ["shop", "shop/web", "shop/web/x", "shopper", "a"] {
                for namespace in ["team-a", "team-b", "other"] {
                    let image = format!("{host}/{path}");
                    let judged = policy
                        .context(Some(Namespace::named(namespace)), now)
                        .judge(&image)
                        .unwrap()
                        .rule;
                    let found = first(&ranked, &image, namespace);
                    let found = found.and_then(|rule| rule.name());
                    assert_eq!(found, judged.name(), "{image} in {namespace}");
                }
            }
        }
    }

    #[test]
    fn a_selector_is_an_error_and_not_left_out() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let selector = "{matchLabels: {team: a}}";
        let of_entry = load(&format!(
            "registries:\n  - {{name: s, match: s.example, namespaceSelector: {selector}}}\n"
        ));
        assert_eq!(
            of_entry.ranked(now).unwrap_err().to_string(),
            "entry `s` (map:4) has a `namespaceSelector`"
        );
        assert!(of_entry.unknown_actions().is_ok());
        let of_override = load(&format!(
            "publicRegistries: []\nunknownRegistries: {{default: warn, overrides: [{{namespaceSelector: {selector}, action: deny}}]}}\n"
        ));
        assert_eq!(of_override.unknown_actions(), Err(SelectorInMap::Override));
        assert!(of_override.ranked(now).is_ok());
        let expired = load(&format!(
            "registries:\n  - {{name: s, match: s.example, until: 2001-01-01, namespaceSelector: {selector}}}\n"
        ));
        assert!(expired.ranked(now).is_ok());
    }

    fn load(rest: &str) -> Policy {
        let text = format!("apiVersion: pullpass.dev/v1\nkind: RegistryMap\n{rest}");
        let name = "map".to_owned();
        let files = [SourceFile { name, text }];
        map::load(&files, &Options::default()).unwrap().policy
    }
}
