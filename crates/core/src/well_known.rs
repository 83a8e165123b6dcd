//! Names that Kubernetes objects carry and that more than one module uses: labels and
//! annotations. Each is written once, here.

/// The label of the `ConfigMap` that holds the registry map. The map webhook selects by
/// it, and commands find the map in a cluster by it.
pub const MAP_LABEL: &str = "pullpass.dev/map";

/// The annotation of a pod that names the pull secrets which pullpass added. It informs
/// people; no decision reads it.
pub const INJECTED_ANNOTATION: &str = "pullpass.dev/injected";

/// The annotation of a webhook configuration that names who keeps its `caBundle`, where
/// that is not pullpass.
pub const CA_BUNDLE_ANNOTATION: &str = "pullpass.dev/ca-bundle";

/// The annotation that the kubelet puts on the mirror pod of a static pod
/// (`kubetypes.ConfigMirrorAnnotationKey` in `pkg/kubelet/types`).
pub const MIRROR_POD_ANNOTATION: &str = "kubernetes.io/config.mirror";
