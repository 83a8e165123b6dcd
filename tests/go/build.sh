#!/usr/bin/env bash
# Builds the real programs the tests run against from Go modules, once, into the
# user's cache, and prints the folder they are in. What is there already is not
# built again.
#
#   tests/go/build.sh               the control plane and the oracles
#   tests/go/build.sh oracles       only the oracles (a minute, no API server)
#   tests/go/build.sh controlplane  only etcd, kube-apiserver, kube-controller-manager, kubectl
#   tests/go/build.sh helm          only Helm 4 and 3: helm, helm3
#   tests/go/build.sh node          the control plane and what a node and its user
#                                   need: kube-scheduler, kubelet, crane, pause, helm, helm3
#
# PULLPASS_KUBERNETES=1.36 chooses an older Kubernetes: each has its own module
# file with sums, go.mod or kubernetes-1.36.mod. A machine that has the control
# plane already says so, as envtest users do, through KUBEBUILDER_ASSETS: then
# none of it is built.
set -euo pipefail
cd "$(dirname "$0")"

etcd=v3.7.0
helm=v4.3.1
helm3=v3.22.0
crane=v0.22.1
want=${1:-all}

say() { printf 'build.sh: %s\n' "$*" >&2; }

modules=kubernetes-${PULLPASS_KUBERNETES:-}.mod
[ -f "$modules" ] || modules=go.mod
kubernetes=$(awk '$1 == "k8s.io/kubernetes" {print $2}' "$modules")
case $kubernetes. in
    v"${PULLPASS_KUBERNETES:-1}".*) ;;
    *) say "PULLPASS_KUBERNETES=$PULLPASS_KUBERNETES cannot be built: go.mod and kubernetes-*.mod say what can"; exit 2 ;;
esac

command -v go >/dev/null 2>&1 || { say "go is not installed (the Makefile's target 'go' gets it)"; exit 3; }

cache=${PULLPASS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullpass}
# The folder's name holds the versions of what is big and changes with them
# alone; Helm and crane have theirs in the file's name. The oracles are small and
# change with their sources, so they are always handed to the go command, which
# knows best whether anything changed.
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
build() { # name, module folder, package, more linker flags
    local target=$bin/$1 module_file=go.mod
    [ -x "$target" ] && return
    [ "$2" != . ] || module_file=$modules
    say "building $1 (once; kept in $bin)"
    (cd "$2" && go build -modfile "$module_file" -trimpath -ldflags "$stamp ${4:-}" -o "$target.new" "$3")
    mv "$target.new" "$target"
}

# The same for a program that comes with a version of its own.
versioned() { # name, version, module folder, package, more linker flags
    build "$1-$2" "${@:3}"
    ln -sfn "$1-$2" "$bin/$1"
}

build_control_plane() {
    if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
        say "KUBEBUILDER_ASSETS is set: the control plane is taken from there"
        return
    fi
    build etcd etcd go.etcd.io/etcd/server/v3
    build kube-apiserver . k8s.io/kubernetes/cmd/kube-apiserver
    build kube-controller-manager . k8s.io/kubernetes/cmd/kube-controller-manager
    build kubectl . k8s.io/kubernetes/cmd/kubectl
}

build_node() {
    # envtest's assets have none.
    [ -x "${KUBEBUILDER_ASSETS:-}/kube-controller-manager" ] ||
        build kube-controller-manager . k8s.io/kubernetes/cmd/kube-controller-manager
    build kube-scheduler . k8s.io/kubernetes/cmd/kube-scheduler
    build kubelet . k8s.io/kubernetes/cmd/kubelet
    build pause . ./pause
    versioned crane "$crane" crane github.com/google/go-containerregistry/cmd/crane \
        "-X github.com/google/go-containerregistry/cmd/crane/cmd.Version=$crane"
    build_helm
}

build_helm() {
    versioned helm "$helm" helm4 helm.sh/helm/v4/cmd/helm \
        "-X helm.sh/helm/v4/internal/version.version=$helm"
    # Helm 3 takes the Kubernetes it renders for from its Makefile, as here.
    local client package flags="-X helm.sh/helm/v3/internal/version.version=$helm3"
    client=$(cd helm3 && go list -m -f '{{.Version}}' k8s.io/client-go) # v0.37.0: 1.37
    client=${client#v0.}
    for package in pkg/chartutil pkg/lint/rules; do
        flags+=" -X helm.sh/helm/v3/$package.k8sVersionMajor=1"
        flags+=" -X helm.sh/helm/v3/$package.k8sVersionMinor=${client%%.*}"
    done
    versioned helm3 "$helm3" helm3 helm.sh/helm/v3/cmd/helm "$flags"
}

build_oracles() {
    local oracle
    for oracle in reference keyring manifest; do
        go build -modfile "$modules" -trimpath -o "$bin/oracle-$oracle" "./oracle/$oracle"
    done
}

case $want in
    all) build_control_plane; build_oracles ;;
    controlplane) build_control_plane ;;
    node) build_control_plane; build_node ;;
    helm) build_helm ;;
    oracles) build_oracles ;;
    *) say "no such target: $want (oracles, controlplane, node, helm)"; exit 2 ;;
esac
printf '%s\n' "$bin"
