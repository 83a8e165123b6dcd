//! The differences between the generated policies and pullpass, which `generate policy`
//! prints with the policies.
//!
//! The list must name every difference: `tests/apiserver/intree.rs` fails on others.

use super::Target;
use crate::policy::Policy;
use jiff::Timestamp;

/// One sentence for each difference of the policies for a map, a time and a version of
/// Kubernetes.
#[must_use]
pub fn gaps(policy: &Policy, now: Timestamp, target: Target) -> Vec<String> {
    let dates = policy.next_change(now).map_or_else(
        || format!("the policies are made for {now}; the map has no later date"),
        |at| {
            format!(
                "the policies are made for {now}; a date of the map makes them wrong from {at} \
                 on: generate them again"
            )
        },
    );
    let mut gaps = vec![dates];
    if target == Target::V1_30 {
        gaps.push(
            "the policies add no pull secrets; this needs Kubernetes 1.36 (--for 1.36)".to_owned(),
        );
    }
    gaps.extend(ALWAYS.map(str::to_owned));
    gaps
}

const ALWAYS: [&str; 12] = [
    "an IP address is recognized only in its canonical spelling; any other spelling (012.0.0.5, 0xa000005, ::ffff:a00:5) is unknown, unless a host with `*` covers that text",
    "Amazon ECR has one name: its hosts for IPv6 and FIPS (ecr-public.aws.com, *.dkr-ecr.*.on.aws, *.dkr.ecr-fips.*.amazonaws.com) are unknown, unless a host with `*` covers them",
    "an image with more than 1,024 characters is unknown, whatever its host",
    "a pod with so many images that they exceed CEL's cost limit is denied with a message of the API server (failurePolicy: Fail)",
    "there is one message for each action and pod; it names the first image and the number of the others, without fields or suggestions",
    "a denied pod can get warnings too",
    "if a pod fails several policies, the API server's audit log names only one of them",
    "there is no warning that an entry expires soon, that a pull secret is missing, or that the kubelet will not find the credential for a spelling",
    "there are no metrics, no logs and no decision records, only the API server's own audit annotation",
    "there are no warnings about workloads, only about pods",
    "there is no `serve --observe`; write [Warn, Audit] instead of [Deny, Audit] into the binding",
    "the namespace of pullpass is exempt only if exemptNamespaces names it",
];
