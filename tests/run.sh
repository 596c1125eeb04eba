#!/bin/bash
# Runs the tests: see usage below, and CONTRIBUTING.md.
set -u

usage() {
    cat <<'EOF'
Usage: tests/run.sh [--quick | --unit | --e2e] [SUITE...]

Installs what the tests need, builds, runs the suites and ends with one line "N passed, N failed".
Exit code 0 if nothing failed, else 1.

  (nothing)   format release asan tsan fuzz e2e e2e-asan e2e-tsan
  --quick     format release
  --unit      release asan tsan fuzz
  --e2e       e2e e2e-asan e2e-tsan
  --list      the suites
  --help      this text

Suites:
  format          clang-format finds nothing to change, no comment is wider than 120 columns
  release         unit tests, simulator, layering: gcc, as shipped
  asan            the same under AddressSanitizer and UndefinedBehaviorSanitizer
  tsan            the same under ThreadSanitizer
  clang-release   the same by clang
  clang-asan      the same by clang under AddressSanitizer and UndefinedBehaviorSanitizer
  fuzz            each fuzzer for FUZZ_SECONDS
  e2e             rfmd against a real Kafka and a real Redis, but for the tests marked slow
  e2e-asan        those marked sanitizer, under AddressSanitizer and UndefinedBehaviorSanitizer
  e2e-tsan        those marked sanitizer, under ThreadSanitizer
  e2e-slow        those marked slow
  tidy            clang-tidy (takes minutes)

Environment:
  FUZZ_SECONDS     seconds for each fuzzer (default 10)
  PYTEST_ARGS      further arguments for pytest, split at blanks
  XDG_CACHE_HOME   Python packages and Kafka are kept in its folder rfmd (default ~/.cache)
EOF
}

all="format release asan tsan clang-release clang-asan fuzz e2e e2e-asan e2e-tsan e2e-slow tidy"
suites=""
for argument in "$@"; do
    case $argument in
        --help | -h) usage; exit 0 ;;
        --list) printf '%s\n' $all; exit 0 ;;
        --quick) suites="$suites format release" ;;
        --unit) suites="$suites release asan tsan fuzz" ;;
        --e2e) suites="$suites e2e e2e-asan e2e-tsan" ;;
        *)
            case " $all " in
                *" $argument "*) suites="$suites $argument" ;;
                *) usage >&2; exit 2 ;;
            esac
            ;;
    esac
done
suites=${suites:-format release asan tsan fuzz e2e e2e-asan e2e-tsan}

cd "$(dirname "$0")/.." || exit 3
root=$PWD
cache=${XDG_CACHE_HOME:-$HOME/.cache}/rfmd
results=$root/build/results
jobs=$(nproc)
passed=0
failed=0
mkdir -p "$results" "$cache"

say() { printf '== %s\n' "$*"; }

# count PASSED FAILED: adds to the sum.
count() {
    passed=$((passed + $1))
    failed=$((failed + $2))
}

# limited SECONDS COMMAND...: within its time, and such that a signal to this script ends it.
child=
limited() {
    timeout -k 30 "$@" &
    child=$!
    wait $child
}

# quietly NAME SECONDS COMMAND...: runs it within its time and shows its output only if it fails.
quietly() {
    local name=$1 budget=$2 started=$SECONDS result
    shift 2
    limited "$budget" "$@" >"$results/$name.log" 2>&1
    result=$?
    if [ $result -ne 0 ]; then
        tail -n 60 "$results/$name.log"
        [ $result -ne 124 ] || say "$name: over its time of $budget s"
        say "$name: FAILED after $((SECONDS - started)) s (whole output: build/results/$name.log)"
    else
        say "$name: $((SECONDS - started)) s"
    fi
    return $result
}

# attribute FILE NAME: a number in the first <testsuite> of a JUnit file, 0 where it is absent.
attribute() {
    local value
    value=$(tr '\n\t' '  ' <"$1" | grep -o '<testsuite [^>]*>' | head -n 1 | grep -o " $2=\"[0-9]*\"" | grep -o '[0-9]*')
    echo "${value:-0}"
}

# count_junit NAME RESULT: adds a suite's cases; one that failed without a failed case counts as a case itself.
count_junit() {
    local file=$results/$1.xml bad good
    if [ ! -s "$file" ]; then
        count 0 1
        return
    fi
    bad=$(($(attribute "$file" failures) + $(attribute "$file" errors)))
    good=$(($(attribute "$file" tests) - bad - $(attribute "$file" skipped) - $(attribute "$file" disabled)))
    [ "$2" -eq 0 ] || [ $bad -gt 0 ] || bad=1
    say "$1: $good passed, $bad failed, $(attribute "$file" skipped) skipped"
    count $good $bad
}

# build PRESET [TARGET...]
build() {
    local preset=$1
    shift
    quietly "configure-$preset" 60 cmake --preset "$preset" &&
        quietly "build-$preset" 900 cmake --build --preset "$preset" ${1:+--target "$@"}
}

suite_ctest() {
    local preset=$1 except="" result
    if ! build "$preset"; then
        count 0 1
        return
    fi
    rm -f "$results/$preset.xml"
    # Nothing of these has threads, so that ThreadSanitizer would find nothing.
    [ "$preset" != tsan ] || except='^(sim.*|experiment_truth|layering|plays|traps)$'
    # Some wait for servers more than they work.
    quietly "$preset" 600 ctest --test-dir "build/$preset" -j $((jobs + 1)) --output-on-failure ${except:+-E "$except"} \
        --output-junit "$results/$preset.xml"
    result=$?
    count_junit "$preset" $result
}

# fuzz_one FUZZER SECONDS: leaves its exit code in a file.
fuzz_one() {
    local name what found
    name=$(basename "$1")
    what=${name%_fuzz}
    found=build/fuzz/found/$what
    mkdir -p "$found" "tests/fuzz/corpus/$what"
    quietly "$name" $(($2 + 60)) "$1" -max_total_time="$2" -rss_limit_mb=2048 -timeout=10 \
        -artifact_prefix="$results/$name-" "$found" "tests/fuzz/corpus/$what"
    echo $? >"$results/$name.code"
}

# As many at a time as there are processors.
suite_fuzz() {
    local seconds=${FUZZ_SECONDS:-10} fuzzer
    if ! build fuzz; then
        count 0 1
        return
    fi
    rm -f "$results"/*_fuzz.code
    for fuzzer in build/fuzz/*_fuzz; do
        [ -x "$fuzzer" ] || continue
        while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
            wait -n
        done
        fuzz_one "$fuzzer" "$seconds" &
    done
    wait
    for fuzzer in build/fuzz/*_fuzz; do
        [ -x "$fuzzer" ] || continue
        if [ "$(cat "$results/$(basename "$fuzzer").code" 2>/dev/null)" = 0 ]; then
            count 1 0
        else
            count 0 1
        fi
    done
}

suite_format() {
    local file wrong=0
    while IFS= read -r -d '' file; do
        [ -e "$file" ] || continue
        if ! "$venv/bin/clang-format" --dry-run -Werror "$file" >/dev/null 2>&1; then
            say "format: run $venv/bin/clang-format -i $file"
            wrong=$((wrong + 1))
        fi
    done < <(git ls-files -z -- '*.c' '*.h')
    # What clang-format leaves alone: comments. Texts may be longer.
    while IFS= read -r file; do
        say "format: $file: more than 120 columns"
        wrong=$((wrong + 1))
    done < <(git ls-files -z -- '*.c' '*.h' | xargs -0 awk 'length > 120 && !/"/ { print FILENAME ":" FNR }')
    say "format: $wrong to be changed"
    count $((wrong == 0)) $((wrong > 0))
}

suite_tidy() {
    if quietly configure-clang-release 60 cmake --preset clang-release &&
        quietly tidy 3000 run-clang-tidy -quiet -j "$jobs" -p build/clang-release "$root/(src|bench|tests)/.*"; then
        count 1 0
    else
        count 0 1
    fi
}

# suite_pytest NAME PRESET SECONDS MARKER: the end-to-end tests with that marker against the program of a preset. They wait more
# than they work, so that there is one more at a time than processors.
suite_pytest() {
    local name=$1 preset=$2 budget=$3 marker=$4 result started jars
    if ! build "$preset" rfmd model_points rfmd_inject || ! quietly kafka 300 tests/e2e/install-kafka.sh; then
        count 0 1
        return
    fi
    jars=$(tests/e2e/install-kafka.sh)
    started=$SECONDS
    rm -f "$results/$name.xml"
    # shellcheck disable=SC2086
    RFMD=$root/build/$preset/rfmd RFMD_KAFKA_JARS=$jars limited "$budget" \
        "$venv/bin/python" -m pytest tests/e2e -q -ra -n $((jobs + 1)) --dist loadgroup --durations=5 -m "$marker" \
        --junitxml="$results/$name.xml" ${PYTEST_ARGS:-}
    result=$?
    [ $result -ne 124 ] || say "$name: over its time of $budget s"
    say "$name: $((SECONDS - started)) s"
    [ $result -ne 5 ] || result=0 # no test has the marker
    count_junit "$name" $result
}

# Python packages in an environment of their own, made anew when the lists or the interpreter change.
install_python() {
    local sum
    sum=$({ python3 --version; cat tests/requirements.txt tests/e2e/requirements.txt; } | cksum | cut -d' ' -f1)
    venv=$cache/venv-$sum
    [ -e "$venv/complete" ] && return
    python3 -m venv --clear "$venv" &&
        "$venv/bin/pip" install -q --disable-pip-version-check -r tests/requirements.txt \
            -r tests/e2e/requirements.txt && touch "$venv/complete"
}

install() {
    local started=$SECONDS
    deploy/install-dependencies.sh --tests >"$results/dependencies.log" 2>&1 &&
        install_python >>"$results/dependencies.log" 2>&1
    local result=$?
    [ $result -eq 0 ] || tail -n 40 "$results/dependencies.log"
    say "dependencies: $((SECONDS - started)) s"
    return $result
}

finish() {
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

interrupted() {
    trap '' INT TERM
    [ -z "$child" ] || { kill "$child" && wait "$child"; } 2>/dev/null
    say "interrupted"
    count 0 1
    finish
}
trap interrupted INT TERM
if ! install; then
    count 0 1
    finish
fi
for suite in $suites; do
    case $suite in
        release | asan | tsan | clang-release | clang-asan) suite_ctest "$suite" ;;
        e2e) suite_pytest e2e release 1800 "not slow" ;;
        e2e-asan) suite_pytest e2e-asan asan 600 sanitizer ;;
        e2e-tsan) suite_pytest e2e-tsan tsan 600 sanitizer ;;
        e2e-slow) suite_pytest e2e-slow release 7200 slow ;;
        *) "suite_$suite" ;;
    esac
done
finish
