#!/bin/sh
# Makes the pages of docs/ that come from the program's own tables.
# Usage: docs/generate.sh [--check] [PROGRAM]   (PROGRAM: build/release/rfmd if not given)
# --check: writes nothing, shows what is not current and fails.
set -eu

check=no
case ${1:-} in
    --check) check=yes; shift ;;
    --help | -h) sed -n '2,4s/^# //p' "$0"; exit 0 ;;
esac
folder=$(cd "$(dirname "$0")" && pwd)
program=${1:-$folder/../build/release/rfmd}
page=$(mktemp)
trap 'rm -f "$page"' EXIT

stale=0
for name in configuration metrics dead-letters; do
    "$program" check --reference $name >"$page"
    if [ $check = no ]; then
        cat "$page" >"$folder/$name.md"
    elif ! diff -u "$folder/$name.md" "$page"; then
        echo "docs/$name.md is not current: run docs/generate.sh" >&2
        stale=1
    fi
done
exit $stale
