#!/usr/bin/env bash
# MariaDB on loopback, for the tests.
#
#   mariadb.sh up|down|env [--name X]
#
# `up` starts it unless it runs, waits until it answers, and prints where it is, as `env` does. `down` ends it; its data
# and port stay, so that `up` brings the same one back. A test that stops its server has one of its own, by name; `down`
# without a name stops those too.
#
# The user is `airflow`, whose password is a fixture with what must be encoded in a URL: p@ss:w/örd%. It may create
# databases; each test has one of its own, in utf8mb4_unicode_ci as Airflow's documentation has it. The server's time
# zone is not UTC. TLS with a certificate for localhost, of an authority of its own.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
PATH=$PATH:/usr/sbin:/sbin

server mariadb "$@"
PASSWORD='p@ss:w/örd%'
START_TIMEOUT=120 # seconds; two are usual

as_user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=mysql --regid=mysql --clear-groups -- "$@"; else "$@"; fi; }
data() { cat "$HOME_DIR/where" 2>/dev/null; } # a folder of its own, with its socket
is_up() { process_of "$PIDFILE" >/dev/null; }
answers() {
  MYSQL_PWD=$PASSWORD mariadb --no-defaults -h 127.0.0.1 -P "$(port)" -u airflow -e 'SELECT 1' >/dev/null 2>&1
}

certificates() { # FOLDER
  local authority
  for authority in ca other-ca; do
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=airgate test $authority" \
      -keyout "$1/$authority.key" -out "$1/$authority.crt" 2>/dev/null
  done
  openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$1/server.key" -out "$1/server.csr" 2>/dev/null
  openssl x509 -req -in "$1/server.csr" -CA "$1/ca.crt" -CAkey "$1/ca.key" -CAcreateserial -days 3650 \
    -extfile <(printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n') -out "$1/server.crt" 2>/dev/null
}

make_data() {
  [ ! -f "$(data)/made" ] || return 0
  local folder
  folder=$HOME_DIR/data
  rm -rf "$folder"
  # a socket's path is short, and the user that it drops to must be let in
  if [ ${#folder} -lt 80 ] && mkdir "$folder" && as_user test -x "$folder"; then :; else
    folder=$(mktemp -d "${TMPDIR:-/tmp}/airgate-my.XXXXXX")
  fi
  certificates "$folder"
  mkdir "$folder/db"
  # as root it drops to its own user, which must be let in
  local owner=()
  if [ "$(id -u)" = 0 ]; then
    owner=(--user=mysql)
    chown -R mysql:mysql "$folder"
  fi
  chmod 711 "$folder"
  mariadb-install-db --no-defaults "${owner[@]}" --datadir="$folder/db" --skip-test-db >"$LOG" 2>&1 </dev/null ||
    { show_tail "$LOG"; die "mariadb-install-db failed"; }
  cat >"$folder/init.sql" <<SQL
CREATE USER IF NOT EXISTS 'airflow'@'%' IDENTIFIED BY '$PASSWORD';
GRANT ALL ON *.* TO 'airflow'@'%';
CREATE USER IF NOT EXISTS 'airflow'@'localhost' IDENTIFIED BY '$PASSWORD';
GRANT ALL ON *.* TO 'airflow'@'localhost';
SQL
  [ "$(id -u)" != 0 ] || chown mysql:mysql "$folder/init.sql"
  touch "$folder/made"
  echo "$folder" >"$HOME_DIR/where"
}

abandon() { stop_process "$PIDFILE" 10; }

start() {
  local began=$SECONDS port attempt folder owner=()
  folder=$(data)
  [ "$(id -u)" != 0 ] || owner=(--user=mysql)
  trap abandon EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  for attempt in 1 2 3 4 5; do
    port=$(port || true)
    while [ -z "$port" ] || port_in_use "$port"; do port=$((20000 + RANDOM % 10000)); done
    echo "$port" >"$HOME_DIR/port"
    setsid "$(command -v mariadbd)" --no-defaults "${owner[@]}" --datadir="$folder/db" --bind-address=127.0.0.1 \
      --port="$port" --socket="$folder/mysql.sock" --pid-file="$folder/mysql.pid" --init-file="$folder/init.sql" \
      --character-set-server=utf8mb4 --default-time-zone=+05:30 --innodb-flush-log-at-trx-commit=0 \
      --ssl-cert="$folder/server.crt" --ssl-key="$folder/server.key" >"$LOG" 2>&1 </dev/null 9>&- &
    remember_process "$PIDFILE" $! || true
    until answers; do
      is_up || break # somebody else took the port, say
      ((SECONDS - began < START_TIMEOUT)) || { show_tail "$LOG"; die "MariaDB did not answer within $START_TIMEOUT s"; }
      sleep 0.1
    done
    if is_up; then break; fi
    rm -f "$HOME_DIR/port"
    ((attempt < 5)) || { show_tail "$LOG"; die "MariaDB does not start"; }
  done
  trap - EXIT INT TERM HUP
}

up() {
  if is_up && answers; then return; fi
  for needed in mariadbd mariadb-install-db mariadb openssl; do
    command -v "$needed" >/dev/null || die "$needed is missing: scripts/setup.sh test installs it"
  done
  stop_process "$PIDFILE" 20
  make_data
  start
}

env_lines() {
  printf 'AIRGATE_TEST_MARIADB_PORT=%s\n' "$(port)"
  printf 'AIRGATE_TEST_MARIADB_HOME=%s\n' "$(data)"
}

stop() { stop_process "$1" 20; } # PIDFILE

serve
