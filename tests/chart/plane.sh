# Sourced by `run`: an API server with nothing behind it but etcd. No controllers, so
# nothing starts; what it says about objects, conditions and rights is the real word.
#
# After start_plane: KUBECONFIG is an administrator's, kubectl is on the PATH.

start_plane() { # folder of etcd, kube-apiserver and kubectl; an empty folder to work in
    local bin=$1 work=$2 etcd_port peer_port port
    etcd_port=$(free_port) peer_port=$(free_port) port=$(free_port)
    openssl genrsa -out "$work/account.key" 2048 2>/dev/null || return 1
    {
        printf 'admin-token,admin,1,"system:masters"\n'
        printf 'node-token,system:node:one,2,"system:nodes"\n'
    } >"$work/tokens"
    "$bin/etcd" --data-dir="$work/etcd" --unsafe-no-fsync --log-level=error \
        --listen-client-urls="http://127.0.0.1:$etcd_port" \
        --advertise-client-urls="http://127.0.0.1:$etcd_port" \
        --listen-peer-urls="http://127.0.0.1:$peer_port" \
        --initial-advertise-peer-urls="http://127.0.0.1:$peer_port" \
        --initial-cluster="default=http://127.0.0.1:$peer_port" >"$work/etcd.log" 2>&1 &
    plane_processes=$!
    # No ServiceAccount plugin: nobody is there to make a namespace's default account.
    "$bin/kube-apiserver" --etcd-servers="http://127.0.0.1:$etcd_port" \
        --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --secure-port="$port" \
        --endpoint-reconciler-type=none --cert-dir="$work/certificates" \
        --service-account-issuer=https://kubernetes.default.svc \
        --service-account-key-file="$work/account.key" \
        --service-account-signing-key-file="$work/account.key" \
        --service-cluster-ip-range=10.0.0.0/24 --authorization-mode=RBAC \
        --token-auth-file="$work/tokens" \
        --disable-admission-plugins=ServiceAccount >"$work/apiserver.log" 2>&1 &
    plane_processes+=" $!"
    export KUBECONFIG=$work/kubeconfig PATH=$bin:$PATH
    cat >"$KUBECONFIG" <<END
apiVersion: v1
kind: Config
clusters: [{name: plane, cluster: {server: "https://127.0.0.1:$port", insecure-skip-tls-verify: true}}]
users:
  - {name: admin, user: {token: admin-token}}
  - {name: node, user: {token: node-token}}
contexts:
  - {name: admin, context: {cluster: plane, user: admin}}
  - {name: node, context: {cluster: plane, user: node}}
current-context: admin
END
    local i
    for ((i = 0; i < 240; i++)); do
        kubectl get --raw /readyz >/dev/null 2>&1 && return
        sleep 0.25
    done
    tail -n 20 "$work/apiserver.log"
    return 1
}

stop_plane() {
    # By their numbers, the API server first: etcd's end would fill its log.
    local pid
    for pid in $(tr ' ' '\n' <<<"${plane_processes:-}" | tac); do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    plane_processes=
}

free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}
