#!/usr/bin/env bash
# Shows that the fire test can fail: builds rfmd three times, each time with one rule of the protocol left out, and sets it on
# fire. Each must end red. Takes about six minutes.
# Usage: tests/e2e/faults.sh [fire.py's options]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$(ls -d "${XDG_CACHE_HOME:-$HOME/.cache}"/rfmd/venv*/bin/python 2>/dev/null | head -n 1)}
[ -x "$python" ] || { echo "faults.sh: no virtual environment yet: run tests/run.sh e2e once" >&2; exit 3; }
failed=0
for fault in STORE_RULE LOAD_FENCE TAKEOVER_REPLAY; do
    build="$root/build/fault-${fault,,}"
    cmake --preset release -S "$root" -B "$build" -DRFM_FAULT="$fault" -DRFM_TESTS=OFF > /dev/null
    cmake --build "$build" --target rfmd > /dev/null
    echo "without $fault:"
    RFMD="$build/rfmd" "$python" "$root/tests/e2e/fire.py" --events 30000 --clients 3000 --kills 4 --stops 1 --rollbacks 4 \
        --swaps 12 --broker-restarts 0 --seed 20 --expect-red "$@" || failed=1
done
exit "$failed"
