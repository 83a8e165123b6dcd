//! The forms of what `check` prints.
