#!/bin/bash
# Makes the root in which a real MTA runs, once per machine, and prints its path.
#
# The root is never changed afterwards: each test gets copies of its /etc, /run and /var
# (rig/namespace.rs). It is of this host's Debian release, so that programs built here run
# in it, and it is made beside its final name and then renamed: a killed run leaves nothing
# that the next one takes for a root. Several MTAs can be made at once.
#
# MTA.sh beside this file says what is particular to one: the array `packages`, `hooks` (more
# arguments of mmdebstrap), and `furnish`, called with $half, $host and $contrib when the packages
# are in.
#
# usage: make.sh MTA [CACHE]        (as root; CACHE: /var/cache/mm-deliver-tests)
set -euo pipefail
umask 022
here=$(dirname "$(readlink -f "$0")")
mta=${1:?usage: make.sh MTA [CACHE]}
cache=${2:-/var/cache/mm-deliver-tests}
[[ $mta =~ ^[a-z]+$ ]] && [ -f "$here/$mta.sh" ] || { echo "make.sh: no such MTA: $mta" >&2; exit 1; }
release=$(. /etc/os-release && [ "${ID:-}" = debian ] && echo "${VERSION_CODENAME:-}") || release=
[ -n "$release" ] || { echo "make.sh: this is not Debian" >&2; exit 1; }
# What we ship for this MTA, if anything: a root has it as an admin would.
contrib=$(readlink -f "$here/../../../contrib")/$mta
shopt -s nullglob
# A change of any of these files is another root.
root=$cache/$mta-$release-$(cat "$here/make.sh" "$here/$mta.sh" "$contrib"/* | cksum | cut -d' ' -f1)
host=mx.lists.example                   # never resolved but by the root's own /etc/hosts

mkdir -p "$cache"
exec 9>"$cache/lock.$mta"
flock 9
if [ -d "$root" ]; then
    echo "$root"
    exit 0
fi

# What killed runs left behind: half-made roots are named for their maker.
for half in "$cache/$mta"-*.making.*; do
    [ -d "$half" ] || continue
    kill -0 "${half##*.}" 2>/dev/null || rm -rf --one-file-system "$half"
done

# This host's own Debian source, so that no mirror is named here.
source_list=
for file in /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list /etc/apt/sources.list; do
    [ -s "$file" ] || continue
    if grep -Eqs "^(Suites:|deb ).*\b$release\b" "$file" && grep -Eq '/debian/?( |$)' "$file" &&
        grep -Eq '^(Components:|deb ).*\bmain\b' "$file"; then
        source_list=$file
        break
    fi
done
[ -n "$source_list" ] || { echo "make.sh: no apt source of Debian $release found" >&2; exit 1; }

packages=() hooks=()
# shellcheck source=/dev/null
. "$here/$mta.sh"
in_half() { chroot "$half" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C "$@"; }

half=$root.making.$$
trap 'rm -rf --one-file-system "$half"' EXIT
trap 'exit 1' INT TERM
# mmdebstrap keeps packages from starting daemons, but not from stopping them: a package that
# stops "every process called so" before it is set up would stop those of other roots and of
# this host too, if it saw them. In a PID namespace of its own it sees none.
include=$(IFS=,; echo "${packages[*]}")
unshare --pid --fork --mount-proc --kill-child=KILL mmdebstrap --quiet --variant=minbase \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    "${hooks[@]}" --include="$include,acl,attr,strace" \
    "$release" "$half" "$source_list" >&2 9>&-

rm -rf "$half"/var/lib/apt/lists/* "$half"/var/cache/apt/* "$half"/dev/*
printf '127.0.0.1 localhost\n127.0.0.1 %s\n' "$host" >"$half/etc/hosts"
# Nothing is asked of a name server: the host may have a slow one on its loopback.
sed -i 's/^hosts:.*/hosts: files/' "$half/etc/nsswitch.conf"
grep -qx 'hosts: files' "$half/etc/nsswitch.conf"
echo 'nameserver 127.0.0.1' >"$half/etc/resolv.conf"   # fails at once; nothing leaves the machine
echo "$host" >"$half/etc/mailname"
in_half useradd --create-home --shell /bin/sh sender
furnish >&2
# Where a test mounts what it may change.
mkdir -p "$half/srv" "$half/usr/lib/mm-deliver"
mv -T "$half" "$root"
trap - EXIT
echo "$root"
