{{/* Values that the schema cannot compare with each other. With each of them pullpass would never
     answer, or not as meant. What only a run can find is found by the check (_check.tpl). */}}

{{/* A duration such as 1h30m in seconds. */}}
{{- define "pullpass.seconds" -}}
{{- $seconds := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 -}}
{{- $total := 0.0 -}}
{{- range regexFindAll "[0-9]+(\\.[0-9]+)?(ms|[smh])" . -1 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $total = addf $total (mulf (trimSuffix $unit . | float64) (get $seconds $unit)) -}}
{{- end -}}
{{- $total -}}
{{- end -}}

{{/* A quantity such as 512Mi as a number. */}}
{{- define "pullpass.quantity" -}}
{{- $scales := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $text := toString . -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- mulf (trimSuffix $unit $text | float64) (get $scales $unit | default 1.0) -}}
{{- end -}}

{{- define "pullpass.refuse" -}}
{{- include "pullpass.refuseNames" . -}}
{{- include "pullpass.refusePorts" . -}}
{{- include "pullpass.refuseTimes" . -}}
{{- include "pullpass.refuseCounts" . -}}
{{- include "pullpass.refuseMemory" . -}}
{{- include "pullpass.refuseRights" . -}}
{{- $provided := .Values.certificates.provided -}}
{{- if and (eq .Values.certificates.mode "provided") $provided.secretName (eq $provided.caBundleFrom "values") (not $provided.caBundle) -}}
{{- fail "certificates.provided.caBundle: write the CA that signed the certificate, as PEM; or, when another tool writes it into the webhook configurations or the API server's system roots contain it, set certificates.provided.caBundleFrom=elsewhere" -}}
{{- end -}}
{{- if gt (len (toJson .Values.map)) 1040000 -}}
{{- fail (printf "map: it has %d bytes, and a ConfigMap holds 1048576: put patterns of one kind into one entry, or use wildcards" (len (toJson .Values.map))) -}}
{{- end -}}
{{- end -}}

{{- define "pullpass.refuseNames" -}}
{{- $name := include "pullpass.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "the Service would have the name %q, and Kubernetes takes lower-case letters, digits and - there, a letter first: choose another name for the release, or set fullnameOverride" $name) -}}
{{- end -}}
{{- end -}}

{{- define "pullpass.refusePorts" -}}
{{- $lowest := 1024 -}}
{{- range dig "sysctls" list (.Values.podSecurityContext | default dict) -}}
{{- if eq .name "net.ipv4.ip_unprivileged_port_start" -}}
{{- $lowest = .value | int -}}
{{- end -}}
{{- end -}}
{{- range $key, $port := dict "port" (include "pullpass.port" .) "adminPort" (include "pullpass.adminPort" .) -}}
{{- if lt ($port | int) $lowest -}}
{{- fail (printf "%s=%s: pullpass runs without the right to take a port below %d: write a higher one (the port of the Service, service.port, is another), or give the right by the sysctl net.ipv4.ip_unprivileged_port_start in podSecurityContext.sysctls" $key $port $lowest) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pullpass.refuseTimes" -}}
{{- if eq .Values.certificates.mode "selfSigned" -}}
{{- $given := .Values.certificates.selfSigned -}}
{{- /* What is left out is what the program takes. */ -}}
{{- $authority := include "pullpass.seconds" ($given.caLifetime | default "8760h") | float64 -}}
{{- $lifetime := include "pullpass.seconds" ($given.lifetime | default "720h") | float64 -}}
{{- $settle := include "pullpass.seconds" ($given.settleTime | default "30s") | float64 -}}
{{- if lt $lifetime 6.0 -}}
{{- fail (printf "certificates.selfSigned.lifetime=%s: a certificate must be valid for at least six seconds" $given.lifetime) -}}
{{- end -}}
{{- if gt (mulf $lifetime 3.0) $authority -}}
{{- fail (printf "certificates.selfSigned.lifetime=%s is longer than a third of caLifetime=%s: shorten it, or lengthen caLifetime" ($given.lifetime | default "720h") ($given.caLifetime | default "8760h")) -}}
{{- end -}}
{{- if lt $settle 1.0 -}}
{{- fail (printf "certificates.selfSigned.settleTime=%s: API servers need some time to see a new CA: write at least 1s" $given.settleTime) -}}
{{- end -}}
{{- if gt (mulf $settle 6.0) $lifetime -}}
{{- fail (printf "certificates.selfSigned.settleTime=%s is longer than a sixth of lifetime=%s: shorten it, or lengthen lifetime" ($given.settleTime | default "30s") ($given.lifetime | default "720h")) -}}
{{- end -}}
{{- else if eq .Values.certificates.mode "certManager" -}}
{{- $given := .Values.certificates.certManager -}}
{{- $duration := include "pullpass.seconds" $given.duration | float64 -}}
{{- if lt $duration 3600.0 -}}
{{- fail (printf "certificates.certManager.duration=%s: cert-manager takes no less than 1h" $given.duration) -}}
{{- end -}}
{{- $before := include "pullpass.seconds" $given.renewBefore | float64 -}}
{{- if or (ge $before $duration) (lt $before 300.0) -}}
{{- fail (printf "certificates.certManager.renewBefore=%s: cert-manager takes at least 5m, and less than duration=%s" $given.renewBefore $given.duration) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pullpass.refuseCounts" -}}
{{- $scaling := .Values.autoscaling -}}
{{- if and $scaling.enabled (gt ($scaling.minReplicas | int) ($scaling.maxReplicas | int)) -}}
{{- fail (printf "autoscaling.minReplicas=%d is above maxReplicas=%d" ($scaling.minReplicas | int) ($scaling.maxReplicas | int)) -}}
{{- end -}}
{{- $replicas := include "pullpass.leastReplicas" . | int -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- if and $budget.enabled (gt $replicas 1) -}}
{{- $least := $budget.minAvailable -}}
{{- if kindIs "invalid" $least -}}
{{- if has (toString $budget.maxUnavailable) (list "0" "0%") -}}
{{- fail (printf "podDisruptionBudget.maxUnavailable=%v: no node with a replica could be drained: write at least 1" $budget.maxUnavailable) -}}
{{- end -}}
{{- else -}}
{{- $text := toString $least -}}
{{- $pods := $least -}}
{{- if hasSuffix "%" $text -}}
{{- $pods = divf (mulf (trimSuffix "%" $text | float64) $replicas) 100.0 | ceil -}}
{{- end -}}
{{- if ge ($pods | int) $replicas -}}
{{- fail (printf "podDisruptionBudget.minAvailable=%s of %d replicas: no node with a replica could be drained: write less, or set maxUnavailable instead" $text $replicas) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pullpass.refuseMemory" -}}
{{- $resources := .Values.resources | default dict -}}
{{- with dig "limits" "memory" "" $resources -}}
{{- $limit := include "pullpass.quantity" . | float64 -}}
{{- with dig "requests" "memory" "" $resources -}}
{{- if gt (include "pullpass.quantity" . | float64) $limit -}}
{{- fail (printf "resources.requests.memory=%v is above limits.memory=%v" . $resources.limits.memory) -}}
{{- end -}}
{{- end -}}
{{- $bodies := $.Values.bodyMemory | default "192Mi" -}}
{{- if gt (mulf (include "pullpass.quantity" $bodies | float64) 2.0) $limit -}}
{{- fail (printf "bodyMemory=%s is above half of resources.limits.memory=%v: the kernel would kill pullpass under load: lower it, or raise the limit" $bodies .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pullpass.refuseRights" -}}
{{- if eq (include "pullpass.callsTheApi" .) "true" -}}
{{- if and .Values.serviceAccount.create (not .Values.rbac.create) -}}
{{- fail "rbac.create=false: with these values pullpass needs rights (docs/certificates.md, Rights): give them to an account of your own, and name it by serviceAccount.create=false and serviceAccount.name" -}}
{{- end -}}
{{- $policy := .Values.networkPolicy -}}
{{- if and $policy.enabled $policy.restrictEgress (not $policy.egress) -}}
{{- fail "networkPolicy.restrictEgress=true and no networkPolicy.egress: with these values pullpass calls the API server: write a rule that lets it through" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Flags that the program takes once, and finds twice. */}}
{{- define "pullpass.refuseFlags" -}}
{{- $containers := (include (print .Template.BasePath "/deployment.yaml") . | fromYaml).spec.template.spec.containers -}}
{{- $repeatable := list "--mutating-webhook-configuration" "--validating-webhook-configuration" "--extra-san" "--client-name" -}}
{{- $seen := dict -}}
{{- range (first $containers).args -}}
{{- $flag := splitList "=" . | first -}}
{{- if and (hasPrefix "--" $flag) (not (has $flag $repeatable)) -}}
{{- if hasKey $seen $flag -}}
{{- fail (printf "extraArgs: %s is there twice, and the chart sets its flags itself, from values of their own: leave it out" $flag) -}}
{{- end -}}
{{- $_ := set $seen $flag true -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraArgs -}}
{{- if hasPrefix "--check" . -}}
{{- fail (printf "extraArgs: %s is for the check, which the chart runs itself: a server ends at once with it" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
