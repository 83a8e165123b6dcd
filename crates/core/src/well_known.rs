//! Labels and annotations of Kubernetes objects that more than one module uses.
//!
//! No other module may define these names again, and this one must not define names that only
//! one module uses. Expressions in CEL and JSON patches contain
//! them as text.

/// The label of the `ConfigMap` that holds the registry map. The map webhook selects
/// `ConfigMap`s by it, and commands find the map in a cluster by it.
pub const MAP_LABEL: &str = "pullpass.dev/map";

/// The label of the webhook configurations of the chart. The command of an emergency selects them
/// by it, and an installation finds the others in a cluster by it.
pub const WEBHOOK_LABEL: &str = "pullpass.dev/webhook";

/// The annotation of a pod that lists the pull secrets that pullpass added, separated by
/// commas. It is for people; no decision depends on it.
pub const INJECTED_ANNOTATION: &str = "pullpass.dev/injected";

/// The annotation of a webhook configuration that names the component that maintains its
/// `caBundle`, if that is not pullpass. Whatever its value, pullpass leaves such a `caBundle`
/// alone. The chart sets it when the certificate comes from elsewhere: during an upgrade an
/// older replica still runs, and must not take the field back.
pub const CA_BUNDLE_ANNOTATION: &str = "pullpass.dev/ca-bundle";

/// The annotation of a webhook configuration in which the chart writes down, as JSON, what its
/// fields `failurePolicy`, `namespaceSelector`, `objectSelector` and `matchConditions` are meant
/// to be. A change of the object that does not come from the chart shows in the difference.
pub const EXPECTED_ANNOTATION: &str = "pullpass.dev/expected";

/// The annotation that the kubelet sets on the mirror pod of a static pod
/// (`kubetypes.ConfigMirrorAnnotationKey` in `pkg/kubelet/types`).
pub const MIRROR_POD_ANNOTATION: &str = "kubernetes.io/config.mirror";
