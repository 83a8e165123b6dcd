//! Whether some background work succeeds, and why not.
//!
//! The work is tried again and again; the log says so once for each new reason, and once
//! when the work succeeds again. This module must not log: the messages stay with
//! its callers.

use arc_swap::ArcSwapOption;
use std::sync::Arc;

/// The last problem of some work, until the work succeeds.
#[derive(Debug, Default)]
pub struct Health(ArcSwapOption<String>);

impl Health {
    /// Why the work fails; `None` while it succeeds.
    #[must_use]
    pub fn problem(&self) -> Option<Arc<String>> {
        self.0.load_full()
    }

    /// Takes down a problem; whether it is another one than before, and ought to be logged.
    #[must_use]
    pub fn fails(&self, problem: &str) -> bool {
        let before = self.0.swap(Some(Arc::new(problem.to_owned())));
        before.is_none_or(|before| *before != problem)
    }

    /// Takes down that the work succeeds; whether it failed before, and ought to be logged.
    #[must_use]
    pub fn succeeds(&self) -> bool {
        self.0.swap(None).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_and_its_end_are_news_once() {
        let health = Health::default();
        assert!(!health.succeeds());
        assert!(health.fails("no route"));
        assert!(!health.fails("no route"));
        assert!(health.fails("no right"));
        assert_eq!(health.problem().unwrap().as_str(), "no right");
        assert!(health.succeeds());
        assert!(!health.succeeds());
        assert_eq!(health.problem(), None);
    }
}
