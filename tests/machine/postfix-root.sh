#!/bin/bash
# Makes the root in which a real Postfix runs, once per machine, and prints its path.
#
# The root is never changed afterwards: each test gets copies of its /etc and /var
# (rig.rs). It is of this host's Debian release, so that programs built here run in it,
# and it is made beside its final name and then renamed: a killed run leaves nothing
# that the next one takes for a root.
#
# usage: postfix-root.sh [CACHE]        (as root; CACHE: /var/cache/mm-deliver-tests)
set -euo pipefail
umask 022
cache=${1:-/var/cache/mm-deliver-tests}
self=$(readlink -f "$0")
release=$(. /etc/os-release && [ "${ID:-}" = debian ] && echo "${VERSION_CODENAME:-}") || release=
[ -n "$release" ] || { echo "postfix-root: this is not Debian" >&2; exit 1; }
# A change of this file is another root.
root=$cache/postfix-$release-$(cksum <"$self" | cut -d' ' -f1)
host=mx.lists.example                   # never resolved but by the root's own /etc/hosts

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ -d "$root" ]; then
    echo "$root"
    exit 0
fi

# What killed runs left behind: half-made roots are named for their maker.
for half in "$cache"/postfix-*.making.*; do
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
[ -n "$source_list" ] || { echo "postfix-root: no apt source of Debian $release found" >&2; exit 1; }

half=$root.making.$$
trap 'rm -rf --one-file-system "$half"' EXIT
trap 'exit 1' INT TERM
# "No configuration": the package's own calls of `postconf -e` sleep two seconds each.
# mmdebstrap keeps packages from starting daemons.
mmdebstrap --quiet --variant=minbase \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --essential-hook='echo postfix postfix/main_mailer_type select No configuration | chroot "$1" debconf-set-selections' \
    --include=postfix,postfix-lmdb,acl,attr,strace \
    "$release" "$half" "$source_list" >&2 9>&-

rm -rf "$half"/var/lib/apt/lists/* "$half"/var/cache/apt/* "$half"/dev/*
printf '127.0.0.1 localhost %s\n' "$host" >"$half/etc/hosts"
echo 'nameserver 127.0.0.1' >"$half/etc/resolv.conf"   # fails at once; nothing leaves the machine
echo "$host" >"$half/etc/mailname"
chroot "$half" useradd --create-home --shell /bin/sh sender

# Debian's main.cf for an Internet site, and what a test needs otherwise.
{
    cat "$half/usr/share/postfix/main.cf.debian"
    cat <<CONF

myhostname = $host
mydestination = $host, localhost
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_tls_security_level = none
disable_dns_lookups = yes
default_transport = error:there is no mail to elsewhere
maillog_file = /var/log/mail.log
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
recipient_delimiter = +
mailbox_size_limit = 0
message_size_limit = 60000000
# A deferred message waits until the test says so.
minimal_backoff_time = 3600s
maximal_backoff_time = 7200s
queue_run_delay = 3600s
# Many senders at once are one client here.
smtpd_client_connection_count_limit = 0
CONF
} >"$half/etc/postfix/main.cf"
# Nothing chrooted: the files that this needs are copied by Debian's init script only.
# local(8), which runs the pipes, never is. The listener is added with its port by the test.
awk '/^[#[:space:]]/ || NF < 8 { print; next }
     $2 == "inet" { next }
     { $5 = "n"; print }' "$half/usr/share/postfix/master.cf.dist" >"$half/etc/postfix/master.cf"
: >"$half/etc/aliases"

# Where a test mounts what it may change.
mkdir -p "$half/srv" "$half/usr/lib/mm-deliver"
mv -T "$half" "$root"
trap - EXIT
echo "$root"
