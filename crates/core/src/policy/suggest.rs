//! "Did you mean": the rule that somebody probably had in mind.
//!
//! For messages only; nothing is allowed or refused by likeness. The work is bounded
//! however large the map is, but it is not small: ask for images that are shown, not
//! for all that are judged.

use super::canonical::{self, HTTPS};
use super::{Action, Context, Entry, Pattern, Target};

/// How many hosts of the map are compared, in its order.
const MOST_HOSTS: usize = 2_000;

/// How many patterns of one host are compared, in the map's order.
const MOST_PATTERNS: usize = 16;

/// The hosts of the map that can be told from each other, with their first patterns.
#[derive(Debug, Default)]
pub(crate) struct Suggestions {
    hosts: Vec<Host>,
}

#[derive(Debug)]
struct Host {
    name: String,
    port: u16,
    rules: Vec<Target>,
}

/// A rule that somebody may have had in mind.
#[derive(Debug, Clone, Copy)]
pub struct Suggestion<'p> {
    /// Its pattern.
    pub pattern: &'p Pattern,
    /// Whether it is for the image's host and port, and only the path is another.
    pub same_registry: bool,
    /// Whether a slip of the hand would explain the difference.
    pub likely: bool,
}

/// How many letters of a path may be other for [`Suggestion::likely`].
const SLIPS: usize = 3;

/// What of a rule is another, nearest first.
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
            patterns.map(move |(pattern, value)| (value, Target::Entry { entry, pattern }))
        });
        let of_public = public.iter().enumerate();
        let of_public = of_public.map(|(at, value)| (value, Target::Public(at)));
        // The short list first, so that a long map does not push it out.
        for (pattern, target) in of_public.chain(of_entries) {
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
                host.rules.push(target);
            }
        }
        suggestions
    }
}

impl<'p> Context<'p, '_> {
    /// The pattern most like a registry, `host[:port]`, or a name, `host[:port]/path`,
    /// that is allowed in the namespace: the same host with another path or port
    /// first, then a host that is spelled nearly so.
    ///
    /// Looks at the first 2,000 hosts of the map at most.
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
            for target in &known.rules {
                let Some(pattern) = self.allowed(*target) else {
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

    fn allowed(&self, target: Target) -> Option<&'p Pattern> {
        match target {
            Target::Public(at) => self.policy.public.get(at),
            Target::Entry { entry, pattern } => {
                let entry = self.policy.entries.get(entry)?;
                let allowed = matches!(entry.action, Action::Allow | Action::Audit)
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
    // One slip in eight letters: enough for a typing error, too few for another host.
    let most = (known.name.len() / 8).clamp(1, 3);
    edits(host, &known.name, most).map(Distance::Host)
}

/// How far the beginning of a path is from a pattern's; far is all the same.
fn path_distance(path: &str, pattern: &str) -> usize {
    let parts = pattern.split('/').count();
    let end = path
        .match_indices('/')
        .nth(parts - 1)
        .map_or(path.len(), |(at, _)| at);
    let beginning = path.get(..end).unwrap_or(path);
    edits(beginning, pattern, 8).unwrap_or(9)
}

/// Letters to put in, take out, change or swap with their neighbour to make one word
/// of the other, if no more than `most`.
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
