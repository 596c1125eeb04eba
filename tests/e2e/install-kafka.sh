#!/bin/sh
# Puts the jars of Apache Kafka, a broker for the tests, into the cache and prints their folder.
# Usage: tests/e2e/install-kafka.sh   (needs Java and Maven: deploy/install-dependencies.sh --tests)
# Environment: XDG_CACHE_HOME (default ~/.cache): the jars are in its folder rfmd/kafka-<checksum of the pom>.
set -eu

case ${1:-} in
    '') ;;
    --help | -h) sed -n '2,4s/^# //p' "$0"; exit 0 ;;
    *) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
esac

pom=$(cd "$(dirname "$0")" && pwd)/kafka/pom.xml
cache=${XDG_CACHE_HOME:-$HOME/.cache}/rfmd
folder=$cache/kafka-$(cksum <"$pom" | cut -d' ' -f1)

if [ ! -d "$folder" ]; then
    mkdir -p "$cache"
    partial=$(mktemp -d "$cache/kafka-partial.XXXXXX")
    trap 'rm -rf "$partial"' EXIT
    trap 'exit 130' INT TERM
    # A copy: Maven writes a folder "target" beside the pom.
    cp "$pom" "$partial/pom.xml"
    mkdir "$partial/jars"
    attempt=1
    until mvn -q -B -f "$partial/pom.xml" dependency:copy-dependencies -DoutputDirectory="$partial/jars" \
        -DincludeScope=runtime >"$partial/log" 2>&1; do
        if [ $attempt -ge 3 ]; then
            cat "$partial/log" >&2
            echo "install-kafka: Maven could not fetch Kafka; its output is above" >&2
            exit 3
        fi
        attempt=$((attempt + 1))
        sleep 5
    done
    mv -T "$partial/jars" "$folder" 2>/dev/null || [ -d "$folder" ] # somebody else may have been first
fi
echo "$folder"
