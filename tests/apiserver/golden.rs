//! Texts that people read, compared with files: `tests/apiserver/golden/NAME.txt`.

#[path = "../golden.rs"]
mod files;

/// Compares the text with the file of that name.
#[track_caller]
pub(crate) fn same(name: &str, text: &str) {
    files::same(format!("tests/apiserver/golden/{name}.txt"), text);
}
