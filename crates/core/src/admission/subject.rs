//! Which pod of a request an endpoint looks at, and which of its images.
//!
//! What is not looked at is allowed untouched. It must not judge: it says only whether
//! there is something to judge.

use super::Endpoint;
use super::pod::Pod;
use super::request::{Operation, Request, Subject};
use crate::policy::Field;
use std::collections::HashSet;

/// The pod that an endpoint looks at; a workload counts as the pod that it makes.
pub(super) fn pod<'r, 'a>(endpoint: Endpoint, request: &'r Request<'a>) -> Option<&'r Pod<'a>> {
    let pod = request.object.as_ref()?;
    let is_looked_at = match endpoint {
        Endpoint::Mutate => is_patched(request, pod),
        Endpoint::Validate => is_judged(request, pod),
        Endpoint::Workloads(_) => is_previewed(request, pod),
    };
    is_looked_at.then_some(pod)
}

/// The images of the pod that are to be judged.
///
/// On `UPDATE` those that the pod did not have before, in any field: an old pod
/// must stay changeable (labels, finalizers) when the map has changed, and what is
/// running has been admitted. The API server reasons the same way in
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

/// `/mutate` looks at new pods only: `spec.imagePullSecrets` can only be set when a pod
/// is created. On an `UPDATE` a patch of it is an error (`ValidatePodUpdate`), on
/// `pods/ephemeralcontainers` the API server drops it silently. A mirror pod may not
/// reference any secret (`plugin/pkg/admission/serviceaccount`): a patch would make it
/// vanish.
fn is_patched(request: &Request<'_>, pod: &Pod<'_>) -> bool {
    let is_new = request.subject == Subject::Pod && request.operation == Operation::Create;
    is_new && !pod.is_mirror()
}

/// `/validate` judges pods and ephemeral containers. Only a kubelet makes mirror pods;
/// the annotation alone, which anybody can write, exempts nobody.
fn is_judged(request: &Request<'_>, pod: &Pod<'_>) -> bool {
    let is_asked = matches!(
        (request.subject, request.operation),
        (Subject::Pod, Operation::Create | Operation::Update)
            | (Subject::EphemeralContainers, Operation::Update)
    );
    let is_static_pod = pod.is_mirror() && request.from_node;
    is_asked && !is_static_pod && !is_being_deleted(request)
}

/// `/validate-workloads` looks at workloads that a person applies. What a controller owns
/// (the ReplicaSet of a Deployment, the Job of a `CronJob`) was previewed with its owner,
/// and a controller reads no warnings; a denial would be a second one beside that of the
/// pods. Whoever writes such an owner by hand hides a workload from this webhook, and its
/// pods from none.
fn is_previewed(request: &Request<'_>, pod: &Pod<'_>) -> bool {
    let is_asked = matches!(request.subject, Subject::Workload(_))
        && matches!(request.operation, Operation::Create | Operation::Update);
    is_asked && !is_being_deleted(request) && pod.controller().is_none()
}

fn is_being_deleted(request: &Request<'_>) -> bool {
    let old = request.old_object.as_ref();
    old.is_some_and(Pod::is_being_deleted)
}
