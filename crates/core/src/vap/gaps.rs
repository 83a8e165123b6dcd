//! What the policies cannot say that pullpass says: printed with every one of them.
//! It must name every difference; `tests/apiserver/intree.rs` allows no other.

use super::Target;
use crate::policy::Policy;
use jiff::Timestamp;

/// One sentence for each.
#[must_use]
pub fn gaps(policy: &Policy, now: Timestamp, target: Target) -> Vec<String> {
    let dates = policy.next_change(now).map_or_else(
        || format!("made for {now}; the map has no later date in it"),
        |at| {
            format!("made for {now}; a date of the map makes it wrong from {at} on: generate again")
        },
    );
    let mut gaps = vec![dates];
    if target == Target::V1_30 {
        gaps.push("no pull secret is added: that needs Kubernetes 1.36 (--for 1.36)".to_owned());
    }
    gaps.extend(ALWAYS.map(str::to_owned));
    gaps
}

const ALWAYS: [&str; 11] = [
    "an IP address counts in its canonical spelling; any other (012.0.0.5, 0xa000005, ::ffff:a00:5) is unknown, or what a host with `*` says of that text",
    "an image of more than 1,024 characters is unknown, whatever its host",
    "a pod with so many images that CEL's budget is used up is refused with the API server's words (failurePolicy: Fail)",
    "one message for each action and pod: the first image and how many more; no field, no nearest entry",
    "a refused pod may be warned about as well",
    "of several policies that a pod fails, the API server's audit log names one only",
    "no warning that an entry ends soon, that a secret is missing, or that the kubelet will not find a spelling's credentials",
    "no metrics, no log, no record of the decision but the API server's own audit annotation",
    "no warning on workloads, only on pods",
    "no `serve --observe`: write [Warn, Audit] for [Deny, Audit] into the binding instead",
    "pullpass's own namespace is exempt only where exemptNamespaces names it",
];
