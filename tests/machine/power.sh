#!/bin/sh
# One power cut, played on a file system of its own: run by power.rs in a new mount namespace.
#
# /etc of the root BASE is an ext4 file system in the file IMAGE, and everything that the programs
# write is on it. It is mounted with noauto_da_alloc, so that a rename does not flush the data of
# what is renamed. The command is killed before the call that INJECT names, and the file system is
# shut down in that instant: with FLAG 2 nothing that was not synced is on disk, with FLAG 1 the
# journal is (names and sizes), and data that were not synced are not. Then it is mounted again, as
# after a boot.
#
# usage: power.sh make    BASE WORK IMAGE FILL SETUP    a file system with BASE's /etc and FILL's files,
#                                                       on which the lines of SETUP have been run
#        power.sh record  BASE WORK IMAGE COMMAND       its calls to WORK/out/trace, what stands to WORK/out
#        power.sh cut     BASE WORK IMAGE COMMAND INJECT FLAG    what stands to WORK/cut, and after
#                                                       the same command again to WORK/out
set -eu
act=$1 base=$2 work=$3 image=$4
root=$work/root

# commit: nothing reaches the disk by the passing of time.
mount_image() { mount -o loop,noauto_da_alloc,commit=600 "$image" "$root/etc"; }
in_root() { chroot "$root" env -i PATH=/usr/lib/mm-deliver:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"; }

show() { # what stands, to directory $1
    mkdir -p "$1"
    rm -f "$1"/aliases "$1"/parity.toml "$1"/map "$1"/deliver
    cp "$root/etc/aliases" "$1/aliases"
    cp "$root/etc/mm-state/parity.toml" "$1/parity.toml"
    in_root postalias -s hash:/etc/aliases >"$1/map"
    for list in reallist1 toylist; do
        status=0
        in_root mm-deliver post "$list" </dev/null >/dev/null 2>&1 || status=$?
        echo "$list $status" >>"$1/deliver"
    done
}

mkdir -p "$root"
mount --bind "$base" "$root"
mount -o remount,bind,ro "$root"
mount --bind "$work/programs" "$root/usr/lib/mm-deliver"
mount -t tmpfs none "$root/tmp"
mount -t tmpfs none "$root/dev"
: >"$root/dev/null"
mount --bind /dev/null "$root/dev/null"
mount -t proc proc "$root/proc"
mount -t tmpfs none "$root/var/tmp"

case $act in
    make)
        truncate -s 48M "$image"
        mkfs.ext4 -q -F "$image"
        mkdir "$work/new"
        mount -o loop "$image" "$work/new"
        cp -a "$base/etc/." "$work/new/"
        cp -a "$5/." "$work/new/"
        umount "$work/new"
        mount_image
        printf '%s\n' "$6" | while read -r line; do in_root $line >&2; done
        umount "$root/etc"
        ;;
    record)
        mount_image
        in_root strace -o /tmp/trace $5 >&2
        show "$work/out"
        cp "$root/tmp/trace" "$work/out/trace"
        umount "$root/etc"
        ;;
    cut)
        mount_image
        in_root strace -o /dev/null -e "inject=$6" $5 >/dev/null 2>&1 && echo "not killed" >&2 || :
        perl -e 'open(my $d, "<", $ARGV[0]) or die $!; my $flag = pack("I", $ARGV[1]);
            ioctl($d, 0x8004587d, $flag) or die "EXT4_IOC_SHUTDOWN: $!"' "$root/etc" "$7"
        # A tool that was running goes on, and fails at its next call, until it is gone too.
        tries=0
        until umount "$root/etc" 2>/dev/null; do
            tries=$((tries + 1))
            [ "$tries" -lt 100 ] || { umount "$root/etc"; exit 1; }
            sleep 0.1
        done
        mount_image
        show "$work/cut"
        in_root $5 >"$work/out/said" 2>&1 || { cat "$work/out/said" >&2; exit 1; }
        show "$work/out"
        umount "$root/etc"
        ;;
esac
