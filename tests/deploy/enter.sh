#!/usr/bin/env bash
# Runs a program of a staged root as a container engine would with `--read-only --cap-drop all --user 65532`.
#
#   enter.sh ROOT FOLDER PROGRAM [ARGUMENT...]
#
# The root is read-only, FOLDER is its /etc/airgate (read-only, too), /tmp is writable and in memory. The process has no
# capabilities, cannot gain any, and keeps its number. The network is this machine's. Needs root; 77 where that, or a
# mount namespace, is not to be had.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

root=$1 folder=$2
if [ "${AIRGATE_ENTERED-}" != 1 ]; then
  { [ "$(id -u)" = 0 ] && unshare --mount true 2>/dev/null; } || { echo "enter.sh: no mount namespace here" >&2; exit 77; }
  AIRGATE_ENTERED=1 exec unshare --mount "$0" "$@"
fi
unset AIRGATE_ENTERED
shift 2
mount --bind "$root" "$root"
mount --bind "$folder" "$root/etc/airgate"
mount --rbind /proc "$root/proc"
for file in hosts resolv.conf; do [ ! -e "/etc/$file" ] || mount --bind "/etc/$file" "$root/etc/$file"; done
mount -t tmpfs -o size=16m,mode=1777,nosuid,nodev tmpfs "$root/tmp"
mount -o remount,bind,ro "$root/etc/airgate"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+sys_chroot,+setuid,+setgid \
  chroot --userspec=65532:65532 --groups= "$root" "$@"
