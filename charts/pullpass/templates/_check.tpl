{{/* The objects of the check before an installation or upgrade (templates/check). They are made
     from the rendered objects of the release, so that the check has the arguments, files, rights
     and settings of the real thing. */}}

{{/* The name of an object of the check. */}}
{{- define "pullpass.checkName" -}}
{{- printf "%s-check" . -}}
{{- end -}}

{{/* The ClusterRole by which the check finds other installations. */}}
{{- define "pullpass.checkClusterName" -}}
{{- printf "%s-check" (include "pullpass.fullname" .) -}}
{{- end -}}

{{/* The annotations of a hook. Takes weight. Helm and Argo CD create the objects in the order of
     their weights, before anything else, and delete them afterwards. The Job of a failed check
     stays, so that its log can be read. */}}
{{- define "pullpass.hookAnnotations" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* The account of the check: with the rights of the real one, which does not exist yet. Where the
     chart makes no account, it is the real one. */}}
{{- define "pullpass.checkAccountName" -}}
{{- $name := include "pullpass.serviceAccountName" . -}}
{{- ternary (include "pullpass.checkName" $name) $name (eq .Values.serviceAccount.create true) -}}
{{- end -}}

{{/* An object of the release as an object of the check. Takes root, object and weight. */}}
{{- define "pullpass.checkTwin" -}}
{{- $object := .object -}}
{{- $metadata := $object.metadata -}}
{{- $_ := set $metadata "name" (include "pullpass.checkName" $metadata.name) -}}
{{- /* The webhook for maps and the commands look for this label. */ -}}
{{- $_ := unset $metadata.labels "pullpass.dev/map" -}}
{{- $_ := set $metadata.labels "app.kubernetes.io/component" "check" -}}
{{- $hook := include "pullpass.hookAnnotations" . | fromYaml -}}
{{- $_ := set $metadata "annotations" (merge $hook ($metadata.annotations | default dict)) -}}
{{- if hasSuffix "Binding" $object.kind -}}
{{- $_ := set $object.roleRef "name" (include "pullpass.checkName" $object.roleRef.name) -}}
{{- range $object.subjects -}}
{{- $_ := set . "name" (include "pullpass.checkAccountName" $.root) -}}
{{- end -}}
{{- else if eq $object.kind "NetworkPolicy" -}}
{{- $_ := set $object.spec.podSelector.matchLabels "app.kubernetes.io/component" "check" -}}
{{- else if eq $object.kind "Service" -}}
{{- /* An address that the Service of the release has cannot be had twice. */ -}}
{{- $_ := set $object "spec" (omit $object.spec "clusterIP") -}}
{{- $_ := set $object.spec "type" "ClusterIP" -}}
{{- $_ := set $object.spec.selector "app.kubernetes.io/component" "check" -}}
{{- else if eq $object.kind "Deployment" -}}
{{- $_ := set $object.spec "replicas" 0 -}}
{{- $_ := set $object.spec.selector.matchLabels "app.kubernetes.io/component" "check" -}}
{{- $_ := set $object.spec.template.metadata.labels "app.kubernetes.io/component" "check" -}}
{{- end -}}
{{- toYaml $object -}}
{{- end -}}

{{/* The flags that the check has besides those of the Deployment, as a JSON list. */}}
{{- define "pullpass.checkFlags" -}}
{{- $namespace := include "pullpass.namespace" . -}}
{{- $map := ternary (printf "the ConfigMap %s in %s, by the value existingMap" .Values.existingMap $namespace) "the value map" (not (empty .Values.existingMap)) -}}
{{- $flags := list "--check"
  (printf "--check-service=%s.%s" (include "pullpass.fullname" .) $namespace)
  (printf "--check-name=/etc/pullpass/map=%s" $map) -}}
{{- $certificates := .Values.certificates -}}
{{- if ne $certificates.mode "selfSigned" -}}
{{- $secret := printf "the Secret %s in %s" (include "pullpass.certificateSecretName" .) $namespace -}}
{{- $flags = append $flags (printf "--check-name=/etc/pullpass/tls=%s" $secret) -}}
{{- end -}}
{{- if eq $certificates.mode "certManager" -}}
{{- /* cert-manager makes the Secret once the release has asked for it. */ -}}
{{- $flags = append $flags "--check-awaits=/etc/pullpass/tls" -}}
{{- end -}}
{{- if eq $certificates.mode "provided" -}}
{{- with $certificates.provided.caBundle -}}
{{- $flags = append $flags (printf "--check-ca=%s" (trim .)) -}}
{{- end -}}
{{- end -}}
{{- toJson $flags -}}
{{- end -}}

{{/* The pod of the check: that of the Deployment, with what only a server needs left out. */}}
{{- define "pullpass.checkPod" -}}
{{- $pod := (include (print .Template.BasePath "/deployment.yaml") . | fromYaml).spec.template -}}
{{- $_ := set $pod.metadata.labels "app.kubernetes.io/component" "check" -}}
{{- /* The proxy of a service mesh would go on when the check has ended. */ -}}
{{- $_ := set $pod.metadata.labels "sidecar.istio.io/inject" "false" -}}
{{- $_ := set $pod.metadata.annotations "linkerd.io/inject" "disabled" -}}
{{- $spec := omit $pod.spec "affinity" "topologySpreadConstraints" -}}
{{- /* The check may run beside a replica. */ -}}
{{- with omit .Values.affinity "podAntiAffinity" -}}
{{- $_ := set $spec "affinity" . -}}
{{- end -}}
{{- $_ := set $spec "restartPolicy" "Never" -}}
{{- $_ := set $spec "serviceAccountName" (include "pullpass.checkAccountName" .) -}}
{{- /* It looks for other installations, whatever the mode. */ -}}
{{- $_ := set $spec "automountServiceAccountToken" true -}}
{{- $container := omit (first $spec.containers) "ports" "livenessProbe" "readinessProbe" "startupProbe" -}}
{{- $_ := set $container "args" (concat $container.args (include "pullpass.checkFlags" . | fromJsonArray)) -}}
{{- /* The end of the log stands in the status of the pod. */ -}}
{{- $_ := set $container "terminationMessagePolicy" "FallbackToLogsOnError" -}}
{{- /* The other containers as sidecars, which end with the check. */ -}}
{{- $init := $spec.initContainers | default list -}}
{{- range rest $spec.containers -}}
{{- $init = append $init (merge (dict "restartPolicy" "Always") .) -}}
{{- end -}}
{{- with $init -}}
{{- $_ := set $spec "initContainers" . -}}
{{- end -}}
{{- $_ := set $spec "containers" (list $container) -}}
{{- /* Without an object that does not exist a pod would not start, and would say nothing. */ -}}
{{- range $spec.volumes -}}
{{- if and (eq .name "map") .configMap -}}
{{- $_ := set .configMap "optional" true -}}
{{- if not $.Values.existingMap -}}
{{- $_ := set .configMap "name" (include "pullpass.checkName" .configMap.name) -}}
{{- end -}}
{{- else if and (eq .name "tls") .secret -}}
{{- $_ := set .secret "optional" true -}}
{{- end -}}
{{- end -}}
{{- $_ := set $pod "spec" $spec -}}
{{- toYaml $pod -}}
{{- end -}}
