{{/* The name of the chart. */}}
{{- define "pullpass.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of most objects: the name of the release, with the name of the chart unless the
     release contains it. */}}
{{- define "pullpass.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "pullpass.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pullpass.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{/* The labels of the selector, which must never change in a Deployment. */}}
{{- define "pullpass.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pullpass.name" . | toYaml }}
app.kubernetes.io/instance: {{ .Release.Name | toYaml }}
app.kubernetes.io/component: webhook
{{- end -}}

{{/* The labels of every object. The labels of the chart take precedence. */}}
{{- define "pullpass.labels" -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/managed-by" .Release.Service -}}
{{- merge dict $own (include "pullpass.podLabels" . | fromYaml) | toYaml -}}
{{- end -}}

{{/* The labels of the pods. They do not contain the version of the chart, because a new version
     would restart the pods. */}}
{{- define "pullpass.podLabels" -}}
{{- $own := dict
  "app.kubernetes.io/version" (.Chart.AppVersion | toString)
  "app.kubernetes.io/part-of" "pullpass" -}}
{{- $selector := include "pullpass.selectorLabels" . | fromYaml -}}
{{- merge dict $own $selector .Values.commonLabels | toYaml -}}
{{- end -}}

{{/* The metadata of an object. Takes root and name; namespace, clusterScoped, component, labels
     and annotations are optional. */}}
{{- define "pullpass.metadata" -}}
{{- $root := .root -}}
name: {{ .name | toYaml }}
{{- if not .clusterScoped }}
namespace: {{ .namespace | default (include "pullpass.namespace" $root) | toYaml }}
{{- end }}
labels:
  {{- $component := ternary (dict "app.kubernetes.io/component" .component) dict (hasKey . "component") }}
  {{- merge dict $component (include "pullpass.labels" $root | fromYaml) (.labels | default dict) | toYaml | nindent 2 }}
{{- with merge dict (.annotations | default dict) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "pullpass.serviceAccountName" -}}
{{- $account := .Values.serviceAccount -}}
{{- if $account.create -}}
{{- $account.name | default (include "pullpass.fullname" .) -}}
{{- else -}}
{{- $account.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "pullpass.image" -}}
{{- $image := .Values.image -}}
{{- $registry := .Values.global.imageRegistry | default $image.registry -}}
{{- with $registry -}}{{ . }}/{{- end -}}{{ $image.repository }}
{{- if $image.digest -}}@{{ $image.digest }}
{{- else -}}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The pull secrets of pullpass's own image, from both values, without duplicates. */}}
{{- define "pullpass.imagePullSecrets" -}}
{{- $names := list -}}
{{- range concat .Values.global.imagePullSecrets .Values.imagePullSecrets -}}
{{- $name := ternary . (get (ternary dict . (kindIs "string" .)) "name") (kindIs "string" .) -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- with $names | uniq -}}
imagePullSecrets:
{{- range . }}
  - name: {{ . | toYaml }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "pullpass.certificateSecretName" -}}
{{- if eq .Values.certificates.mode "provided" -}}
{{- required "certificates.provided.secretName: name the Secret of type kubernetes.io/tls" .Values.certificates.provided.secretName -}}
{{- else if eq .Values.certificates.mode "certManager" -}}
{{/* Another name than in the mode selfSigned: Helm deletes that Secret when the mode changes. */}}
{{- include "pullpass.fullname" . }}-cert
{{- else -}}
{{- include "pullpass.fullname" . }}-tls
{{- end -}}
{{- end -}}

{{/* Whether pullpass calls the API server at all: "true" or "false". */}}
{{- define "pullpass.callsTheApi" -}}
{{- or (eq .Values.certificates.mode "selfSigned") .Values.events.enabled .Values.watch.map .Values.watch.webhooks (eq (include "pullpass.watchesNamespaces" .) "true") | default false -}}
{{- end -}}

{{/* Whether the map depends on labels of namespaces: "true" or "false". A text search in the JSON
     finds a key reliably, because JSON escapes every quote inside a string. */}}
{{- define "pullpass.watchesNamespaces" -}}
{{- or .Values.rbac.watchNamespaces (and (not .Values.existingMap) (contains "\"namespaceSelector\":" (toJson .Values.map))) -}}
{{- end -}}

{{- define "pullpass.namespacesName" -}}
{{- printf "%s-namespaces" (include "pullpass.fullname" .) -}}
{{- end -}}

{{/* The name that the certificate must be valid for; the API server uses no other. */}}
{{- define "pullpass.serverName" -}}
{{ include "pullpass.fullname" . }}.{{ include "pullpass.namespace" . }}.svc
{{- end -}}

{{- define "pullpass.mapName" -}}
{{- .Values.existingMap | default (printf "%s-map" (include "pullpass.fullname" .)) -}}
{{- end -}}

{{- define "pullpass.mutatingConfigurationName" -}}
{{- .Values.webhooks.mutate.configurationName | default (printf "zz-%s" (include "pullpass.fullname" .)) -}}
{{- end -}}

{{- define "pullpass.validatingConfigurationName" -}}
{{- .Values.webhooks.validate.configurationName | default (include "pullpass.fullname" .) -}}
{{- end -}}

{{- define "pullpass.mapConfigurationName" -}}
{{- .Values.webhooks.validateMap.configurationName | default (printf "%s-map" (include "pullpass.fullname" .)) -}}
{{- end -}}

{{- define "pullpass.workloadsConfigurationName" -}}
{{- .Values.webhooks.validateWorkloads.configurationName | default (printf "%s-workloads" (include "pullpass.fullname" .)) -}}
{{- end -}}

{{/* All ValidatingWebhookConfigurations, as a JSON list. */}}
{{- define "pullpass.validatingConfigurationNames" -}}
{{- $names := list (include "pullpass.validatingConfigurationName" .) -}}
{{- if .Values.webhooks.validateMap.enabled -}}
{{- $names = append $names (include "pullpass.mapConfigurationName" .) -}}
{{- end -}}
{{- if .Values.webhooks.validateWorkloads.enabled -}}
{{- $names = append $names (include "pullpass.workloadsConfigurationName" .) -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{- define "pullpass.port" -}}
{{- .Values.port | int -}}
{{- end -}}

{{- define "pullpass.adminPort" -}}
{{- .Values.adminPort | int -}}
{{- end -}}

{{/* The lowest number of replicas. */}}
{{- define "pullpass.leastReplicas" -}}
{{- $scaling := .Values.autoscaling -}}
{{- if $scaling.enabled -}}
{{- $scaling.minReplicas | int -}}
{{- else -}}
{{- .Values.replicaCount | int -}}
{{- end -}}
{{- end -}}

{{/* How the API server reaches pullpass. Takes root and path. The caBundle is here only in the
     mode provided: in the other modes pullpass or cert-manager owns the field, and an upgrade
     must not overwrite it. */}}
{{- define "pullpass.clientConfig" -}}
service:
  name: {{ include "pullpass.fullname" .root | toYaml }}
  namespace: {{ include "pullpass.namespace" .root | toYaml }}
  path: {{ .path }}
  port: {{ .root.Values.service.port | int }}
{{- if eq .root.Values.certificates.mode "provided" }}
{{- with .root.Values.certificates.provided.caBundle }}
caBundle: {{ . | trim | printf "%s\n" | b64enc }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Excludes the namespaces whose pods the API server never sends. It uses the label that the API
     server itself sets and protects. */}}
{{- define "pullpass.namespaceSelector" -}}
{{- $webhooks := .Values.webhooks -}}
{{- $selector := $webhooks.namespaceSelector -}}
{{- $exempt := concat (list (include "pullpass.namespace" .)) $webhooks.exemptNamespaces -}}
{{- if not .Values.existingMap -}}
{{- with .Values.map -}}
{{- range .exemptNamespaces -}}
{{- if not (contains "*" .) -}}
{{- $exempt = append $exempt . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $own := dict "key" "kubernetes.io/metadata.name" "operator" "NotIn" "values" ($exempt | uniq) -}}
{{- $expressions := prepend ($selector.matchExpressions | default list) $own -}}
{{- toYaml (merge dict (dict "matchExpressions" $expressions) $selector) -}}
{{- end -}}

{{/* The annotations of a webhook configuration. Takes root, hook, and its key in `webhooks`. */}}
{{- define "pullpass.webhookAnnotations" -}}
{{- $ours := dict "pullpass.dev/expected" (include "pullpass.expected" .) -}}
{{- if eq .root.Values.certificates.mode "certManager" -}}
{{- $_ := set $ours "cert-manager.io/inject-ca-from" (printf "%s/%s" (include "pullpass.namespace" .root) (include "pullpass.fullname" .root)) -}}
{{- end -}}
{{- /* During an upgrade from the mode selfSigned, old replicas do not write to objects with this annotation. */ -}}
{{- if ne .root.Values.certificates.mode "selfSigned" -}}
{{- $_ := set $ours "pullpass.dev/ca-bundle" .root.Values.certificates.mode -}}
{{- end -}}
{{- merge dict .hook.annotations .root.Values.webhooks.annotations $ours | toYaml -}}
{{- end -}}

{{/* Fails for values that would cause an error later, with a less clear message. */}}
{{- define "pullpass.check" -}}
{{- include "pullpass.refuse" . -}}
{{- if eq (include "pullpass.port" .) (include "pullpass.adminPort" .) -}}
{{- fail (printf "port and adminPort are both %s: write two different ones" (include "pullpass.port" .)) -}}
{{- end -}}
{{- if .Values.hostNetwork -}}
{{- range list (include "pullpass.port" .) (include "pullpass.adminPort" .) -}}
{{- if has . (list "10248" "10249" "10250" "10256" "10257" "10259" "6443" "2379" "2380") -}}
{{- fail (printf "hostNetwork: port %s is taken by Kubernetes itself on the node: write another one" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $configurations := include "pullpass.validatingConfigurationNames" . | fromJsonArray -}}
{{- if ne (len $configurations) (len ($configurations | uniq)) -}}
{{- fail (printf "webhooks.validate, .validateMap and .validateWorkloads have one configurationName twice, in %s: write different ones" (join ", " $configurations)) -}}
{{- end -}}
{{- $mode := .Values.certificates.mode -}}
{{- if eq $mode "provided" -}}
{{- $_ := include "pullpass.certificateSecretName" . -}}
{{- end -}}
{{- with .Values.clientCA -}}
{{- if and .configMap .secret -}}
{{- fail "clientCA.configMap and clientCA.secret: both say where the CAs are; write one of them" -}}
{{- end -}}
{{- if and (or .configMap .secret) (not .names) -}}
{{- fail "clientCA.names: write the name in the client certificate of the API server; otherwise every certificate of the CA could call" -}}
{{- end -}}
{{- if and .names (not (or .configMap .secret)) -}}
{{- fail "clientCA.names: write clientCA.configMap or clientCA.secret too, where the CAs are" -}}
{{- end -}}
{{- end -}}
{{- with .Values.map -}}
{{- if and $.Values.existingMap (or .registries (gt (len (omit . "registries")) 0)) -}}
{{- fail "existingMap and map: both say what the map is; write one of them" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The affinity of the values, with a rule that keeps the replicas apart. */}}
{{- define "pullpass.affinity" -}}
{{- $affinity := .Values.affinity -}}
{{- $term := dict
  "labelSelector" (dict "matchLabels" (include "pullpass.selectorLabels" . | fromYaml))
  "topologyKey" "kubernetes.io/hostname" -}}
{{- $apart := dict -}}
{{- if eq .Values.podAntiAffinity "required" -}}
{{- $apart = dict "podAntiAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $term)) -}}
{{- else if eq .Values.podAntiAffinity "preferred" -}}
{{- $apart = dict "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" (list (dict "weight" 100 "podAffinityTerm" $term))) -}}
{{- end -}}
{{- if hasKey $affinity "podAntiAffinity" -}}
{{- $apart = dict -}}
{{- end -}}
{{- merge dict $affinity $apart | toYaml -}}
{{- end -}}

{{/* The name of the ClusterRole for the webhook configurations. */}}
{{- define "pullpass.clusterName" -}}
{{- printf "%s-webhooks" (include "pullpass.fullname" .) -}}
{{- end -}}

{{/* The name of the policy that keeps pullpass's own account to `caBundle`. */}}
{{- define "pullpass.admissionPolicyName" -}}
{{- printf "%s-ca-bundle-only" (include "pullpass.fullname" .) -}}
{{- end -}}

{{/* Peers of a NetworkPolicy: a text is a block of addresses, or one address. */}}
{{- define "pullpass.peers" -}}
{{- range . }}
{{- if kindIs "string" . }}
- ipBlock:
    cidr: {{ ternary . (printf "%s/%s" . (ternary "128" "32" (contains ":" .))) (contains "/" .) | quote }}
{{- else }}
- {{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Whether callers are authenticated: "true" or "false". */}}
{{- define "pullpass.authenticatesCallers" -}}
{{- $ca := .Values.clientCA | default dict -}}
{{- or (ne ($ca.configMap | default "") "") (ne ($ca.secret | default "") "") -}}
{{- end -}}

{{/* The name of the ClusterRole for Events. */}}
{{- define "pullpass.eventsName" -}}
{{- printf "%s-events" (include "pullpass.fullname" .) -}}
{{- end -}}
