# A stand-in for cert-manager, not cert-manager: its commands are not published as Go
# modules (v1.21.2 of its main module holds no cmd/controller and no cmd/cainjector), so
# this does by hand what those two do with the objects that the chart renders, and
# nothing more: Certificates of an Issuer that is `selfSigned` or `ca` become Secrets of
# three keys, and the annotation cert-manager.io/inject-ca-from becomes caBundles.
#
# Sourced in a script that has kubectl, $folder and registries.sh; never run.
# shellcheck shell=bash disable=SC2154

certificate_field() { # namespace, name, path
    kubectl get certificates.cert-manager.io "$2" --namespace "$1" -o jsonpath="{$3}"
}

# What the controller does for one Certificate: makes or renews what is in its Secret.
issue_certificate() { # namespace, name
    local namespace=$1 name=$2 issuer secret by
    local work=$folder/cert-manager/$namespace-$name
    mkdir -p "$work/tls"
    secret=$(certificate_field "$namespace" "$name" .spec.secretName)
    issuer=$(certificate_field "$namespace" "$name" .spec.issuerRef.name)
    by=$(kubectl get issuers.cert-manager.io "$issuer" --namespace "$namespace" -o jsonpath='{.spec.ca.secretName}')
    (
        cd "$work" || exit
        if [ -z "$by" ]; then
            # Of the Issuers without a CA, only `selfSigned` is known here.
            [ "$(certificate_field "$namespace" "$name" .spec.isCA)" = true ] || exit
            authority leaf "$(certificate_field "$namespace" "$name" .spec.commonName)"
            cp tls/leaf.crt tls/ca.crt
        else
            secret_field "$namespace" "$by" 'tls\.crt' >tls/ca.crt
            secret_field "$namespace" "$by" 'tls\.key' >tls/ca.key
            certificate leaf ca "$(certificate_field "$namespace" "$name" .spec.dnsNames[*] | sed 's/[^ ]*/DNS:&/g; s/ /,/g')"
        fi
        kubectl create secret generic "$secret" --namespace "$namespace" --type kubernetes.io/tls --dry-run=client -o json \
            --from-file=tls.crt=tls/leaf.crt --from-file=tls.key=tls/leaf.key --from-file=ca.crt=tls/ca.crt |
            kubectl apply --server-side --field-manager=cert-manager --filename -
    )
}

secret_field() { # namespace, name, key as jsonpath has it
    kubectl get secret "$2" --namespace "$1" -o jsonpath="{.data.$3}" | base64 -d
}

# What cainjector does: a caBundle for every webhook of a configuration that asks for one.
inject_authorities() {
    local kind name of bundle
    kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations \
        -o jsonpath='{range .items[*]}{.kind} {.metadata.name} {.metadata.annotations.cert-manager\.io/inject-ca-from}{"\n"}{end}' |
        while read -r kind name of; do
            [ -n "$of" ] || continue
            bundle=$(kubectl get secret --namespace "${of%/*}" -o jsonpath='{.data.ca\.crt}' \
                "$(certificate_field "${of%/*}" "${of#*/}" .spec.secretName)")
            kubectl get "$kind" "$name" -o json |
                jq --arg ca "$bundle" '.webhooks[].clientConfig.caBundle = $ca' |
                kubectl replace --field-manager=cert-manager-cainjector --filename -
        done
}

# One round of both, CAs first.
cert_manager() { # namespace
    local name
    for name in $(kubectl get certificates.cert-manager.io --namespace "$1" -o json |
        jq -r '.items | sort_by(.spec.isCA | not) | .[].metadata.name'); do
        issue_certificate "$1" "$name" || return
    done
    inject_authorities
}
