#!/bin/sh
# Puts everything into a folder that airgate needs to run with that folder as its root: the container image's content.
#
#   deploy/stage.sh BINARY FOLDER
#
# The binary and the libraries that it and Kerberos load, certificates of authorities, a user, and empty folders where
# something is mounted. All of it belongs to root and is written by nobody else, so the root may be read-only.
set -eu

[ $# = 2 ] || { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0" >&2; exit 2; }
binary=$1 root=$2
[ -x "$binary" ] || { echo "stage.sh: $binary is no program" >&2; exit 1; }
[ ! -e "$root" ] || [ -z "$(ls -A "$root")" ] || { echo "stage.sh: $root is not empty" >&2; exit 1; }
umask 022

mkdir -p "$root/usr/bin" "$root/etc/airgate" "$root/etc/ssl/certs" "$root/proc" "$root/run" "$root/dev"
mkdir "$root/tmp"
chmod 1777 "$root/tmp"
install -m 755 "$binary" "$root/usr/bin/airgate"

put() { # FILE: at the same path, links followed
  [ -e "$root$1" ] || { mkdir -p "$root$(dirname "$1")" && cp -L "$1" "$root$1" && chmod u+w,go-w "$root$1"; }
}
libraries_of() { ldd "$1" | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p'; }

for library in $(libraries_of "$binary"); do put "$library"; done

# Kerberos, where it is installed: airgate loads the library when kerberos_auth is configured.
for gssapi in /lib/*-linux-gnu*/libgssapi_krb5.so.2 /usr/lib/*-linux-gnu*/libgssapi_krb5.so.2 /usr/lib64/libgssapi_krb5.so.2; do
  [ -e "$gssapi" ] || continue
  put "$gssapi"
  for library in $(libraries_of "$gssapi"); do put "$library"; done
  break
done

# https upstreams, issuers and directories are verified with these.
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then put /etc/ssl/certs/ca-certificates.crt; fi
for license in /usr/share/doc/airgate/LICENSE /usr/share/doc/libgssapi-krb5-2/copyright /usr/share/doc/libc6/copyright; do
  if [ -e "$license" ]; then put "$license"; fi
done

printf 'root:x:0:0:root:/:/nonexistent\nairgate:x:65532:65532:airgate:/etc/airgate:/nonexistent\n' >"$root/etc/passwd"
printf 'root:x:0:\nairgate:x:65532:\n' >"$root/etc/group"
# The container's runtime puts its own over these two.
: >"$root/etc/hosts"
: >"$root/etc/resolv.conf"
# Names: first the files that the container's runtime writes, then DNS.
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
