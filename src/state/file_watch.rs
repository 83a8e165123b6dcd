//! Notices when the content of files has changed.
//!
//! The files are read again; the kernel is not asked for events. The kubelet changes a mounted
//! `ConfigMap` or `Secret` by swapping a symbolic link two levels up, some file systems send
//! no events at all, and reading a few small files a second costs nothing. Contents are
//! compared, never times or names. This module must not know what the files mean.

use std::thread;
use std::time::Duration;

/// How often files that change while they are read are read again.
const READINGS: usize = 5;
/// The pause between two readings, in which a swap is over.
const PAUSE: Duration = Duration::from_millis(5);

/// Content that `R` reads, and what it was when last read.
#[derive(Debug)]
pub struct FileWatch<R, T> {
    read: R,
    seen: T,
}

impl<R: Fn() -> T, T: PartialEq> FileWatch<R, T> {
    /// Reads for the first time.
    pub fn new(read: R) -> Self {
        let seen = stable(&read).unwrap_or_else(|last| last);
        Self { read, seen }
    }

    /// What was last read.
    pub fn content(&self) -> &T {
        &self.seen
    }

    /// Reads again: the content, if it is another than before.
    ///
    /// Several files are never mixed from two versions: what is new counts only when
    /// two readings on end agree, otherwise it waits for the next call.
    pub fn changed(&mut self) -> Option<&T> {
        if (self.read)() == self.seen {
            return None;
        }
        let new = stable(&self.read).ok()?;
        if new == self.seen {
            return None;
        }
        self.seen = new;
        Some(&self.seen)
    }
}

/// Reads until two readings agree; `Err` is the last one when they never do.
fn stable<T: PartialEq>(read: impl Fn() -> T) -> Result<T, T> {
    let mut last = read();
    for _ in 0..READINGS {
        let again = read();
        if again == last {
            return Ok(again);
        }
        last = again;
        thread::sleep(PAUSE);
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Reads these one after the other, and the last one for ever.
    fn script(contents: &'static [&'static str]) -> impl Fn() -> &'static str {
        let next = RefCell::new(0);
        move || {
            let mut next = next.borrow_mut();
            let content = contents[*next];
            *next = (*next + 1).min(contents.len() - 1);
            content
        }
    }

    #[test]
    fn what_stays_the_same_is_no_change() {
        let mut watch = FileWatch::new(script(&["a"]));
        assert_eq!(watch.content(), &"a");
        assert_eq!(watch.changed(), None);
    }

    #[test]
    fn a_half_swapped_state_is_never_given_out() {
        let mut watch = FileWatch::new(script(&["old", "old", "half", "half-2", "new", "new"]));
        assert_eq!(watch.changed(), Some(&"new"));
        assert_eq!(watch.changed(), None);
    }

    #[test]
    fn a_change_that_was_taken_back_is_none() {
        let mut watch = FileWatch::new(script(&["a", "a", "b", "a", "a"]));
        assert_eq!(watch.changed(), None);
    }
}
