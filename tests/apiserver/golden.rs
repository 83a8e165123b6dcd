//! Texts that people read, compared with files: `tests/apiserver/golden/NAME.txt`.
//! `UPDATE_GOLDEN=1` writes them anew; what changed is then read in the diff.

use std::path::PathBuf;
use std::{env, fs};

/// Compares the text with the file of that name.
#[track_caller]
pub(crate) fn same(name: &str, text: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/apiserver/golden");
    let file = folder.join(format!("{name}.txt"));
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(folder).unwrap();
        fs::write(file, text).unwrap();
        return;
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    let path = file.display();
    assert!(
        expected == text,
        "{path} says\n{expected}\nbut what was said is\n{text}\n(UPDATE_GOLDEN=1 takes it)"
    );
}
