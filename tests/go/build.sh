#!/usr/bin/env bash
# Builds the real control plane (etcd, kube-apiserver, kube-controller-manager,
# kubectl) and the oracles from Go modules, once, into the user's cache, and
# prints the folder they are in. What is there already is not built again.
#
#   tests/go/build.sh               everything
#   tests/go/build.sh oracles       only the oracles (a minute, no API server)
#   tests/go/build.sh controlplane  only the control plane
#
# A machine that has the control plane already says so, as envtest users do,
# through KUBEBUILDER_ASSETS: then none of it is built.
set -euo pipefail
cd "$(dirname "$0")"

kubernetes=v1.36.3
etcd=v3.6.8
want=${1:-all}

say() { printf 'build.sh: %s\n' "$*" >&2; }

command -v go >/dev/null 2>&1 || { say "go is not installed (the Makefile's target 'go' gets it)"; exit 3; }

cache=${PULLPASS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullpass}
# The oracles are small and change with their sources; the control plane does
# not. So the folder's name holds only the versions, and the oracles are always
# handed to the go command, which knows best whether anything changed.
bin=$cache/kubernetes-$kubernetes-etcd-$etcd-$(go env GOOS)-$(go env GOARCH)
mkdir -p "$bin"

export CGO_ENABLED=0
minor=${kubernetes#v1.}
# Without a version the server calls itself v0.0.0-master and clients stumble.
stamp="-s -w -X k8s.io/component-base/version.gitVersion=$kubernetes"
stamp+=" -X k8s.io/component-base/version.gitMajor=1"
stamp+=" -X k8s.io/component-base/version.gitMinor=${minor%%.*}"

# Builds into a temporary name first, so that an interrupted build leaves no
# half of a program behind.
build() { # name, module folder, package
    local target=$bin/$1
    [ -x "$target" ] && return
    say "building $1 (once; kept in $bin)"
    (cd "$2" && go build -trimpath -ldflags "$stamp" -o "$target.new" "$3")
    mv "$target.new" "$target"
}

if [ "$want" != oracles ]; then
    if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
        say "KUBEBUILDER_ASSETS is set: the control plane is taken from there"
    else
        build etcd etcd go.etcd.io/etcd/server/v3
        build kube-apiserver . k8s.io/kubernetes/cmd/kube-apiserver
        build kube-controller-manager . k8s.io/kubernetes/cmd/kube-controller-manager
        build kubectl . k8s.io/kubernetes/cmd/kubectl
    fi
fi
if [ "$want" != controlplane ]; then
    for oracle in reference keyring; do
        go build -trimpath -o "$bin/oracle-$oracle" "./oracle/$oracle"
    done
fi
printf '%s\n' "$bin"
