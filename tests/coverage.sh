#!/bin/bash
# Which lines and branches of engine, client and rule the unit tests and the simulator reach, by file, and which they do not.
# Usage: tests/coverage.sh [--seeds N]
# N: of the simulator, default 300. Lines that only our own mistakes reach (RFM_ASSERT, RFM_NEED) and faults built in for tests
# (RFM_FAULT) do not count as branches. Writes build/coverage/report.html beside the table.
set -euo pipefail

seeds=300
while [ $# -gt 0 ]; do
    case $1 in
        --seeds) seeds=$2; shift 2 ;;
        *) sed -n '2,5s/^# //p' "$0"; exit 2 ;;
    esac
done
cd "$(dirname "$0")/.."
gcovr=${XDG_CACHE_HOME:-$HOME/.cache}/rfmd/gcovr-7.2
[ -x "$gcovr/bin/gcovr" ] || { python3 -m venv "$gcovr" && "$gcovr/bin/pip" install --quiet gcovr==7.2; }

cmake --preset coverage >/dev/null
cmake --build --preset coverage | tail -n 1
find build/coverage -name '*.gcda' -delete
ctest --test-dir build/coverage -j "$(nproc)" --output-on-failure -R '^(client|engine|rule|expr)_|^corpus_|^plays$|^traps$' | tail -n 4
half=$((seeds / 2))
build/coverage/sim --seeds "$half" | tail -n 1
build/coverage/sim --at-least-once --seeds "$((seeds - half))" | tail -n 1
"$gcovr/bin/gcovr" --root . --object-directory build/coverage --filter 'src/(engine|client|rule)/' \
    --exclude-branches-by-pattern '.*RFM_(ASSERT|NEED|FAULT)\(.*' --exclude '.*/build/.*' --exclude-noncode-lines --print-summary \
    --txt-metric branch --txt build/coverage/branches.txt --html-details build/coverage/report.html build/coverage >build/coverage/summary.txt
cat build/coverage/branches.txt build/coverage/summary.txt
