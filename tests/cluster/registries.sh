# How registries are made: certificates, accounts, what docker-registry reads.
# Sourced in the cluster's folder, after settings.sh; never run.
# shellcheck shell=bash disable=SC2154

authority() { # file, name
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$2" \
        -keyout "tls/$1.key" -out "tls/$1.crt" 2>/dev/null
}

certificate() { # file, authority, names
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
        -keyout "tls/$1.key" -out "tls/$1.csr" 2>/dev/null
    openssl x509 -req -in "tls/$1.csr" -CA "tls/$2.crt" -CAkey "tls/$2.key" -CAcreateserial -days 30 \
        -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$3") \
        -out "tls/$1.crt" 2>/dev/null
}

# A self-signed CA is made known to the node as an administrator would do it.
trust() { # image host, authority, [host to go to instead]
    mkdir -p "etc/certs.d/$1"
    cat >"etc/certs.d/$1/hosts.toml" <<TOML
[host."https://${3:-$1}"]
  capabilities = ["pull", "resolve"]
  ca = "$state/tls/$2.crt"
TOML
}

# All registries are over one folder: what is pushed to one is in the others.
registry_yaml() { # address
    cat <<YAML
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $state/registry}, delete: {enabled: true}}
http:
  addr: $1
  secret: $(openssl rand -hex 16)
YAML
}

# To be written after registry_yaml, in this order.
registry_tls() { # file of the certificate
    echo "  tls: {certificate: $state/tls/$1.crt, key: $state/tls/$1.key}"
}
registry_auth() { # realm, file of the accounts
    echo "auth: {htpasswd: {realm: $1, path: $state/etc/$2}}"
}

# What htpasswd -B would write, without Apache's tools.
account() { # user, password
    printf '%s' "$2" | perl -e 'print "$ARGV[0]:", crypt(<STDIN>, "\$2y\$05\$$ARGV[1]"), "\n"' \
        "$1" "$(openssl rand -hex 11)"
}
