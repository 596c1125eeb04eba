#!/bin/bash
# The simulator can fail: with any rule of src/engine/fault.h left out, one of the seeds that run in CI must go wrong.
#     tests/sim/mutations.sh SIM_MUTANTS [--at-least-once] [FAULT...]
# Says for each rule which is the first, and what was seen.
set -u
program=$1
shift
status=0
options=(--stop)
if [ "${1:-}" = --at-least-once ]; then
    options+=("$1")
    shift
fi
found=0
faults=$("$program" --faults)
while IFS=$'\t' read -r fault text; do
    [ $# -eq 0 ] || [[ " $* " == *" $fault "* ]] || continue
    said=$(timeout 100 "$program" "${options[@]}" --fault "$fault" 2>&1)
    code=$?
    seed=$(sed -n 's/.*to see it again: .* --seed \([0-9]*\).*/\1/p' <<< "$said" | head -1)
    if [ $code -ne 0 ] && [ -n "$seed" ]; then
        printf '%-18s seed %3s  %s: %s\n' "$fault" "$seed" "$text" "$(head -1 <<< "$said" | cut -c1-160)"
        found=$((found + 1))
    else
        printf '%-18s NOT SEEN  %s: %s\n' "$fault" "$text" "$(tail -1 <<< "$said")"
        status=1
    fi
done <<< "$faults"
echo "$found rules are missed when they are left out"
exit $status
