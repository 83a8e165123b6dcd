{{/* Match conditions of the webhooks, as lists. They are in the webhook configurations, and in
     the annotation with which pullpass notices that somebody has changed them. */}}
{{- define "pullpass.matchConditions.mutate" -}}
# A mirror pod shows a static pod of the kubelet. A pull secret cannot be added to it.
- name: no-mirror-pod
  expression: '!("kubernetes.io/config.mirror" in object.metadata.?annotations.orValue({}))'
{{- with .Values.webhooks.mutate.matchConditions }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "pullpass.matchConditions.validate" -}}
# A pod counts as a mirror pod only when a node creates it. Anybody can set the annotation.
- name: no-mirror-pod
  expression: >-
    !("kubernetes.io/config.mirror" in object.metadata.?annotations.orValue({}) &&
    "system:nodes" in request.userInfo.?groups.orValue([]))
# People can change labels and finalizers of running pods while pullpass is down.
- name: images-changed
  expression: >-
    request.operation != "UPDATE" ||
    object.spec.containers.map(c, c.?image.orValue("")) !=
    oldObject.spec.containers.map(c, c.?image.orValue("")) ||
    object.spec.?initContainers.orValue([]).map(c, c.?image.orValue("")) !=
    oldObject.spec.?initContainers.orValue([]).map(c, c.?image.orValue("")) ||
    object.spec.?ephemeralContainers.orValue([]).map(c, c.?image.orValue("")) !=
    oldObject.spec.?ephemeralContainers.orValue([]).map(c, c.?image.orValue(""))
{{- with .Values.webhooks.validate.matchConditions }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "pullpass.matchConditions.validateWorkloads" -}}
# A controller made this object, and the author of its owner has seen the message.
- name: no-controller
  expression: >-
    !object.metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false))
- name: template-changed
  expression: >-
    request.operation != "UPDATE" ||
    object.spec.?template.orValue({}) != oldObject.spec.?template.orValue({}) ||
    object.spec.?jobTemplate.orValue({}) != oldObject.spec.?jobTemplate.orValue({})
{{- with .Values.webhooks.validateWorkloads.matchConditions }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What the fields of a webhook are meant to be, as JSON in an annotation: pullpass compares the
     object with it, and reports what somebody has changed. Takes root and webhook, the key in
     `webhooks`. */}}
{{- define "pullpass.expected" -}}
{{- $values := .root.Values.webhooks -}}
{{- $expected := dict "failurePolicy" ((get $values .webhook).failurePolicy | default "Ignore") -}}
{{- if ne .webhook "validateMap" -}}
{{- $_ := set $expected "namespaceSelector" (include "pullpass.namespaceSelector" .root | fromYaml) -}}
{{- $_ := set $expected "matchConditions" (include (printf "pullpass.matchConditions.%s" .webhook) .root | fromYamlArray) -}}
{{- end -}}
{{- if has .webhook (list "mutate" "validate") -}}
{{- $_ := set $expected "objectSelector" ($values.objectSelector | default dict) -}}
{{- end -}}
{{- toJson $expected -}}
{{- end -}}

{{/* Whether pullpass reads its webhook configurations: "true" or "false". */}}
{{- define "pullpass.watchesWebhooks" -}}
{{- or (eq .Values.certificates.mode "selfSigned") .Values.watch.webhooks | default false -}}
{{- end -}}

{{- define "pullpass.registrationName" -}}
{{- printf "%s-registration" (include "pullpass.fullname" .) -}}
{{- end -}}

{{/* The flags that name the webhook configurations, as a list. */}}
{{- define "pullpass.registrationFlags" -}}
- {{ printf "--webhook-service=%s" (include "pullpass.fullname" .) | toYaml }}
- {{ printf "--mutating-webhook-configuration=%s" (include "pullpass.mutatingConfigurationName" .) | toYaml }}
- {{ printf "--validating-webhook-configuration=%s:validate" (include "pullpass.validatingConfigurationName" .) | toYaml }}
{{- if .Values.webhooks.validateMap.enabled }}
- {{ printf "--validating-webhook-configuration=%s:validate-map" (include "pullpass.mapConfigurationName" .) | toYaml }}
{{- end }}
{{- if .Values.webhooks.validateWorkloads.enabled }}
- {{ printf "--validating-webhook-configuration=%s:validate-workloads" (include "pullpass.workloadsConfigurationName" .) | toYaml }}
{{- end }}
{{- end -}}
