#!/bin/sh
# Proves the layers: for every two of them, an include of the one by the other compiles if it is allowed and
# finds nothing if it is not, each header compiles alone, and no source steps around the include paths.
# Usage: tests/layering.sh COMPILER FOLDER (as CTest calls it; FOLDER holds a file of include flags per layer)
set -eu

[ $# -eq 2 ] || { sed -n '2,4s/^# //p' "$0"; exit 2; }
compiler=$1
flags=$2
cd "$(dirname "$0")/.."
failed=0
refused=0
accepted=0

# What each layer may include besides itself: written here once more, so that a slip in the build is seen.
allowed() {
    case $1 in
        base) echo ;;
        event | model | expr) echo base ;;
        client) echo base event model ;;
        rule) echo base event model expr client ;;
        engine) echo base event model expr client rule ;;
        kafka | redis | http | config | fit) echo base event model expr client rule engine ;;
        app) echo base event model expr client rule engine kafka redis http config fit ;;
        *) echo "layering: no rule for layer $1" >&2; exit 1 ;;
    esac
}

fail() {
    printf 'FAILED: %s\n' "$*"
    failed=1
}

# The layer's headers as other layers include them; a layer without any has a stand-in that is never found.
headers_of() {
    find "include/rfm/$1" -name '*.h' 2>/dev/null | sed 's|^include/||'
    find "src/$1" -name '*.h' 2>/dev/null | sed 's|^src/||'
}

compile() {
    printf '#include <%s>\n' "$2" |
        LC_ALL=C xargs -a "$flags/$1" "$compiler" -std=c17 -D_GNU_SOURCE -fsyntax-only -x c /dev/stdin 2>&1
}

layers=$(cd "$flags" && ls)
for layer in $layers; do
    may=" $layer $(allowed "$layer") "
    for other in $layers; do
        first=$(headers_of "$other" | sort | head -n 1)
        [ -n "$first" ] || first=rfm/$other/none.h
        case $may in
            *" $other "*)
                [ "$layer" != "$other" ] || continue
                [ -e "include/$first" ] || [ -e "src/$first" ] || continue
                accepted=$((accepted + 1))
                message=$(compile "$layer" "$first") || fail "$layer may include <$first>: $message"
                ;;
            *)
                refused=$((refused + 1))
                if message=$(compile "$layer" "$first"); then
                    fail "$layer must not include <$first>, yet it compiles"
                elif ! printf '%s' "$message" | grep -q "$first.*\(No such file\|file not found\)"; then
                    fail "$layer includes <$first>: another error than that it is not found: $message"
                fi
                ;;
        esac
    done
    for header in $(headers_of "$layer"); do
        accepted=$((accepted + 1))
        message=$(compile "$layer" "$header") || fail "<$header> does not compile alone: $message"
    done
done

if grep -rnE '#[[:space:]]*include[[:space:]]*"\.\./' include src tests bench --include='*.[ch]' 2>/dev/null; then
    fail 'an include starts with "../"'
fi
printf '%d includes refused, %d compiled\n' "$refused" "$accepted"
[ "$refused" -gt 50 ] || fail "only $refused pairs of layers were tried"
exit $failed
