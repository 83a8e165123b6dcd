//! The file descriptors of the process: as many as it may have, and how many are left for
//! connections.
//!
//! A container gets a soft limit of 1,024 from some runtimes, kept that low for programs that use
//! `select`. pullpass does not, so it raises the limit as far as it may. Opens and closes nothing.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For everything else: files that are read again, the log, the API server, both ports.
const RESERVED: u64 = 128;

/// How many connections can be open at once.
pub(super) fn available() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    let available = limit.unwrap_or(u64::MAX).saturating_sub(RESERVED);
    usize::try_from(available).unwrap_or(usize::MAX)
}
