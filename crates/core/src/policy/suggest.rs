//! "Did you mean": the rule of the map that is most similar to an image that no rule
//! covers.
//!
//! It is for messages only; similarity must not allow or deny an image. The work is
//! bounded for any size of map, but it is not cheap: callers ask only for images that
//! they show, not for all images that they judge.

use super::canonical::{self, HTTPS};
use super::{Action, Context, Entry, Pattern, RulePosition};

/// How many hosts of the map are compared, in its order.
const MOST_HOSTS: usize = 2_000;

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
    port: u16,
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
    /// It compares the first 2,000 hosts of the map at most.
    #[must_use]
    pub fn suggestion(&self, registry_or_name: &str) -> Option<Suggestion<'p>> {
        let (registry, path) = registry_or_name
            .split_once('/')
            .unwrap_or((registry_or_name, ""));
        let (host, digits) = match registry.rsplit_once(':') {
            Some((host, digits)) if !digits.ends_with(']') => (host, Some(digits)),
            _ => (registry, None),
        };
        let host = canonical::host(host);
        let port = digits.map_or(Some(HTTPS), canonical::port);
        let mut best: Option<(Distance, &Pattern)> = None;
        for known in &self.policy.suggestions.hosts {
            let Some(distance) = host_distance(&host, port, known) else {
                continue;
            };
            for position in &known.rules {
                let Some(pattern) = self.allowed(*position) else {
                    continue;
                };
                let distance = match distance {
                    Distance::Path(_) => Distance::Path(path_distance(path, pattern.path())),
                    other => other,
                };
                if best.is_none_or(|(nearest, _)| distance < nearest) {
                    best = Some((distance, pattern));
                }
            }
        }
        best.map(|(distance, pattern)| Suggestion {
            pattern,
            same_registry: matches!(distance, Distance::Path(_)),
            likely: !matches!(distance, Distance::Path(letters) if letters > SLIPS),
        })
    }

    fn allowed(&self, position: RulePosition) -> Option<&'p Pattern> {
        match position {
            RulePosition::Public(at) => self.policy.public.get(at),
            RulePosition::Entry { entry, pattern } => {
                let entry = self.policy.entries.get(entry)?;
                let allowed = matches!(entry.action.action(), Action::Allow | Action::Audit)
                    && entry.exists_in(self.namespace)
                    && !entry.is_expired(self.now);
                entry.patterns.get(pattern).filter(|_| allowed)
            }
        }
    }
}

fn host_distance(host: &str, port: Option<u16>, known: &Host) -> Option<Distance> {
    if host == known.name {
        return Some(if port == Some(known.port) {
            Distance::Path(0)
        } else {
            Distance::Port
        });
    }
    // One error in eight letters allows for a typing error but not for another host.
    let most = (known.name.len() / 8).clamp(1, 3);
    edits(host, &known.name, most).map(Distance::Host)
}

/// The edit distance of the beginning of a path from a pattern's path; 9 stands for all
/// distances above 8.
fn path_distance(path: &str, pattern: &str) -> usize {
    let parts = pattern.split('/').count();
    let end = path
        .match_indices('/')
        .nth(parts - 1)
        .map_or(path.len(), |(at, _)| at);
    let beginning = path.get(..end).unwrap_or(path);
    edits(beginning, pattern, 8).unwrap_or(9)
}

/// How many letters must be inserted, deleted, replaced or swapped with their neighbor to
/// turn one word into the other; `None` if these are more than `most`.
pub(crate) fn edits(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (row, letter) in a.iter().enumerate() {
        let mut here = Vec::with_capacity(b.len() + 1);
        here.push(row + 1);
        let mut left = row + 1;
        for (column, other) in b.iter().enumerate() {
            let cell = |line: &[usize], at: usize| line.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut least = cell(&above, column) + usize::from(letter != other);
            least = least.min(cell(&above, column + 1) + 1).min(left + 1);
            let swapped = row > 0
                && column > 0
                && a.get(row - 1) == Some(other)
                && b.get(column - 1) == Some(letter);
            if swapped {
                least = least.min(cell(&before, column - 1) + 1);
            }
            here.push(least);
            left = least;
        }
        if here.iter().min().is_some_and(|least| *least > most) {
            return None;
        }
        before = std::mem::replace(&mut above, here);
    }
    above.last().copied().filter(|edits| *edits <= most)
}
