#!/bin/bash
# The simulator can fail: with a part of the protocol switched off, each program given must find a seed that goes wrong.
#     tests/sim/mutations.sh [--at-least-once] PROGRAM...      (CMake builds them: sim_store_rule, sim_load_fence, sim_takeover_replay)
set -u
status=0
options=(--stop)
if [ "${1:-}" = --at-least-once ]; then
    options+=("$1")
    shift
fi
for program in "$@"; do
    said=$("$program" "${options[@]}")
    if [ $? -eq 1 ] && [[ $said == *"to see it again: sim --seed"* ]]; then
        printf '%s: red, as it should be: %s\n' "${program##*/}" "$(printf '%s\n' "$said" | head -1)"
    else
        printf '%s: NOT SEEN. The simulator said: %s\n' "${program##*/}" "$(printf '%s\n' "$said" | tail -1)"
        status=1
    fi
done
exit $status
