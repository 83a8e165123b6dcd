#!/usr/bin/env bash
# Prints the paths of the Helm programs to test the chart with, one a line: 4 first,
# then 3. PULLPASS_HELM (a list with colons between) says where they are; otherwise
# tests/go/build.sh has them, or builds them once.
set -euo pipefail
cd "$(dirname "$0")"

if [ -n "${PULLPASS_HELM:-}" ]; then
    tr : '\n' <<<"$PULLPASS_HELM"
    exit
fi

bin=${PULLPASS_CONTROLPLANE:-}
if [ ! -x "$bin/helm" ] || [ ! -x "$bin/helm3" ]; then
    go=$(../go/toolchain.sh)
    bin=$(PATH=$go:$PATH ../go/build.sh helm)
fi
printf '%s\n' "$bin/helm" "$bin/helm3"
