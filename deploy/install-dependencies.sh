#!/bin/sh
# Installs what rfmd needs to be built and run on Debian 12 or 13; safe to repeat.
set -eu

usage() {
    cat <<'EOF'
Usage: deploy/install-dependencies.sh [--tests] [--help]

Installs what rfmd needs to be built and run on a fresh Debian 12 or 13, as root or by sudo.
A second run finds everything in place, changes nothing and needs no network.

  --tests   also what the tests need: a second compiler, cmocka, Java, Maven, Python, the formatter

Debian 13: packages of the distribution.
Debian 12: the same, but librdkafka, hiredis and yyjson, too old there or absent, are built from
Debian 13's source packages into a prefix of their own. The mirror is that of the system's own
sources; the system's apt configuration is not touched.

Environment:
  RFMD_DEPS_PREFIX   where those three libraries go (default /opt/rfmd-deps)
EOF
}

say() { printf 'dependencies: %s\n' "$*"; }
die() { printf 'dependencies: %s\n' "$*" >&2; exit 3; }

tests=no
for argument in "$@"; do
    case $argument in
        --tests) tests=yes ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

prefix=${RFMD_DEPS_PREFIX:-/opt/rfmd-deps}
recipe=1 # raise it when the way the libraries are built changes
[ -r /etc/os-release ] || die "no /etc/os-release: Debian 12 or 13 is needed"
# shellcheck disable=SC1091
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "neither root nor sudo: run '$*' as root"
    fi
}

packages="gcc libc6-dev make cmake ninja-build pkg-config git ca-certificates tzdata redis-server
    libuv1-dev libjemalloc-dev libyaml-dev libmicrohttpd-dev libxxhash-dev libssl-dev libnlopt-dev"
case $suite in
    trixie)
        packages="$packages librdkafka-dev libhiredis-dev libyyjson-dev"
        clang_version=19
        ;;
    bookworm)
        packages="$packages g++ dpkg-dev debian-archive-keyring
            zlib1g-dev libzstd-dev liblz4-dev libsasl2-dev libcurl4-openssl-dev"
        clang_version=14
        ;;
    *) die "this is '$suite'; Debian 12 (bookworm) and 13 (trixie) are supported" ;;
esac
if [ "$tests" = yes ]; then
    packages="$packages libcmocka-dev clang libclang-rt-$clang_version-dev llvm clang-format clang-tidy
        default-jre-headless maven python3 python3-venv openssl procps"
fi

work=$(mktemp -d)
trap 'as_root rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Runs a command and shows the end of its output only if it fails.
quietly() {
    set +e # a condition would switch it off inside the command as well
    (set -e; "$@") >"$work/log" 2>&1
    result=$?
    set -e
    if [ $result -ne 0 ]; then
        tail -n 40 "$work/log" >&2
        die "failed: $* (the end of its output is above)"
    fi
}

# The packages of the list that are not installed.
missing_packages() {
    for package in $packages; do
        # shellcheck disable=SC2016
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$status" = installed ] || printf '%s ' "$package"
    done
}

# Runs a command while services are kept from starting, where the system does not forbid it already.
without_services() {
    policy=/usr/sbin/policy-rc.d
    if [ -e $policy ]; then
        as_root "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
    result=0
    as_root "$@" || result=$?
    as_root rm -f $policy
    return $result
}

install_packages() {
    missing=$(missing_packages)
    if [ -z "$missing" ]; then
        say "packages: all there"
        return
    fi
    had_redis=$(dpkg-query -W -f '${db:Status-Status}' redis-server 2>/dev/null || true)
    # shellcheck disable=SC2086
    say "packages: installing" $missing
    quietly as_root apt-get update
    # shellcheck disable=SC2086
    quietly without_services env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
    # rfmd starts servers of its own; the package's service is not wanted unless it was here before.
    if [ "$had_redis" != installed ] && [ -d /run/systemd/system ]; then
        as_root systemctl disable --quiet redis-server || true
    fi
}

# The system's own sources of Debian, as source entries of trixie, in a file for each of the two formats.
trixie_sources() {
    directory=$1
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -r "$file" ] || continue
        awk 'BEGIN { RS = ""; ORS = "\n\n" }
            /(^|\n)Enabled:[ \t]*no/ { next }
            /(^|\n)Suites:[ \t]*([^\n]*[ \t])?bookworm(-security|-updates)?([ \t\n]|$)/ &&
                /(^|\n)Components:[ \t]*([^\n]*[ \t])?main([ \t\n]|$)/ {
                gsub(/(^|\n)#[^\n]*/, "")
                sub(/^\n+/, "")
                sub(/Types:[^\n]*/, "Types: deb-src")
                match($0, /Suites:[^\n]*/)
                suites = substr($0, RSTART, RLENGTH)
                gsub(/bookworm-backports(-sloppy)?/, "", suites)
                gsub(/bookworm/, "trixie", suites)
                print substr($0, 1, RSTART - 1) suites substr($0, RSTART + RLENGTH)
            }' "$file"
    done >"$directory/trixie.sources"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -r "$file" ] || continue
        awk '/^deb(-src)?[ \t]/ && !/cdrom:/ && / main([ \t]|$)/ && /[ \t]bookworm(-security|-updates)?[ \t]/ {
                sub(/^deb(-src)?/, "deb-src")
                sub(/[ \t]bookworm/, " trixie")
                print
            }' "$file"
    done | sort -u >"$directory/trixie.list"
    [ -s "$directory/trixie.sources" ] || [ -s "$directory/trixie.list" ] ||
        { echo "no entry of bookworm main in /etc/apt/sources.list or /etc/apt/sources.list.d"; return 1; }
}

# apt-get with lists and sources of its own: those of the system are neither read nor written.
private_apt_get() {
    as_root apt-get -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/sources" \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User= "$@"
}

build_with_cmake() {
    name=$1
    shift
    cmake -S "$work/$name" -B "$work/$name/out" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_RPATH="$prefix/lib" \
        -DBUILD_SHARED_LIBS=ON -Wno-dev "$@"
    cmake --build "$work/$name/out"
    as_root cmake --install "$work/$name/out"
}

build_libraries() {
    mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial"
    trixie_sources "$work/sources"
    private_apt_get update
    (
        cd "$work"
        private_apt_get source librdkafka hiredis
        private_apt_get source --tar-only yyjson # its .dsc is not served by every mirror
        [ "$(id -u)" -eq 0 ] || as_root chown -R "$(id -u)" .
        mv librdkafka-*/ librdkafka
        mv hiredis-*/ hiredis
        mkdir yyjson
        tar -xf yyjson_*.orig.tar.* -C yyjson --strip-components 1
    )
    build_with_cmake librdkafka -DRDKAFKA_BUILD_EXAMPLES=OFF -DRDKAFKA_BUILD_TESTS=OFF -DWITH_SSL=ON \
        -DWITH_SASL=ON -DWITH_ZLIB=ON -DWITH_ZSTD=ON -DWITH_CURL=ON -DENABLE_LZ4_EXT=ON
    build_with_cmake hiredis -DENABLE_SSL=ON -DDISABLE_TESTS=ON
    build_with_cmake yyjson -DYYJSON_BUILD_TESTS=OFF
}

versions() {
    for library in rdkafka hiredis yyjson; do
        printf '%s %s\n' $library "$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --modversion $library)"
    done
}

install_libraries() {
    stamp=$prefix/rfmd-deps.stamp
    if [ "$(sed -n 's/^recipe //p' "$stamp" 2>/dev/null)" = $recipe ]; then
        say "libraries: already in $prefix"
        return
    fi
    say "libraries: building librdkafka, hiredis and yyjson of Debian 13 into $prefix (about a minute)"
    quietly build_libraries
    { echo "recipe $recipe"; versions; } | as_root tee "$stamp" >/dev/null
    say "libraries: $(versions | tr '\n' ' ')"
}

install_packages
[ "$suite" = trixie ] || install_libraries
say "done"
