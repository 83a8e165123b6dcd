//! Golden files: what came out, compared with what somebody has read and found right.
//! `UPDATE_GOLDEN=1` writes them anew; the change is then read in the diff.

use std::path::Path;
use std::{env, fs};

/// Compares the text with the file, whose path is the repository's.
#[track_caller]
pub(crate) fn same(file: impl AsRef<Path>, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        return;
    }
    // None at all differs too.
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        expected == text,
        "{} says\n{expected}\nbut what came out is\n{text}\n(UPDATE_GOLDEN=1 takes it)",
        file.display()
    );
}
