//! stub: replaced by the policy work
/// A pattern of the map: `host[:port][/path]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// As written.
    pub text: String,
}
