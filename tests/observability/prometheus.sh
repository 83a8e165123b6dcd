#!/usr/bin/env bash
# Prints the folder of prometheus and promtool, getting Debian's where the machine has none:
# unpacked into the user's cache, not installed, so no service is there to be stopped.
set -euo pipefail

say() { printf 'prometheus.sh: %s\n' "$*" >&2; }

if path=$(command -v promtool) && command -v prometheus >/dev/null; then
    dirname "$path"
    exit
fi

cache=${PULLPASS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullpass}
home=$cache/prometheus
if [ ! -x "$home/usr/bin/promtool" ]; then
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
        say "no prometheus and promtool in PATH, and no apt-get to get them"
        exit 3
    }
    say "getting Debian's prometheus (once; kept in $home)"
    rm -rf "$home.new"
    mkdir -p "$home.new"
    # As root apt would drop its rights, and could not write here.
    get() { (cd "$home.new" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download prometheus >&2); }
    # The lists of a fresh container are empty, those of an old one name what is gone.
    get || { [ "$(id -u)" -eq 0 ] && apt-get -qq update >&2 && get; } || {
        say "apt-get cannot download prometheus (are its lists old? apt-get update needs root)"
        exit 3
    }
    dpkg-deb -x "$home.new"/prometheus_*.deb "$home.new"
    rm -rf "$home" "$home.new"/prometheus_*.deb
    mv "$home.new" "$home"
fi
"$home/usr/bin/promtool" --version >/dev/null 2>&1 || {
    say "the promtool in $home does not run here"
    exit 3
}
printf '%s\n' "$home/usr/bin"
