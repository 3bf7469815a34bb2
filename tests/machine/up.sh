#!/bin/sh
# Brings a machine up: BASE seen at RUN/root with RUN's own etc, run, var, srv, programs
# and dev, and keeps it up. Run by rig.rs as the first process of a new mount and PID
# namespace: when it ends, so does all that ran in the machine, and no mount is left.
#
# usage: up.sh BASE RUN [SIZE]        (SIZE: /etc is a copy on a file system of this size)
set -eu
base=$1 run=$2
mount --bind "$base" "$run/root"
mount -o remount,bind,ro "$run/root"
if [ $# -gt 2 ]; then
    mount -t tmpfs -o "size=$3,mode=0755" tmpfs "$run/root/etc"
    cp -a "$run/etc/." "$run/root/etc"
else
    mount --bind "$run/etc" "$run/root/etc"
fi
mount --bind "$run/run" "$run/root/run"
mount --bind "$run/var" "$run/root/var"
mount --bind "$run/srv" "$run/root/srv"
mount --bind "$run/programs" "$run/root/usr/lib/mm-deliver"
mount --bind "$run/dev" "$run/root/dev"
mount --bind "$run/tmp" "$run/root/tmp"
# What an admin built, where a machine has that.
[ ! -d "$run/local" ] || mount --bind "$run/local" "$run/root/usr/local"
for device in null zero random urandom; do
    : >"$run/dev/$device"
    mount --bind "/dev/$device" "$run/root/dev/$device"
done
mount -t proc proc "$run/root/proc"
# "up" is said from within: who enters before would be outside. `wait` also takes in
# whoever was left without a parent.
exec chroot "$run/root" /bin/sh -c 'cd /; echo up; while :; do sleep 3600 & wait $!; done'
