# pullpass on the one-node cluster: its image, its chart, the waits and words that the
# scripts share. Sourced after settings.sh; who installs it defines a function `values`.
# shellcheck shell=bash disable=SC2154

chart=$here/../../charts/pullpass

kubectl() { "$state/bin/kubectl" "$@"; }
helm() { "$state/bin/helm" "$@"; }
on_node() { "$state/bin/on-node" "$@"; }

began=$SECONDS
ok() { printf 'ok %3d s  %s\n' $((SECONDS - began)) "$*"; }
fail() {
    printf 'FAIL %s\n' "$*"
    kubectl get pods --namespace pullpass
    kubectl get events --all-namespaces | grep -v "Scaled up" | tail -n 12
    kubectl logs --namespace pullpass deployment/pullpass --tail 40
    exit 1
} 2>&1

until_true() { # seconds, command
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.2
    done
}

# Sets `pullpass` to the program that goes into the image: the one named, or a debug
# build of now.
find_pullpass() { # [program]
    pullpass=${1:-}
    if [ -z "$pullpass" ]; then
        (cd "$here/../.." && cargo build --locked --quiet --workspace --all-targets)
        pullpass=$here/../../${CARGO_TARGET_DIR:-target}/debug/pullpass
    fi
    [ -x "$pullpass" ] || die "$pullpass is no program"
    pullpass=$(realpath "$pullpass")
}

restart() { # program of the node; it is started again
    on_node kill "$(cat "$state/pids/$1")"
}

corp_pull() { # namespace; made where it is missing, with the pull secret of the private registry
    kubectl get namespace "$1" >/dev/null 2>&1 || kubectl create namespace "$1"
    kubectl create secret docker-registry corp-pull --namespace "$1" --docker-server "$registry" \
        --docker-username "$registry_user" --docker-password "$(cat "$state/registry-password")"
} >/dev/null

# Where its image comes from: the beginning of all values.
image_values() {
    cat <<YAML
image: {registry: $registry, repository: pullpass, tag: dev}
imagePullSecrets: [corp-pull]
YAML
}

install_pullpass() { # further arguments of helm
    { image_values && values; } |
        helm install pullpass "$chart" --namespace pullpass --values - --wait --timeout 90s "$@" >/dev/null
    [ "$(kubectl get deployment pullpass --namespace pullpass -o jsonpath='{.status.readyReplicas}')" = 2 ]
}

uninstall_pullpass() { helm uninstall pullpass --namespace pullpass --wait --timeout 60s >/dev/null; }

# Prints what is left of pullpass after an uninstall, beside its own pull secret.
left_of_pullpass() {
    local left own
    left=$(kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations,clusterroles,clusterrolebindings -o name) &&
        own=$(kubectl get secrets,configmaps,roles,rolebindings,serviceaccounts,services,deployments,poddisruptionbudgets,networkpolicies,resourcequotas,leases \
            --namespace pullpass -o name) || { echo "what is left cannot be asked"; return; }
    grep pullpass <<<"$left"
    grep -vx -e secret/corp-pull -e configmap/kube-root-ca.crt -e serviceaccount/default <<<"$own"
    true
}

## Creates that go on while something changes; none of the pods comes to be

ask() { # image; prints the pull secrets of the pod that would be created, or why there is none
    kubectl run ask --namespace default --image "$1" --dry-run=server -o jsonpath='{.spec.imagePullSecrets[*].name}' 2>&1
}
start_load() { # the expected answer; $folder is the script's
    rm -f "$folder/stop"
    : >"$folder/asked" && : >"$folder/failed"
    (
        while [ ! -e "$folder/stop" ]; do
            said=$(ask "$registry/pause:1") || true
            echo >>"$folder/asked"
            [ "$said" = "$1" ] || echo "$said" >>"$folder/failed"
        done
    ) &
    load=$!
}
end_load() {
    [ -n "${load:-}" ] || return 0
    touch "$folder/stop"
    wait "$load" || true
    load=
}
asked_enough() { [ "$(wc -l <"$folder/asked")" -ge "$1" ]; }
no_create_failed() { # words
    # Also when nothing changes any more.
    until_true 60 asked_enough $(($(wc -l <"$folder/asked") + 5)) || fail "$1: no creates"
    end_load
    [ ! -s "$folder/failed" ] || fail "$1: $(sort "$folder/failed" | uniq -c)"
    ok "$1: $(wc -l <"$folder/asked") creates meanwhile, none failed"
}
