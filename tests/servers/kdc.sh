#!/usr/bin/env bash
# A real MIT Kerberos KDC on loopback, for the tests, with Kerberos clients in Python.
#
#   kdc.sh up|down|env [--name X]      (see scripts/servers.sh)
#
# Realm AIRGATE.TEST. alice, bob and carol/admin have the password NAME-pw; viewer is a user of the tests' Airflows.
# In data/: krb5.conf, and krb5-strict.conf, which allows clocks to differ by a second; the keytabs airflow.keytab
# (airflow/localhost), http.keytab (HTTP/localhost), both.keytab, other.keytab (other/localhost), wrong.keytab
# (airflow/localhost with a key that the KDC never had), clients.keytab (the users). Keys and passwords are fixtures,
# good for nothing else. `down` without a name stops the ones with names, too.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

REALM=AIRGATE.TEST
SERVICES=(airflow/localhost HTTP/localhost other/localhost)
USERS=(alice bob carol/admin viewer host/client.example.org)
START_TIMEOUT=60 # seconds; far below one is usual, but a compiler may have the cores
PATH=$PATH:/usr/sbin:/sbin

server kdc "$@"
DATA=$HOME_DIR/data
export KRB5_CONFIG=$DATA/krb5.conf KRB5_KDC_PROFILE=$DATA/kdc.conf

LOCK_FILE=$ROOT/tests/servers/kdc-clients.lock.txt
VENV=$DEV/kerberos-venv
UV_VERSION=0.13.9

# --- the clients ----------------------------------------------------------------------------------------------------

stamp() { printf '%s %s %s\n' "$VENV" "$("$VENV/bin/python" -V 2>&1)" "$(sha256sum <"$LOCK_FILE")"; }
clients_are_whole() { [ -f "$VENV/complete" ] && [ "$(<"$VENV/complete")" = "$(stamp)" ]; }
# What is compiled is compiled here, for there are no wheels of it for Linux. It need not be fast.
install_clients() { # PYTHON
  export CFLAGS='-O0 -w'
  rm -rf "$VENV" && "$1" -m venv "$VENV" &&
    { install_with_uv || "$VENV/bin/python" -m pip install -r "$LOCK_FILE"; } && stamp >"$VENV/complete"
}
install_with_uv() { # which builds several packages at a time
  "$VENV/bin/python" -m pip install "uv==$UV_VERSION" &&
    "$VENV/bin/uv" pip install --python "$VENV/bin/python" -r "$LOCK_FILE"
}
make_clients() {
  clients_are_whole && return
  exec 8>"$VENV.lock"
  flock -w 900 8 || die "another process has been making $VENV for 15 minutes"
  if ! clients_are_whole; then
    local base
    base=$(find_python 14) || die "no Python $SUPPORTED_PYTHON with venv, ssl and sqlite3 found: run scripts/setup.sh"
    say "$NAME: building Kerberos clients for Python"
    install_clients "$base" >"$VENV.log" 2>&1 </dev/null || {
      show_tail "$VENV.log"
      die "could not install the Kerberos clients"
    }
  fi
  exec 8>&-
}

# --- the KDC --------------------------------------------------------------------------------------------------------

write_configuration() {
  # It is asked by the names in the URLs, without DNS. TCP, because it says at once when nobody is there.
  local strict
  for strict in '' -strict; do
    cat >"$DATA/krb5$strict.conf" <<CONF
[libdefaults]
  default_realm = $REALM
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
  ${strict:+clockskew = 1}
[realms]
  $REALM = {
    kdc = 127.0.0.1:$(port)
  }
[domain_realm]
  localhost = $REALM
CONF
  done
  cat >"$DATA/kdc.conf" <<CONF
[kdcdefaults]
  kdc_listen = 127.0.0.1:$(port)
  kdc_tcp_listen = 127.0.0.1:$(port)
[realms]
  $REALM = {
    database_name = $DATA/principal
    key_stash_file = $DATA/stash
    acl_file = $DATA/kadm5.acl
    max_life = 10h
    supported_enctypes = aes256-cts-hmac-sha1-96:normal
  }
[logging]
  kdc = FILE:$LOG
CONF
  : >"$DATA/kadm5.acl"
}

kadmin() { kadmin.local "$@" >>"$LOG" 2>&1; }

make_database() { # once: tests may change it, but only one with a name of its own
  [ ! -f "$DATA/complete" ] || return 0
  rm -f "$DATA"/principal* "$DATA/stash" "$DATA"/*.keytab
  kdb5_util create -s -r "$REALM" -P fixture-master >>"$LOG" 2>&1
  local name
  for name in "${USERS[@]}"; do kadmin addprinc -pw "${name%%/*}-pw" "$name"; done
  for name in "${SERVICES[@]}"; do kadmin addprinc -randkey "$name"; done
  kadmin ktadd -k "$DATA/clients.keytab" -norandkey "${USERS[@]}"
  kadmin ktadd -k "$DATA/airflow.keytab" -norandkey airflow/localhost
  kadmin ktadd -k "$DATA/http.keytab" -norandkey HTTP/localhost
  kadmin ktadd -k "$DATA/both.keytab" -norandkey airflow/localhost HTTP/localhost
  kadmin ktadd -k "$DATA/other.keytab" -norandkey other/localhost
  printf '%s\n' "addent -password -p airflow/localhost@$REALM -k 1 -e aes256-cts-hmac-sha1-96" not-the-key \
    "wkt $DATA/wrong.keytab" q | ktutil >>"$LOG" 2>&1
  touch "$DATA/complete"
}

# A ticket for the asking, without leaving one.
answers() {
  port_in_use "$(port)" && kinit -k -t "$DATA/clients.keytab" -c "MEMORY:" alice >>"$LOG" 2>&1
}
is_up() { process_of "$PIDFILE" >/dev/null && port_in_use "$(port)"; }

abandon() {
  [ -z "${!-}" ] || remember_process "$PIDFILE" $! || true
  stop_process "$PIDFILE" 10
}

up() {
  local tool
  for tool in krb5kdc kdb5_util kadmin.local kinit ktutil; do
    command -v "$tool" >/dev/null || die "$tool is not installed: scripts/setup.sh test"
  done
  make_clients
  is_up && return
  stop_process "$PIDFILE" 10
  (umask 077 && mkdir -p "$DATA")
  # the port of the last time, where it is free: who has it in a krb5.conf then finds the KDC again
  if [ -z "$(port)" ] || port_in_use "$(port)"; then free_port >"$HOME_DIR/port"; fi
  write_configuration
  make_database
  local began=$SECONDS
  trap abandon EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  setsid krb5kdc -n -r "$REALM" >>"$LOG" 2>&1 </dev/null 9>&- &
  remember_process "$PIDFILE" $!
  until answers; do
    process_of "$PIDFILE" >/dev/null || { show_tail "$LOG"; die "the KDC ($NAME) ended before it was ready"; }
    ((SECONDS - began < START_TIMEOUT)) || { show_tail "$LOG"; die "the KDC ($NAME) was not ready after $START_TIMEOUT s"; }
    sleep 0.05
  done
  process_of "$PIDFILE" >/dev/null || { show_tail "$LOG"; die "the KDC ($NAME) ended, and something else answers on port $(port)"; }
  trap - EXIT INT TERM HUP
}

env_lines() {
  cat <<ENV
AIRGATE_TEST_KDC=$DATA
AIRGATE_TEST_KDC_REALM=$REALM
AIRGATE_TEST_KDC_PYTHON=$VENV/bin/python
ENV
}

serve
