#!/bin/bash
# Tries the quickstart on a fresh Debian: see usage below.
set -eu

usage() {
    cat <<'EOF'
Usage: tests/fresh-debian.sh [--suite trixie|bookworm] [--seconds N] [--build-only] [--tests]

As root: makes a minimal Debian with git under a temporary folder (debootstrap and chroot), clones the
last commit of this repository into it, runs deploy/quickstart.sh --build-only and then the demo, both
as a user with sudo, and removes all of it again. Packages come from the mirror of this system's own
sources. Prints the time of each part.

  --suite NAME   trixie (Debian 13, the default) or bookworm (Debian 12)
  --seconds N    how long the demo runs (default 20)
  --build-only   no demo
  --tests        tests/run.sh too

Environment: TMPDIR, where the tree is made (1.5 GB; 4 GB with --tests)
EOF
}

suite=trixie
seconds=20
demo=yes
tests=no
while [ $# -gt 0 ]; do
    case $1 in
        --suite) suite=${2:-}; shift ;;
        --seconds) seconds=${2:-}; shift ;;
        --build-only) demo=no ;;
        --tests) tests=yes ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
case $suite in trixie | bookworm) ;; *) usage >&2; exit 2 ;; esac
[ "$(id -u)" -eq 0 ] || { echo "fresh-debian: run it as root" >&2; exit 3; }

root=$(cd "$(dirname "$0")/.." && pwd)
own=$(. /etc/os-release && echo "$VERSION_CODENAME")
work=$(mktemp -d)
tree=$work/tree

# Ends what still runs inside, then unmounts and removes the tree; refuses to remove it while it is mounted.
clean() {
    local process
    for process in /proc/[0-9]*; do
        if [ "$(readlink "$process/root" 2>/dev/null)" = "$tree" ]; then
            kill -9 "${process#/proc/}" 2>/dev/null || true
        fi
    done
    if mountpoint -q "$tree/proc"; then
        umount "$tree/proc" || umount -l "$tree/proc"
    fi
    mountpoint -q "$tree/proc" || rm -rf --one-file-system "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

# part NAME COMMAND...
part() {
    local name=$1 started=$SECONDS
    shift
    printf '== %s\n' "$name"
    "$@"
    printf '== %s: %d s\n' "$name" $((SECONDS - started))
}

# This system's entries of Debian itself, for the suite that is tried.
sources() {
    sed -s '$G' /etc/apt/sources.list.d/*.sources 2>/dev/null |
        awk -v own="$own" -v suite="$suite" 'BEGIN { RS = ""; ORS = "\n\n" }
            /(^|\n)Enabled:[ \t]*no/ || !match($0, "Suites:[^\n]*[ \t]" own) { next }
            { gsub(own, suite); print }' >"$tree/etc/apt/sources.list.d/debian.sources"
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
        awk -v own="$own" -v suite="$suite" '/^deb[ \t]/ && $0 ~ "[ \t]" own "(-security|-updates)?[ \t]" {
            gsub(own, suite); print }' >"$tree/etc/apt/sources.list" || true
}

# The mirror of the main archive.
mirror() {
    awk -v own="$own" 'BEGIN { RS = "" }
        match($0, "Suites:[ \t]*([^\n]*[ \t])?" own "([ \t\n]|$)") && match($0, /URIs:[ \t]*[^ \t\n]+/) {
            uri = substr($0, RSTART, RLENGTH); sub(/URIs:[ \t]*/, "", uri); print uri; exit }' \
        /etc/apt/sources.list.d/*.sources 2>/dev/null
    awk -v own="$own" '/^deb[ \t]/ && $0 ~ "[ \t]" own "[ \t]" && match($0, /[a-z]+:\/\/[^ \t]+/) {
        print substr($0, RSTART, RLENGTH); exit }' /etc/apt/sources.list 2>/dev/null || true
}

# How this system reaches its mirror: apt's proxies, certificates and time checks, the resolver, proxy
# variables, local certificate authorities.
network() {
    local setting
    apt-config dump | grep -E '^Acquire::(https?::(Proxy|CaInfo|Verify)|Check-)' \
        >"$tree/etc/apt/apt.conf.d/99system" || true
    cp -L /etc/resolv.conf /etc/hosts "$tree/etc/"
    for setting in http_proxy https_proxy no_proxy; do
        [ -z "${!setting:-}" ] || printf '%s=%s\n' "$setting" "${!setting}"
    done >"$tree/etc/environment"
    if [ -n "$(find /usr/local/share/ca-certificates -name '*.crt' 2>/dev/null)" ]; then
        cp -rL /usr/local/share/ca-certificates "$tree/usr/local/share/"
        chroot "$tree" update-ca-certificates >>"$work/debootstrap.log" 2>&1
        # pip brings certificates of its own.
        printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$tree/etc/pip.conf"
    fi
}

make_tree() {
    command -v debootstrap >/dev/null || apt-get install -y -q --no-install-recommends debootstrap
    eval "$(apt-config shell proxy Acquire::http::Proxy)"
    ${proxy:+env http_proxy="$proxy"} debootstrap --variant=minbase --include=ca-certificates,git,sudo \
        "$suite" "$tree" "$(mirror | head -n 1)" >"$work/debootstrap.log" 2>&1 ||
        { tail -n 20 "$work/debootstrap.log" >&2; return 3; }
    sources
    network
    mount -t proc proc "$tree/proc"
    chroot "$tree" useradd --create-home --shell /bin/bash someone
    echo 'someone ALL=(ALL) NOPASSWD: ALL' >"$tree/etc/sudoers.d/someone"
    chmod 440 "$tree/etc/sudoers.d/someone"
    git clone -q "file://$root" "$tree/home/someone/rfmd"
    chroot "$tree" chown -R someone: /home/someone/rfmd
}

# inside COMMAND: in the clone, as the user, without a terminal and with a clean environment.
inside() {
    env -i PATH="/usr/sbin:/usr/bin:/sbin:/bin" chroot "$tree" su - someone -c "cd rfmd && $1" </dev/null 2>&1 | cat
    return "${PIPESTATUS[0]}"
}

part "Debian $suite" make_tree
part "deploy/quickstart.sh --build-only" inside "deploy/quickstart.sh --build-only"
part "deploy/quickstart.sh --build-only again" inside "deploy/quickstart.sh --build-only"
if [ $demo = yes ]; then
    part "deploy/quickstart.sh --seconds $seconds" inside "timeout $((seconds + 120)) deploy/quickstart.sh --seconds $seconds"
fi
if [ $tests = yes ]; then
    part "tests/run.sh" inside tests/run.sh
fi
