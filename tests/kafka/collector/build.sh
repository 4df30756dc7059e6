#!/usr/bin/env bash
# Builds the OpenTelemetry Collector the Kafka tests start: the real receiver and exporter, 38 MB.
# Needs Go 1.25 or newer and, the first time, the module proxy and some minutes. Prints where it is.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
digest="$(sha256sum "$here/builder.yaml" | cut -c1-8)"
home="${XDG_CACHE_HOME:-$HOME/.cache}/tocsin/collector-$digest"
if [ ! -x "$home/otelcol-test" ]; then
    version="$(sed -n 's/^ *version: *//p' "$here/builder.yaml")"
    work="$(mktemp -d)"
    trap 'rm -rf "$work"' EXIT
    cp "$here/builder.yaml" "$work"
    (cd "$work" && go run "go.opentelemetry.io/collector/cmd/builder@v$version" --config builder.yaml >&2)
    mkdir -p "$home"
    mv "$work/otelcol-test" "$home/otelcol-test"
fi
echo "$home/otelcol-test"
