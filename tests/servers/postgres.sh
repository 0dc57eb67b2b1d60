#!/usr/bin/env bash
# PostgreSQL on loopback, for the tests.
#
#   postgres.sh up|down|env [--name X]
#
# `up` starts it unless it runs, waits until it answers, and prints where it is, as `env` does. `down` ends it; its data
# and port stay, so that `up` brings the same one back. A test that stops its server has one of its own, by name; `down`
# without a name stops those too.
#
# The user is `airflow`, whose password is a fixture with what must be encoded in a URL: p@ss:w/örd%. It may create
# databases; each test has one of its own. TLS with a certificate for localhost, of an authority of its own; and the
# certificate of another authority, that vouched for none.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

server postgres "$@"
PASSWORD='p@ss:w/örd%'
START_TIMEOUT=120 # seconds; two are usual

# Debian has its programs in a folder of each release
for folder in /usr/lib/postgresql/*/bin; do PATH=$folder:$PATH; done

# It refuses to run as root.
as_user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; else "$@"; fi; }
data() { cat "$HOME_DIR/where" 2>/dev/null; } # a folder of its own, with its socket
is_up() { process_of "$PIDFILE" >/dev/null; }
answers() { PGPASSWORD=$PASSWORD psql -qAt -h 127.0.0.1 -p "$(port)" -U airflow -d postgres -c 'SELECT 1' >/dev/null 2>&1; }

certificates() { # FOLDER
  local authority
  for authority in ca other-ca; do
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=airgate test $authority" \
      -keyout "$1/$authority.key" -out "$1/$authority.crt" 2>/dev/null
  done
  openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$1/server.key" -out "$1/server.csr" 2>/dev/null
  openssl x509 -req -in "$1/server.csr" -CA "$1/ca.crt" -CAkey "$1/ca.key" -CAcreateserial -days 3650 \
    -extfile <(printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n') -out "$1/server.crt" 2>/dev/null
  chmod 600 "$1/server.key"
}

make_data() {
  [ ! -f "$(data)/made" ] || return 0
  local folder
  folder=$HOME_DIR/data
  rm -rf "$folder"
  # a socket's path is short, and its own user must be let in
  if [ ${#folder} -lt 80 ] && mkdir "$folder" && as_user test -x "$folder"; then :; else
    folder=$(mktemp -d "${TMPDIR:-/tmp}/airgate-pg.XXXXXX")
  fi
  certificates "$folder"
  printf '%s' "$PASSWORD" >"$folder/password"
  [ "$(id -u)" != 0 ] || chown -R postgres:postgres "$folder"
  chmod 711 "$folder"
  as_user initdb -D "$folder/db" -U airflow --pwfile="$folder/password" --auth=scram-sha-256 --no-sync \
    --encoding=UTF8 --locale=C.UTF-8 >"$LOG" 2>&1 </dev/null || { show_tail "$LOG"; die "initdb failed"; }
  touch "$folder/made"
  echo "$folder" >"$HOME_DIR/where"
}

# SIGINT is its fast shutdown; on SIGTERM it waits for its clients
stop() { # PIDFILE
  local pid
  if pid=$(process_of "$1"); then
    kill -INT "$pid" 2>/dev/null || true
    for ((i = 100; i > 0; i--)); do
      process_of "$1" >/dev/null || break
      sleep 0.1
    done
  fi
  stop_process "$1" 5
}
abandon() { stop "$PIDFILE"; }

start() {
  local began=$SECONDS port attempt folder
  folder=$(data)
  trap abandon EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  for attempt in 1 2 3 4 5; do
    port=$(port || true)
    while [ -z "$port" ] || port_in_use "$port"; do port=$((20000 + RANDOM % 10000)); done
    echo "$port" >"$HOME_DIR/port"
    rm -f "$folder/db/postmaster.pid"
    if [ "$(id -u)" = 0 ]; then set -- setpriv --reuid=postgres --regid=postgres --clear-groups --; else set --; fi
    setsid "$@" "$(command -v postgres)" -D "$folder/db" -h 127.0.0.1 -p "$port" -k "$folder" \
      -c fsync=off -c max_connections=200 -c ssl=on -c ssl_cert_file="$folder/server.crt" \
      -c ssl_key_file="$folder/server.key" >"$LOG" 2>&1 </dev/null 9>&- &
    remember_process "$PIDFILE" $! || true
    until answers; do
      is_up || break # somebody else took the port, say
      ((SECONDS - began < START_TIMEOUT)) || { show_tail "$LOG"; die "PostgreSQL did not answer within $START_TIMEOUT s"; }
      sleep 0.1
    done
    if is_up; then break; fi
    rm -f "$HOME_DIR/port"
    ((attempt < 5)) || { show_tail "$LOG"; die "PostgreSQL does not start"; }
  done
  trap - EXIT INT TERM HUP
}

up() {
  if is_up && answers; then return; fi
  for needed in initdb postgres psql openssl; do
    command -v "$needed" >/dev/null || die "$needed is missing: scripts/setup.sh test installs it"
  done
  stop "$PIDFILE"
  make_data
  start
}

env_lines() {
  printf 'AIRGATE_TEST_POSTGRES_PORT=%s\n' "$(port)"
  printf 'AIRGATE_TEST_POSTGRES_HOME=%s\n' "$(data)"
}

serve
