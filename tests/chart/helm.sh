#!/usr/bin/env bash
# Prints the paths of the Helm programs to test the chart with, one a line: 4 first,
# then 3. PULLPASS_HELM (a list with colons between) says where they are; otherwise they
# are taken from beside the control plane, or built once, from their Go modules, into the
# user's cache.
#
#   tests/chart/helm.sh       both
#   tests/chart/helm.sh 4     the newer one alone
set -euo pipefail
cd "$(dirname "$0")"

helm4=v4.3.1
helm3=v3.22.0
want=${1:-all}

if [ -n "${PULLPASS_HELM:-}" ]; then
    tr : '\n' <<<"$PULLPASS_HELM"
    exit
fi

if [ -x "${PULLPASS_CONTROLPLANE:-}/helm3" ]; then
    printf '%s\n' "$PULLPASS_CONTROLPLANE/helm"
    [ "$want" = 4 ] || printf '%s\n' "$PULLPASS_CONTROLPLANE/helm3"
    exit
fi

go=$(../go/toolchain.sh)
export PATH=$go:$PATH
bin=${PULLPASS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullpass}/helm-$helm4-$helm3-$(go env GOOS)-$(go env GOARCH)

build() { # name, package, version
    if [ ! -x "$bin/$1" ]; then
        printf 'helm.sh: building %s %s (once, minutes; kept in %s)\n' "$1" "$3" "$bin" >&2
        mkdir -p "$bin/$1.new"
        GOBIN=$bin/$1.new CGO_ENABLED=0 go install -trimpath "$2@$3" >&2
        mv "$bin/$1.new/helm" "$bin/$1"
        rmdir "$bin/$1.new"
    fi
    printf '%s\n' "$bin/$1"
}

build helm4 helm.sh/helm/v4/cmd/helm "$helm4"
[ "$want" = 4 ] || build helm3 helm.sh/helm/v3/cmd/helm "$helm3"
