#!/bin/sh
# Installs what is missing, builds rfmd and shows it at work.
set -eu

usage() {
    cat <<'EOF'
Usage: deploy/quickstart.sh [--build-only] [demo options]

On a fresh Debian 12 or 13: installs the libraries (as root or by sudo), builds build/release/rfmd
and starts its demo: Kafka, Redis and traffic of its own, all on this machine.

  --build-only   stop after the build
  --seconds N    let the demo end by itself after N seconds (20 where there is no terminal)
  --help         this text

Every other option goes to the demo: see build/release/rfmd demo --help.
EOF
}

build_only=no
seconds=no
count=$#
while [ "$count" -gt 0 ]; do # each argument is taken from the front and, if it is the demo's, put at the end
    argument=$1
    shift
    count=$((count - 1))
    case $argument in
        --help | -h) usage; exit 0 ;;
        --build-only) build_only=yes; continue ;;
        --seconds | --seconds=*) seconds=yes ;;
    esac
    set -- "$@" "$argument"
done

cd "$(dirname "$0")/.."
deploy/install-dependencies.sh
echo "quickstart: building build/release/rfmd"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM

# On a terminal the build shows its progress; elsewhere it speaks only if it fails.
build() {
    if [ -t 1 ]; then
        "$@"
    else
        "$@" >"$log" 2>&1
    fi
}
if ! build cmake --preset release --log-level=WARNING || ! build cmake --build --preset release --target rfmd; then
    tail -n 40 "$log" >&2
    echo "quickstart: the build failed; the end of its output is above" >&2
    exit 3
fi
rm -f "$log"
trap - EXIT INT TERM

if [ $build_only = yes ]; then
    build/release/rfmd version
    exit
fi
if [ ! -t 1 ] && [ $seconds = no ]; then
    set -- --seconds 20 "$@"
fi
exec build/release/rfmd demo "$@"
