#!/usr/bin/env bash
# Installs what is missing to build, run and test airgate; does nothing, at once, when nothing is missing.
#
#   scripts/setup.sh [run] [test] [bench] [fuzz] [lint]      (default: run)
#
# As root on Debian or Ubuntu it installs. Anyone else gets the one line that does, and exit code 1.
# Rust and Python are the machine's own: it says what is wrong with them, and installs at most Python's venv module.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# deny.toml is written for this release; another 0.20 on the PATH reads it too
DENY_VERSION=0.20.2
FUZZ_VERSION=0.13.2

cd "$ROOT"
groups=" ${*:-run} "
for group in $groups; do
  case $group in run | test | bench | fuzz | lint) ;; *) die "setup.sh knows the groups run, test, bench, fuzz and lint, not '$group'" ;; esac
done
wants() { [[ $groups == *" $1 "* ]]; }
has() { command -v "$1" >/dev/null; }

[ "$(uname -s)" = Linux ] || die "these scripts need Linux (they use /proc, setsid and flock). airgate itself: cargo build"

# --- packages -------------------------------------------------------------------------------------------------------

packages=() # what is missing, by Debian's names
# A C compiler and cmake build aws-lc and zlib-ng, which Pingora's TLS brings in.
has cc && echo '#include <stdlib.h>' | cc -E -x c - >/dev/null 2>&1 || packages+=(gcc libc6-dev)
has cmake || packages+=(cmake)
has make || packages+=(make)
has curl || packages+=(curl)
has flock && has setsid || packages+=(util-linux)
! wants test || has "${AIRGATE_TEST_CHROMIUM:-chromium}" || packages+=(chromium)
! wants bench || has wrk || packages+=(wrk)
! wants bench || has openssl || packages+=(openssl)
# What asks under load, over HTTP/2 too.
! wants test || has h2load || packages+=(nghttp2-client)
! wants test || has redis-server || packages+=(redis-server)
# promtool is in it.
! wants test || has prometheus || packages+=(prometheus)
! wants test || has systemd-analyze || packages+=(systemd)
! wants test || has openssl || packages+=(openssl)
! wants test || [ -x /usr/sbin/slapd ] || has slapd || packages+=(slapd)
! wants test || has ldapsearch || packages+=(ldap-utils)
# A KDC, and what the Kerberos clients for Python are built with. airgate itself is built without.
! wants test || [ -x /usr/sbin/krb5kdc ] || has krb5kdc || packages+=(krb5-kdc)
! wants test || [ -x /usr/sbin/kadmin.local ] || has kadmin.local || packages+=(krb5-admin-server)
! wants test || { has kinit && has ktutil; } || packages+=(krb5-user)
! wants test || [ -f /usr/include/gssapi/gssapi_ext.h ] || packages+=(libkrb5-dev)
! wants test || ! python=$(find_python) || has_python_headers "$python" || packages+=(python3-dev)
! wants test || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || has initdb || packages+=(postgresql)
! wants test || has mariadbd || [ -x /usr/sbin/mariadbd ] || packages+=(mariadb-server)
# Keycloak, and what fetches it
! wants test || has java || packages+=(default-jre-headless)
! wants test || has mvn || packages+=(maven)
! wants fuzz || has c++ || packages+=(g++)
find_python 14 >/dev/null || {
  # Ubuntu 22.04's own Python is 3.10, and it has 3.11 beside it
  if grep -qs '^VERSION_CODENAME=jammy' /etc/os-release; then packages+=(python3.11 python3.11-venv)
  elif ! has python3 || python_in_range python3; then packages+=(python3 python3-venv)
  else die "Python $SUPPORTED_PYTHON is needed to run Airflow, and python3 here is $(python3 -V 2>&1). Install another beside it (AIRGATE_PYTHON=/path/to/python3.12 names one)."
  fi
}

if [ ${#packages[@]} -gt 0 ]; then
  if has apt-get; then
    install="apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${packages[*]}"
    if [ "$(id -u)" != 0 ]; then
      say "missing: ${packages[*]}. This installs it:"
      say "  sudo sh -c '$install'"
      exit 1
    fi
    say "installing ${packages[*]}"
    mkdir -p "$DEV"
    sh -c "$install" >"$DEV/apt.log" 2>&1 </dev/null || {
      show_tail "$DEV/apt.log"
      die "could not install ${packages[*]}"
    }
    find_python 14 >/dev/null || die "python3 is $(python3 -V 2>&1); Airflow needs $SUPPORTED_PYTHON, with venv, ssl and sqlite3"
  else
    say "missing, by Debian's names: ${packages[*]}. This installs it:"
    if has dnf; then say "  sudo dnf install -y gcc glibc-devel cmake make curl util-linux python3"
    elif has zypper; then say "  sudo zypper install -y gcc glibc-devel cmake make curl util-linux python311"
    elif has pacman; then say "  sudo pacman -S --needed gcc cmake make curl util-linux python"
    elif has apk; then say "  sudo apk add gcc musl-dev cmake make curl util-linux python3"
    else say "  your package manager; look for a C compiler, cmake, make, curl, util-linux, and Python $SUPPORTED_PYTHON with venv"
    fi
    exit 1
  fi
fi

# --- Rust -----------------------------------------------------------------------------------------------------------

rust_needed=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' Cargo.toml 2>/dev/null || true)
rust_needed=${rust_needed:-1.95}
has cargo || die "no cargo on the PATH. Rust $rust_needed or newer is needed: see https://rustup.rs"
rust=$(rustc --version | cut -d' ' -f2)
[ "$(printf '%s\n' "$rust_needed" "${rust%%-*}" | sort -V | head -n1)" = "$rust_needed" ] ||
  die "Rust $rust_needed or newer is needed, and rustc here is $rust. With rustup: rustup update stable"

if wants lint; then
  cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 ||
    { has rustup && rustup component add rustfmt clippy; } ||
    die "cargo fmt and cargo clippy are needed. With rustup: rustup component add rustfmt clippy"
  deny=$(PATH=$DEV/cargo/bin:$PATH cargo-deny --version 2>/dev/null || true)
  if [[ $deny != "cargo-deny ${DENY_VERSION%.*}."* ]]; then
    say "building cargo-deny $DENY_VERSION (some minutes, once)"
    cargo install --quiet --locked --root "$DEV/cargo" "cargo-deny@$DENY_VERSION" ||
      die "could not build cargo-deny $DENY_VERSION"
  fi
fi

if wants fuzz && ! PATH=$DEV/cargo/bin:$PATH cargo fuzz --version >/dev/null 2>&1; then
  say "building cargo-fuzz $FUZZ_VERSION (a minute, once)"
  cargo install --quiet --locked --root "$DEV/cargo" "cargo-fuzz@$FUZZ_VERSION" ||
    die "could not build cargo-fuzz $FUZZ_VERSION"
fi
