#!/usr/bin/env bash
# Builds pullpass's image without a daemon: static binaries, from scratch, for the
# architectures named (amd64, arm64; both when none is), as an OCI layout in
# target/image/oci and the same as one file, target/image/pullpass.tar. Prints the
# digest.
#
# The same commit gives the same digest: paths are taken out of the binaries, and every
# date is SOURCE_DATE_EPOCH (the commit's, when it is not set).
#
# PULLPASS_IMAGE_PROFILE=dev makes one of quickly built binaries, for tests, in
# target/image-dev.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

say() { printf 'image: %s\n' "$*" >&2; }
fail() { say "$*"; exit 3; }

[ $# -gt 0 ] || set -- amd64 arm64
export LC_ALL=C TZ=UTC
umask 022

source=$PWD
target=${CARGO_TARGET_DIR:-$source/target}
case $target in /*) ;; *) target=$source/$target ;; esac
case ${PULLPASS_IMAGE_PROFILE:-release} in
release) profile=release built=release out=$target/image ;;
dev) profile=dev built=debug out=$target/image-dev ;;
*) fail "PULLPASS_IMAGE_PROFILE is release or dev" ;;
esac
oci=$out/oci
blobs=$oci/blobs/sha256
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || revision+=-dirty
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)

# certifi is Mozilla's list, in numbered versions: the machine's own list would make
# another image on another machine.
authorities_version=2026.10.18
authorities_sum=d87887200c9a705dccc937b9b83b5e67e47024c4a4b7f9dd15700c72e0f55453
authorities() {
    local home=$out/certifi-$authorities_version
    if [ ! -f "$home/certifi/cacert.pem" ]; then
        say "getting Mozilla's certificate authorities ($authorities_version)"
        python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$home" \
            "certifi==$authorities_version" >&2 || fail "python3 with pip is needed for them"
    fi
    sha256sum --check --status <<<"$authorities_sum  $home/certifi/cacert.pem" ||
        fail "$home/certifi/cacert.pem is not what it should be"
    # Without the comments, of which there are more than certificates.
    sed -n '/BEGIN CERTIFICATE/,/END CERTIFICATE/p' "$home/certifi/cacert.pem"
}

# A C compiler for the few C files of the cryptography.
compiler() { # architecture
    local tried
    case $1 in
    amd64) set -- x86_64-linux-musl-gcc musl-gcc ;;
    arm64) set -- aarch64-linux-musl-gcc aarch64-linux-gnu-gcc ;;
    esac
    for tried in "$@"; do
        command -v "$tried" >/dev/null 2>&1 && { echo "$tried"; return; }
    done
    fail "no C compiler ($*): on Debian, apt-get install musl-tools gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
}

triple() { # architecture
    case $1 in
    amd64) echo x86_64-unknown-linux-musl ;;
    arm64) echo aarch64-unknown-linux-musl ;;
    *) fail "unknown architecture $1: amd64 or arm64" ;;
    esac
}

# cargo-auditable writes the list of crates into the binary, where scanners find it. The
# version is fixed, because another one could write other bytes.
auditable_version=0.7.5
auditable() { # prints the folder with the program
    local home=${PULLPASS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullpass}/cargo-auditable-$auditable_version
    if [ ! -x "$home/bin/cargo-auditable" ]; then
        say "building cargo-auditable $auditable_version, once"
        "${CARGO:-cargo}" install --quiet --locked --root "$home" --target-dir "$home/build" \
            "cargo-auditable@$auditable_version" >&2 || fail "cargo-auditable could not be built"
        rm -rf "$home/build"
    fi
    # It calls this instead of cargo. The names of all symbols depend on the name of the
    # wrapper that cargo gets, which would be its whole path on this machine.
    printf '#!/bin/sh\nRUSTC_WORKSPACE_WRAPPER=cargo-auditable exec "%s" "$@"\n' "${CARGO:-cargo}" >"$out/cargo"
    chmod +x "$out/cargo"
    echo "$home/bin"
}

binary() { # architecture; prints the file
    local triple gcc linker variable flags tools
    # Linked by the ordinary compiler with the musl that Rust brings: Debian's musl-gcc
    # would make a binary that asks for a loader.
    triple=$(triple "$1")
    linker=${triple%%-*}-linux-gnu-gcc
    gcc=$(compiler "$1")
    tools=$(auditable)
    command -v "$linker" >/dev/null 2>&1 || linker=$gcc
    rustup target list --installed 2>/dev/null | grep -qx "$triple" ||
        rustup target add "$triple" >&2 ||
        fail "the standard library for $triple could not be got: rustup target add $triple"
    variable=${triple//-/_}
    # Nothing of this machine: neither paths of ours nor of the crates.
    flags="--remap-path-prefix=$target=/target --remap-path-prefix=$source=/pullpass"
    flags+=" --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    local cflags="-ffile-prefix-map=${CARGO_HOME:-$HOME/.cargo}=/cargo -ffile-prefix-map=$target=/target"
    # musl has none of the functions that GCC would call for them.
    [ "$1" = arm64 ] && cflags+=" -mno-outline-atomics"
    say "building for $1"
    env "CC_$variable=$gcc" "CFLAGS_$variable=$cflags" \
        "CARGO_TARGET_${variable^^}_LINKER=$linker" "CARGO_TARGET_${variable^^}_RUSTFLAGS=$flags" \
        CARGO_TARGET_DIR="$target" "CARGO_PROFILE_${profile^^}_STRIP=symbols" PATH="$tools:$PATH" CARGO="$out/cargo" \
        cargo-auditable auditable build --locked --profile "$profile" --target "$triple" --bin pullpass --quiet >&2
    if grep -qE 'ld-(musl|linux)-' "$target/$triple/$built/pullpass"; then
        fail "the binary for $1 is not static: it names a loader"
    fi
    echo "$target/$triple/$built/pullpass"
}

# Puts a file among the blobs; prints its digest.
blob() { # file
    local digest
    digest=$(sha256sum <"$1" | cut -d ' ' -f 1)
    mv "$1" "$blobs/$digest"
    echo "sha256:$digest"
}

size() { stat -c %s "$blobs/${1#sha256:}"; }

image() { # architecture; prints the manifest's descriptor
    local root=$out/root-$1 file diff layer config manifest platform
    rm -rf "$root"
    mkdir -p "$root/etc/ssl/certs" "$root/licenses" "$root/tmp"
    file=$(binary "$1")
    install -m 755 "$file" "$root/pullpass"
    authorities >"$root/etc/ssl/certs/ca-certificates.crt"
    printf 'pullpass:x:65532:65532::/:/pullpass\n' >"$root/etc/passwd"
    printf 'pullpass:x:65532:\n' >"$root/etc/group"
    install -m 644 LICENSE "$root/licenses/LICENSE"
    image/sbom "$(triple "$1")" "certifi@$authorities_version=pkg:pypi/certifi@$authorities_version" \
        >"$root/licenses/pullpass.cdx.json"
    chmod 1777 "$root/tmp"
    tar --create --directory "$root" --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" \
        --owner=0 --group=0 --numeric-owner --file "$out/layer" .
    diff=$(sha256sum <"$out/layer" | cut -d ' ' -f 1)
    gzip -9 --no-name --force --stdout "$out/layer" >"$out/layer.gz"
    rm "$out/layer"
    layer=$(blob "$out/layer.gz")
    platform="\"architecture\":\"$1\",\"os\":\"linux\""
    [ "$1" = arm64 ] && platform+=',"variant":"v8"'
    cat >"$out/config" <<END
{"created":"$created",$platform,
"config":{"User":"65532:65532","Entrypoint":["/pullpass"],"WorkingDir":"/","Env":["PATH=/","SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
"ExposedPorts":{"8443/tcp":{},"8080/tcp":{}},"Labels":$labels},
"rootfs":{"type":"layers","diff_ids":["sha256:$diff"]},
"history":[{"created":"$created","created_by":"image/build.sh"}]}
END
    config=$(blob "$out/config")
    cat >"$out/manifest" <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"$config","size":$(size "$config")},
"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"$layer","size":$(size "$layer")}],
"annotations":$labels}
END
    manifest=$(blob "$out/manifest")
    printf '{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":%s,"platform":{%s}}' \
        "$manifest" "$(size "$manifest")" "$platform"
}

labels='{"org.opencontainers.image.title":"pullpass"'
labels+=',"org.opencontainers.image.description":"Kubernetes admission webhook: pods get the pass to pull, or a clear word why not"'
labels+=",\"org.opencontainers.image.version\":\"$version\",\"org.opencontainers.image.revision\":\"$revision\""
labels+=",\"org.opencontainers.image.created\":\"$created\",\"org.opencontainers.image.licenses\":\"Apache-2.0\"}"

rm -rf "$oci"
mkdir -p "$blobs"
descriptors=
for architecture in "$@"; do
    # Not in the printf: its failure would not end us there.
    descriptor=$(image "$architecture")
    descriptors+=${descriptors:+,}$descriptor
done
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s],"annotations":%s}\n' \
    "$descriptors" "$labels" >"$out/index"
index=$(blob "$out/index")
printf '{"imageLayoutVersion":"1.0.0"}' >"$oci/oci-layout"
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"%s","io.containerd.image.name":"pullpass:%s"}}]}\n' \
    "$index" "$(size "$index")" "$version" "$version" >"$oci/index.json"
tar --create --directory "$oci" --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" \
    --owner=0 --group=0 --numeric-owner --file "$out/pullpass.tar" blobs index.json oci-layout
say "$out/pullpass.tar, pullpass:$version"
printf '%s\n' "$index"
