//! "Did you mean": the rule of the map that is most similar to an image that no rule
//! covers.
//!
//! It is for messages only; similarity must not allow or deny an image. The work for an
//! image is bounded by a number of steps for any map, but it is not cheap: callers ask only
//! for images that they show, not for all images that they judge.

pub(crate) mod edits;
pub(crate) mod steps;

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::canonical::{self, HTTPS};
use super::{Action, Context, Entry, Pattern, RulePosition};
use edits::edits;
use steps::Steps;

/// How many hosts of the map are compared, in its order.
const MOST_HOSTS: usize = 2_000;

/// The steps for one image. A review shows some twenty images at most, so that even on a map in
/// which all hosts are similar it takes less than two milliseconds.
const MOST_STEPS: usize = 8_000;

/// How many patterns of one host are compared, in the map's order.
const MOST_PATTERNS: usize = 16;

/// The distinct hosts of the map, each with its first patterns.
#[derive(Debug, Default)]
pub(crate) struct Suggestions {
    hosts: Vec<Host>,
}

#[derive(Debug)]
struct Host {
    name: String,
    letters: Letters,
    port: Option<u16>,
    rules: Vec<RulePosition>,
}

/// A rule that the author of an image or a map may have meant.
#[derive(Debug, Clone, Copy)]
pub struct Suggestion<'p> {
    /// The pattern of the rule.
    pub pattern: &'p Pattern,
    /// Whether the rule is for the same host and port, so that only the path differs.
    pub same_registry: bool,
    /// Whether a typing error explains the difference.
    pub likely: bool,
}

/// How many letters of a path may differ for [`Suggestion::likely`].
const SLIPS: usize = 3;

/// In what a rule differs from an image, from the most similar to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Distance {
    Path(usize),
    Port,
    Host(usize),
}

impl Suggestions {
    pub(crate) fn build(entries: &[Entry], public: &[Pattern]) -> Self {
        let mut suggestions = Self::default();
        let mut known = std::collections::HashMap::new();
        let of_entries = entries.iter().enumerate().flat_map(|(entry, value)| {
            let patterns = value.patterns.iter().enumerate();
            patterns.map(move |(pattern, value)| (value, RulePosition::Entry { entry, pattern }))
        });
        let of_public = public.iter().enumerate();
        let of_public = of_public.map(|(at, value)| (value, RulePosition::Public(at)));
        // The public registries are few and come first, so that a long map does not crowd
        // them out.
        for (pattern, position) in of_public.chain(of_entries) {
            let key = (pattern.host(), pattern.port());
            let at = *known.entry(key).or_insert(suggestions.hosts.len());
            if at == suggestions.hosts.len() {
                if at == MOST_HOSTS {
                    break;
                }
                suggestions.hosts.push(Host {
                    name: pattern.host().to_owned(),
                    letters: Letters::of(pattern.host()),
                    port: pattern.port(),
                    rules: Vec::new(),
                });
            }
            if let Some(host) = suggestions.hosts.get_mut(at)
                && host.rules.len() < MOST_PATTERNS
            {
                host.rules.push(position);
            }
        }
        suggestions
    }
}

impl<'p> Context<'p, '_> {
    /// The pattern allowed in the namespace that is most similar to a registry,
    /// `host[:port]`, or a name, `host[:port]/path`: a pattern with the same host and
    /// another path or port comes before one with a similar host.
    ///
    /// It compares the first 2,000 hosts of the map, and stops after 8,000 steps; a host with
    /// the same name is found first.
    #[must_use]
    pub fn suggestion(&self, registry_or_name: &str) -> Option<Suggestion<'p>> {
        self.suggestion_within(&mut Steps::new(MOST_STEPS), registry_or_name)
    }

    fn suggestion_within(
        &self,
        steps: &mut Steps,
        registry_or_name: &str,
    ) -> Option<Suggestion<'p>> {
        let mut search = Search::new(registry_or_name);
        // What is found before the steps are used up counts.
        _ = self.search(&mut search, steps);
        search.best.map(|(distance, pattern)| Suggestion {
            pattern,
            same_registry: matches!(distance, Distance::Path(_)),
            likely: !matches!(distance, Distance::Path(letters) if letters > SLIPS),
        })
    }

    fn search(&self, search: &mut Search<'_, 'p>, steps: &mut Steps) -> ControlFlow<()> {
        let hosts = &self.policy.suggestions.hosts;
        let same = |known: &&Host| known.name == *search.host;
        let same: Vec<&Host> = hosts.iter().filter(same).collect();
        for known in same {
            let distance = if known.port.is_none() || known.port == search.port {
                Distance::Path(0)
            } else {
                Distance::Port
            };
            self.compare(known, distance, search, steps)?;
        }
        // A host with the same name is nearer than all others.
        if search.best.is_some() {
            return ControlFlow::Continue(());
        }
        for known in hosts {
            steps.take(1)?;
            // One error in eight letters allows for a typing error but not for another host.
            let most = (known.name.len() / 8).clamp(1, 3);
            if search.letters.least_edits(known.letters) > most {
                continue;
            }
            if let Some(letters) = edits(&search.host, &known.name, most, steps)? {
                self.compare(known, Distance::Host(letters), search, steps)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Compares the rules of a host with what was found before.
    fn compare(
        &self,
        known: &Host,
        distance: Distance,
        search: &mut Search<'_, 'p>,
        steps: &mut Steps,
    ) -> ControlFlow<()> {
        for position in &known.rules {
            if search.best.is_some_and(|(nearest, _)| nearest <= distance) {
                break;
            }
            let Some((pattern, scope)) = self.rule_at(*position) else {
                continue;
            };
            let distance = match distance {
                Distance::Path(_) => {
                    Distance::Path(path_distance(search.path, pattern.path(), steps)?)
                }
                other => other,
            };
            if search.best.is_some_and(|(nearest, _)| nearest <= distance) {
                continue;
            }
            steps.take(1 + scope)?;
            if self.allows(*position) {
                search.best = Some((distance, pattern));
            }
        }
        ControlFlow::Continue(())
    }

    /// The pattern of a rule, and the size of the scope of its entry.
    fn rule_at(&self, position: RulePosition) -> Option<(&'p Pattern, usize)> {
        match position {
            RulePosition::Public(at) => Some((self.policy.public.get(at)?, 0)),
            RulePosition::Entry { entry, pattern } => {
                let entry = self.policy.entries.get(entry)?;
                Some((entry.patterns.get(pattern)?, entry.scope.size()))
            }
        }
    }

    fn allows(&self, position: RulePosition) -> bool {
        let RulePosition::Entry { entry, .. } = position else {
            return true;
        };
        self.policy.entries.get(entry).is_some_and(|entry| {
            matches!(entry.action, Action::Allow | Action::Audit)
                && !entry.is_expired(self.now)
                && entry.exists_in(self.namespace)
        })
    }
}

/// One search for a suggestion.
struct Search<'t, 'p> {
    host: Cow<'t, str>,
    letters: Letters,
    // `None` for a port that no server can have.
    port: Option<u16>,
    path: &'t str,
    best: Option<(Distance, &'p Pattern)>,
}

impl<'t> Search<'t, '_> {
    fn new(registry_or_name: &'t str) -> Self {
        let (registry, path) = registry_or_name
            .split_once('/')
            .unwrap_or((registry_or_name, ""));
        let (host, digits) = match registry.rsplit_once(':') {
            Some((host, digits)) if !digits.ends_with(']') => (host, Some(digits)),
            _ => (registry, None),
        };
        let host = canonical::host(host);
        Self {
            letters: Letters::of(&host),
            host,
            port: digits.map_or(Some(HTTPS), canonical::port),
            path,
            best: None,
        }
    }
}

/// Which letters a word has, as a set.
#[derive(Debug, Clone, Copy)]
struct Letters(u64);

impl Letters {
    fn of(word: &str) -> Self {
        let bit = |byte: u8| match byte {
            b'a'..=b'z' => byte - b'a',
            b'0'..=b'9' => 26 + byte - b'0',
            _ => 36 + byte % 28,
        };
        Self(word.bytes().fold(0, |set, byte| set | 1 << bit(byte)))
    }

    /// The edits without which no word with these letters becomes one with the others: an
    /// edit removes one letter and adds one at most.
    fn least_edits(self, other: Self) -> usize {
        ((self.0 ^ other.0).count_ones() as usize).div_ceil(2)
    }
}

/// The edit distance of the beginning of a path from a pattern's path; 9 stands for all
/// distances above 8.
fn path_distance(path: &str, pattern: &str, steps: &mut Steps) -> ControlFlow<(), usize> {
    let parts = pattern.split('/').count();
    let end = path
        .match_indices('/')
        .nth(parts - 1)
        .map_or(path.len(), |(at, _)| at);
    let beginning = path.get(..end).unwrap_or(path);
    ControlFlow::Continue(edits(beginning, pattern, 8, steps)?.unwrap_or(9))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Parts, Policy, Scope};
    use jiff::Timestamp;

    fn policy(hosts: impl Iterator<Item = String>) -> Policy {
        let entry = |host: String| Entry {
            name: host.clone(),
            patterns: vec![Pattern::parse(&host).unwrap()],
            pull_secrets: Vec::new(),
            action: Action::Allow,
            reason: None,
            from: None,
            until: None,
            replace_with: None,
            scope: Scope::Everywhere,
            location: String::new(),
        };
        Policy::new(Parts {
            entries: hosts.map(entry).collect(),
            ..Parts::default()
        })
    }

    /// The pattern that is suggested, and the steps that it took to find it.
    fn suggest(policy: &Policy, registry: &str) -> (Option<String>, usize) {
        let steps = &mut Steps::new(MOST_STEPS);
        let context = policy.context(None, Timestamp::UNIX_EPOCH);
        let found = context.suggestion_within(steps, registry);
        let found = found.map(|suggestion| suggestion.pattern.text.clone());
        (found, MOST_STEPS - steps.left())
    }

    #[test]
    fn a_map_of_similar_hosts_takes_no_more_steps_than_the_limit() {
        for filling in ["", &"x".repeat(180)] {
            let host = |at: usize| format!("a{at:04}{filling}z{at:04}.example");
            let policy = policy((0..MOST_HOSTS).map(host));
            let (found, steps) = suggest(&policy, &format!("a0101{filling}z0011.example"));
            assert!(found.is_some(), "{steps}");
            assert_eq!(steps, MOST_STEPS, "the steps are used up");
            // The same host is found at the end of the map too.
            let last = host(MOST_HOSTS - 1);
            let (found, steps) = suggest(&policy, &format!("{last}:5000"));
            assert_eq!(found, Some(last));
            assert!(steps < 100, "{steps}");
        }
    }

    #[test]
    fn a_typing_error_is_found_at_the_end_of_a_long_map() {
        let words = ["alpha", "bravo", "delta", "kilo", "tango"];
        let host = |at: usize| format!("{}-{at}.{}.example", words[at % 5], words[at / 7 % 5]);
        let hosts = (1..MOST_HOSTS).map(host);
        let policy = policy(hosts.chain(["quay.registry.test".to_owned()]));
        let (found, steps) = suggest(&policy, "quya.registry.test");
        assert_eq!(found.as_deref(), Some("quay.registry.test"), "{steps}");
    }
}
