#!/bin/bash
# Makes the root in which a real list manager runs, in two releases, beside a real Postfix, and
# prints its path. Once per machine.
#
# It is a copy of Postfix' root (make.sh) with more in it, and as that never changed afterwards:
# made beside its final name and then renamed. managers/NAME.sh says what is particular to one:
# the array `packages`, of this host's release, and `furnish`, called with $half when they are in.
#
# What is fetched comes from where this host is set up to fetch it: apt's sources and pip's
# configuration are the host's own, and no mirror is named here.
#
# usage: manager.sh NAME [CACHE]        (as root; CACHE: /var/cache/mm-deliver-tests)
set -euo pipefail
umask 022
here=$(dirname "$(readlink -f "$0")")
name=${1:?usage: manager.sh NAME [CACHE]}
cache=${2:-/var/cache/mm-deliver-tests}
[[ $name =~ ^[a-z0-9]+$ ]] && [ -f "$here/managers/$name.sh" ] ||
    { echo "manager.sh: no such list manager: $name" >&2; exit 1; }
base=$("$here/make.sh" postfix "$cache")
# A change of either file, or of Postfix' root, is another root.
root=$cache/$name-${base##*/postfix-}-$(cat "$here/manager.sh" "$here/managers/$name.sh" | cksum | cut -d' ' -f1)

exec 9>"$cache/lock.$name"
flock 9
if [ -d "$root" ]; then
    echo "$root"
    exit 0
fi

# What killed runs left behind: half-made roots are named for their maker.
for half in "$cache/$name"-*.making.*; do
    [ -d "$half" ] || continue
    kill -0 "${half##*.}" 2>/dev/null || rm -rf --one-file-system "$half"
done
half=$root.making.$$ scratch=$(mktemp -d)
trap 'rm -rf --one-file-system "$half" "$scratch"' EXIT
trap 'exit 1' INT TERM
cp -a "$base" "$half"
host=$(cat "$half/etc/mailname")

in_half() { chroot "$half" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C "$@"; }

# apt_get SUITE WORDS: this host's apt with package lists of its own, for a Debian release whose
# sources are this host's with the name replaced; it knows of no installed package.
apt_get() {
    local suite=$1 own=$scratch/$1 here file
    shift
    if [ ! -d "$own" ]; then
        here=$(. /etc/os-release && echo "$VERSION_CODENAME")
        mkdir -p "$own"/etc/apt/{sources.list.d,preferences.d} \
            "$own"/var/lib/apt/lists/partial "$own"/var/cache/apt/archives/partial
        : >"$own/status"
        for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list; do
            grep -Eqs "^(Suites:|deb ).*\b$here\b" "$file" || continue
            sed "s/\b$here\b/$suite/g" "$file" >"$own/etc/apt/${file#/etc/apt/}"
        done
        apt_get "$suite" -q update >&2
    fi
    apt-get -o Dir::Etc="$own/etc/apt" -o Dir::State="$own/var/lib/apt" \
        -o Dir::State::status="$own/status" -o Dir::Cache="$own/var/cache/apt" \
        -o APT::Sandbox::User=root \
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@" 9>&-
}

# unpack SUITE PACKAGE DIRECTORY: its files, and nothing of it is run.
unpack() {
    local debs=$scratch/debs.$1.$2
    mkdir -p "$debs" "$3"
    (cd "$debs" && apt_get "$1" -q download "$2") >&2
    dpkg-deb -x "$debs/$2"_*.deb "$3"
}

# install PACKAGE...: into the root, with what they depend on and it has not. Fetched out here,
# since nothing in the root reaches a network; installed by the root's own apt.
install() {
    local suite
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    apt_get "$suite" -q check >&2
    cp "$half/var/lib/dpkg/status" "$scratch/$suite/status"
    apt_get "$suite" -q -y --no-install-recommends --download-only install "$@" >&2
    mkdir "$half/debs"
    cp -a "$scratch/$suite/var/lib/apt/lists" "$scratch/$suite/var/cache/apt/archives" "$half/debs"
    # Alone among processes: a package may stop what it sees (make.sh).
    unshare --pid --fork --mount-proc --kill-child=KILL chroot "$half" /usr/bin/env -i \
        PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y --no-install-recommends --no-download -o Dir::State::lists=/debs/lists \
        -o Dir::Cache::archives=/debs/archives install "$@" >&2 9>&-
    rm -rf "$half/debs"
}

packages=()
# shellcheck source=/dev/null
. "$here/managers/$name.sh"
[ ${#packages[@]} -eq 0 ] || install "${packages[@]}"
furnish >&2
mv -T "$half" "$root"
trap - EXIT
rm -rf "$scratch"
echo "$root"
