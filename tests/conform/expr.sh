#!/bin/bash
# Compares expressions with cel-go: random ones, with random values (cel/main.go names what is left out and why).
# Usage: tests/conform/expr.sh [--cases N] [--seed N] [--record] [PROGRAM]
# PROGRAM: expr_conform as built, default build/debug/expr_conform. --record: writes tests/conform/expr_cases.txt instead,
# which CTest compares without Go. Needs Go 1.19 or later, and its module proxy once.
set -euo pipefail

cases=100000
seed=1
record=no
program=build/debug/expr_conform
while [ $# -gt 0 ]; do
    case $1 in
        --cases) cases=$2; shift 2 ;;
        --seed) seed=$2; shift 2 ;;
        --record) record=yes; shift ;;
        -*) sed -n '2,6s/^# //p' "$0"; exit 2 ;;
        *) program=$1; shift ;;
    esac
done
folder=$(cd "$(dirname "$0")" && pwd)
cd "$folder/../.."
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
(cd "$folder/cel" && go build -o "$made/cel" .)
if [ $record = yes ]; then
    "$made/cel" -cases "$cases" -seed "$seed" >"$folder/expr_cases.txt"
else
    "$made/cel" -cases "$cases" -seed "$seed" | "$program"
fi
