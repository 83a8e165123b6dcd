//! The map's precedence as a value: what ranks before what.
//!
//! The index asks it when several hosts with `*` cover an image; [`Policy::ranked`]
//! writes the whole map down in this order, for who has to carry it elsewhere: there
//! the first rule that covers an image decides. It must not look at an image.

use super::glob::GlobMap;
use super::{Action, Pattern, Policy, Rule, glob};
use jiff::Timestamp;

/// How close a pattern is; the greater goes first. The order of the fields counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// A host that is written out goes before any with `*`.
    pub(super) is_literal: bool,
    pub(super) literal_characters: usize,
    /// Length of the path that covers the image's.
    pub(super) path: usize,
    /// `registries` go before `publicRegistries`.
    pub(super) is_entry: bool,
}

/// In which namespaces a rule exists, the least close first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope<'p> {
    /// In all.
    Everywhere,
    /// In those that one of the globs covers.
    Globs(Vec<&'p str>),
    /// In those of these names.
    Names(Vec<&'p str>),
}

/// One pattern of the map, in one kind of scope.
#[derive(Debug, Clone)]
pub struct Ranked<'p> {
    /// An entry or a public registry.
    pub rule: Rule<'p>,
    /// The pattern of it.
    pub pattern: &'p Pattern,
    /// Where it exists.
    pub scope: Scope<'p>,
}

impl Ranked<'_> {
    fn rank(&self) -> Rank {
        Rank {
            is_literal: !self.pattern.is_glob(),
            literal_characters: self.pattern.literal_characters(),
            path: self.pattern.path().len(),
            is_entry: matches!(self.rule, Rule::Entry(..)),
        }
    }

    fn closeness(&self) -> u8 {
        match self.scope {
            Scope::Everywhere => 0,
            Scope::Globs(_) => 1,
            Scope::Names(_) => 2,
        }
    }
}

impl Policy {
    /// All rules that have not ended, in the order in which they decide: the first
    /// that exists in the namespace and covers the image.
    ///
    /// The port and host are part of the pattern, so rules of different hosts may
    /// stand in any order to each other; the map has no other ties.
    #[must_use]
    pub fn ranked(&self, now: Timestamp) -> Vec<Ranked<'_>> {
        let entries = self.entries.iter().filter(|entry| !entry.has_ended(now));
        let mut rules: Vec<Ranked<'_>> = entries
            .flat_map(|entry| {
                entry.patterns.iter().flat_map(move |pattern| {
                    let rule = Rule::Entry(entry, pattern);
                    scopes(entry.namespaces.as_deref())
                        .into_iter()
                        .map(move |scope| Ranked {
                            rule,
                            pattern,
                            scope,
                        })
                })
            })
            .collect();
        rules.extend(self.public.iter().map(|pattern| Ranked {
            rule: Rule::Public(pattern),
            pattern,
            scope: Scope::Everywhere,
        }));
        // Stable, so that the same map gives the same list.
        rules.sort_by_key(|rule| std::cmp::Reverse((rule.rank(), rule.closeness())));
        rules
    }

    /// Globs of the namespaces that are exempt, in the order of the alphabet.
    #[must_use]
    pub fn exempt_namespaces(&self) -> Vec<&str> {
        sorted(&self.exempt, |()| true)
    }

    /// What `unknownRegistries` says: globs and their action, of which the first that
    /// covers a namespace holds, and what holds elsewhere.
    #[must_use]
    pub fn unknown_actions(&self) -> (Vec<(Vec<&str>, Action)>, Action) {
        let overrides = self.unknown.overrides.iter().enumerate();
        let overrides = overrides
            .map(|(at, action)| (sorted(&self.unknown.namespaces, |of| *of == at), *action))
            .filter(|(globs, _)| !globs.is_empty());
        (overrides.collect(), self.unknown.default)
    }

    /// When the map next means something else by itself: an entry ends, or a deny
    /// begins.
    #[must_use]
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.entries
            .iter()
            .filter(|entry| !entry.has_ended(now))
            .flat_map(|entry| [entry.from, entry.until])
            .flatten()
            .filter(|at| now < *at)
            .min()
    }
}

fn scopes(namespaces: Option<&[String]>) -> Vec<Scope<'_>> {
    let Some(namespaces) = namespaces else {
        return vec![Scope::Everywhere];
    };
    let (globs, names): (Vec<&str>, Vec<&str>) = namespaces
        .iter()
        .map(String::as_str)
        .partition(|text| glob::is_glob(text));
    let mut scopes = Vec::new();
    if !names.is_empty() {
        scopes.push(Scope::Names(names));
    }
    if !globs.is_empty() {
        scopes.push(Scope::Globs(globs));
    }
    scopes
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
    use crate::policy::{Namespace, Policy, Ranked, Rule, Scope, canonical::Place, glob, pattern};
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
publicRegistries: [docker.io, "*.corp.example/shop/web", quay.io]
unknownRegistries: deny
"#;

    fn first<'p>(ranked: &[Ranked<'p>], image: &str, namespace: &str) -> Option<Rule<'p>> {
        let reference = image_reference::Reference::parse(image).unwrap();
        let place = Place::of(&reference).unwrap();
        let covers = |rule: &&Ranked<'_>| {
            let exists = match &rule.scope {
                Scope::Everywhere => true,
                Scope::Globs(texts) | Scope::Names(texts) => {
                    texts.iter().any(|text| glob::matches(text, namespace))
                }
            };
            exists
                && rule.pattern.port() == place.port
                && rule.pattern.covers_host(&place.host)
                && pattern::is_path_prefix(rule.pattern.path(), &place.path)
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
    fn the_first_that_covers_an_image_is_what_the_index_finds() {
        let (policy, now) = (policy(), Timestamp::from_second(1_800_000_000).unwrap());
        let ranked = policy.ranked(now);
        for host in [
            "registry.corp.example",
            "other.corp.example",
            "a.b.example",
            "docker.io",
            "quay.io",
            "none.test",
        ] {
            for path in ["shop", "shop/web", "shop/web/x", "shopper", "a"] {
                for namespace in ["team-a", "team-b", "other"] {
                    let image = format!("{host}/{path}");
                    let judged = policy
                        .judge(&image, Some(Namespace::named(namespace)), now)
                        .unwrap()
                        .rule;
                    let found = first(&ranked, &image, namespace);
                    let found = found.and_then(|rule| rule.name());
                    assert_eq!(found, judged.name(), "{image} in {namespace}");
                }
            }
        }
    }
}
