//! stub
/// TMP
pub fn key_matches(_: &str, _: &str) -> bool { true }
