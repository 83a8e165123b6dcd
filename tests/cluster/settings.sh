# What the scripts of the one-node cluster agree on: where things are, which
# addresses it has, how one gets inside. Sourced, never run.
# shellcheck shell=bash disable=SC2034

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PULLPASS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullpass}

# The folder is the cluster: another folder is another cluster beside it.
state=$(realpath -m "${PULLPASS_CLUSTER_DIR:-$cache/cluster}")
# One folder of that name in each cgroup hierarchy.
cgroup=pullpass-$(printf %s "$state" | cksum | cut -d ' ' -f 1)

# All of it is seen from inside the cluster's network namespace only.
node_address=10.200.0.1
registry_address=10.200.0.2
api_address=10.96.0.1        # the first of the services', so that pods reach it without kube-proxy
service_range=10.96.0.0/16
pod_range=10.244.0.0/16

registry=registry.corp.example        # TLS by a CA of its own, user name and password
registry_user=corp
open_registry=localhost:5000          # the same images, plain HTTP, nothing asked

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$@"; exit 1; }

need_root() {
    [ "$(id -u)" = 0 ] || die "this needs root: it makes namespaces and runs containers (try: sudo make cluster)"
}

# The process all others of the cluster descend from, as the host numbers it;
# fails where there is none. A number alone may by now be somebody else's.
init_pid() {
    local pid namespace
    read -r pid namespace 2>/dev/null <"$state/init" || return 1
    [ "$(readlink "/proc/$pid/ns/pid")" = "$namespace" ] && printf '%s\n' "$pid"
}

# Keeps other scripts from starting or ending the cluster until file 9 is closed.
# What a script that was killed had started may hold it a little longer.
lock() {
    exec 9>"$state/lock"
    flock --wait 15 9 || die "the cluster in $state is being started or ended at this moment"
}

# Where the Go programs and Debian's are; set by `programs`, kept for the others.
program_folders() { cat "$state/programs"; }

# Makes a command for a person in the cluster's bin folder, as if the cluster were elsewhere.
# Only root can use it, because it enters the cluster's network.
command_file() { # name, namespaces to enter, program
    cat >"$state/bin/$1" <<SH
#!/bin/sh
# $1 for the cluster in $state.
read -r init namespace <"$state/init"
[ "\$(readlink "/proc/\$init/ns/pid")" = "\$namespace" ] || { echo "$1: that cluster is not running" >&2; exit 1; }
export KUBECONFIG="$state/etc/admin" KUBECACHEDIR="$state/cache/kubectl" KUBERC=off
export HELM_CACHE_HOME="$state/cache/helm" HELM_CONFIG_HOME="$state/cache/helm" HELM_DATA_HOME="$state/cache/helm"
exec nsenter --target "\$init" $2 -- $3 "\$@"
SH
    chmod +x "$state/bin/$1"
}
