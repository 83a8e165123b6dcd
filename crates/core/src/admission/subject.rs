//! The pod of a request that an endpoint looks at, and the images of it that it judges.
//!
//! If an endpoint looks at no pod, the request is allowed unchanged. This module must not
//! judge images.

use super::Endpoint;
use super::pod::Pod;
use super::request::{Operation, Request, Subject};
use crate::policy::Field;
use std::collections::HashSet;

/// The pod that an endpoint looks at; for a workload, the pod that it makes.
pub(super) fn pod<'r, 'a>(endpoint: Endpoint, request: &'r Request<'a>) -> Option<&'r Pod<'a>> {
    let pod = request.object.as_ref()?;
    let is_relevant = match endpoint {
        Endpoint::Mutate => is_patched(request, pod),
        Endpoint::Validate => is_judged(request, pod),
        Endpoint::Workloads(_) => is_previewed(request, pod),
    };
    is_relevant.then_some(pod)
}

/// The images of the pod that the endpoint judges.
///
/// On `UPDATE` these are the images that the pod did not have before in any field: running
/// images have been admitted, and labels and finalizers of an old pod must stay changeable
/// after the map changes. The API server does the same in
/// `plugin/pkg/admission/alwayspullimages` (`isUpdateWithNoNewImages`).
pub(super) fn images<'r>(
    request: &'r Request<'_>,
    pod: &'r Pod<'_>,
) -> impl Iterator<Item = (Field, &'r str)> {
    let old: HashSet<&str> = match (request.operation, &request.old_object) {
        (Operation::Update, Some(old)) => old.images().map(|(_, image)| image).collect(),
        _ => HashSet::new(),
    };
    pod.images().filter(move |(_, image)| !old.contains(image))
}

/// `/mutate` looks only at pods that are created, because `spec.imagePullSecrets` cannot be
/// set later: on `UPDATE` a patch of it is an error (`ValidatePodUpdate`), and on
/// `pods/ephemeralcontainers` the API server silently drops it. Mirror pods are left out,
/// because they must not reference a Secret (`plugin/pkg/admission/serviceaccount`): with a
/// patch, the API server would refuse them.
fn is_patched(request: &Request<'_>, pod: &Pod<'_>) -> bool {
    let is_new = request.subject == Subject::Pod && request.operation == Operation::Create;
    is_new && !pod.is_mirror()
}

/// `/validate` judges pods and ephemeral containers, except mirror pods. Only a kubelet makes
/// those, and anybody can write their annotation, so the annotation counts only if a kubelet
/// sends the request.
fn is_judged(request: &Request<'_>, pod: &Pod<'_>) -> bool {
    let is_judged_subject = matches!(
        (request.subject, request.operation),
        (Subject::Pod, Operation::Create | Operation::Update)
            | (Subject::EphemeralContainers, Operation::Update)
    );
    let is_static_pod = pod.is_mirror() && request.from_node;
    is_judged_subject && !is_static_pod && !is_being_deleted(request)
}

/// `/validate-workloads` looks at workloads without a controller. A workload that a
/// controller owns (the ReplicaSet of a Deployment, the Job of a `CronJob`) was previewed with
/// its owner, controllers ignore warnings, and its pods are denied anyway. A user who forges
/// such an owner hides a workload from this webhook, but not its pods from `/validate`.
fn is_previewed(request: &Request<'_>, pod: &Pod<'_>) -> bool {
    let is_workload = matches!(request.subject, Subject::Workload(_))
        && matches!(request.operation, Operation::Create | Operation::Update);
    is_workload && !is_being_deleted(request) && pod.controller().is_none()
}

fn is_being_deleted(request: &Request<'_>) -> bool {
    let old = request.old_object.as_ref();
    old.is_some_and(Pod::is_being_deleted)
}
