{{/* The name of the chart. */}}
{{- define "pullpass.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of most objects: the release's, and the chart's where the release does not say it. */}}
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

{{/* What may never change in a Deployment. */}}
{{- define "pullpass.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pullpass.name" . | toYaml }}
app.kubernetes.io/instance: {{ .Release.Name | toYaml }}
app.kubernetes.io/component: webhook
{{- end -}}

{{/* Labels of every object; the chart's own win. */}}
{{- define "pullpass.labels" -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/managed-by" .Release.Service -}}
{{- merge dict $own (include "pullpass.podLabels" . | fromYaml) | toYaml -}}
{{- end -}}

{{/* Labels of pods: nothing in them changes with the chart alone, which would restart them. */}}
{{- define "pullpass.podLabels" -}}
{{- $own := dict
  "app.kubernetes.io/version" (.Chart.AppVersion | toString)
  "app.kubernetes.io/part-of" "pullpass" -}}
{{- $selector := include "pullpass.selectorLabels" . | fromYaml -}}
{{- merge dict $own $selector .Values.commonLabels | toYaml -}}
{{- end -}}

{{/* metadata of an object. Takes: root, name; optional: namespace, clusterScoped,
     component, labels, annotations. */}}
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

{{/* Secrets to pull pullpass's own image with, from both places, each once. */}}
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
{{/* Not the name of the other mode: that Secret is the release's, and goes with the mode. */}}
{{- include "pullpass.fullname" . }}-cert
{{- else -}}
{{- include "pullpass.fullname" . }}-tls
{{- end -}}
{{- end -}}

{{/* Whether pullpass calls the API server at all: "true" or "false". */}}
{{- define "pullpass.callsTheApi" -}}
{{- or (eq .Values.certificates.mode "selfSigned") .Values.events.enabled (eq (include "pullpass.watchesNamespaces" .) "true") -}}
{{- end -}}

{{/* Whether the map asks for labels of namespaces: "true" or "false". A key can be found in
     JSON as text, since a quote inside a string has a backslash before it. */}}
{{- define "pullpass.watchesNamespaces" -}}
{{- or .Values.rbac.watchNamespaces (and (not .Values.existingMap) (contains "\"namespaceSelector\":" (toJson .Values.map))) -}}
{{- end -}}

{{- define "pullpass.namespacesName" -}}
{{- printf "%s-namespaces" (include "pullpass.fullname" .) -}}
{{- end -}}

{{/* The one name that the certificate must hold; the API server asks for no other. */}}
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

{{/* The least number of replicas there can be. */}}
{{- define "pullpass.leastReplicas" -}}
{{- $scaling := .Values.autoscaling -}}
{{- if $scaling.enabled -}}
{{- $scaling.minReplicas | int -}}
{{- else -}}
{{- .Values.replicaCount | int -}}
{{- end -}}
{{- end -}}

{{/* Where the API server finds us, and by whose word it trusts us. Takes: root, path. No
     caBundle, but in the mode where we are told it: whoever writes it later would have to
     fight the chart for the field. */}}
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

{{/* Namespaces that the API server never asks about. By the label that the API server itself
     sets and protects. */}}
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

{{/* Annotations of a webhook configuration. Takes: root, hook. */}}
{{- define "pullpass.webhookAnnotations" -}}
{{- $ours := dict -}}
{{- if eq .root.Values.certificates.mode "certManager" -}}
{{- $_ := set $ours "cert-manager.io/inject-ca-from" (printf "%s/%s" (include "pullpass.namespace" .root) (include "pullpass.fullname" .root)) -}}
{{- end -}}
{{- /* Old replicas of the mode selfSigned, which an upgrade ends last, leave such objects alone. */ -}}
{{- if ne .root.Values.certificates.mode "selfSigned" -}}
{{- $_ := set $ours "pullpass.dev/ca-bundle" .root.Values.certificates.mode -}}
{{- end -}}
{{- merge dict .hook.annotations .root.Values.webhooks.annotations $ours | toYaml -}}
{{- end -}}

{{/* What would only fail later, and less clearly. */}}
{{- define "pullpass.check" -}}
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
{{- with .Values.map -}}
{{- if and $.Values.existingMap (or .registries (gt (len (omit . "registries")) 0)) -}}
{{- fail "existingMap and map: both say what the map is; write one of them" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The affinity of the values, with the replicas kept apart. */}}
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

{{/* The name of rights that belong to no namespace. */}}
{{- define "pullpass.clusterName" -}}
{{- printf "%s-webhooks" (include "pullpass.fullname" .) -}}
{{- end -}}

{{/* The same for Events. */}}
{{- define "pullpass.eventsName" -}}
{{- printf "%s-events" (include "pullpass.fullname" .) -}}
{{- end -}}
