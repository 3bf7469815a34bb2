#!/bin/sh
# Brings a machine up: BASE seen at RUN/root with RUN's own etc, run, var, srv, programs
# and dev, and keeps it up. Run by rig.rs as the first process of a new mount and PID
# namespace: when it ends, so does all that ran in the machine, and no mount is left.
#
# usage: up.sh BASE RUN
set -eu
base=$1 run=$2
mount --bind "$base" "$run/root"
mount -o remount,bind,ro "$run/root"
mount --bind "$run/etc" "$run/root/etc"
mount --bind "$run/run" "$run/root/run"
mount --bind "$run/var" "$run/root/var"
mount --bind "$run/srv" "$run/root/srv"
mount --bind "$run/programs" "$run/root/usr/lib/mm-deliver"
mount --bind "$run/dev" "$run/root/dev"
mount --bind "$run/tmp" "$run/root/tmp"
for device in null zero random urandom; do
    : >"$run/dev/$device"
    mount --bind "/dev/$device" "$run/root/dev/$device"
done
mount -t proc proc "$run/root/proc"
# "up" is said from within: who enters before would be outside. `wait` also takes in
# whoever was left without a parent.
exec chroot "$run/root" /bin/sh -c 'cd /; echo up; while :; do sleep 3600 & wait $!; done'
