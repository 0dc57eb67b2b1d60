#!/usr/bin/env bash
# A real Redis on loopback, for the tests.
#
#   redis.sh up|down|env [--name X]      (see scripts/servers.sh)
#
# It listens on a TCP port, on another one for TLS, and on a Unix socket, asks for the password that `env` prints, and
# keeps nothing on disk. `down` without a name stops the ones with names, too. In data/: ca.pem, which signed its
# certificate for localhost and 127.0.0.1. The password and the keys are fixtures, good for nothing else.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

PASSWORD='fixture:p@ss/word%'
START_TIMEOUT=60 # seconds; far below one is usual, but a compiler may have the cores

server redis "$@"
DATA=$HOME_DIR/data

# Unix sockets have short paths only, and a clone may lie deep.
socket_path() { printf '/tmp/airgate-%s-%s.sock\n' "$(id -u)" "$(printf '%s' "$HOME_DIR" | sha256sum | cut -c1-16)"; }
tls_port() { cat "$HOME_DIR/tls-port" 2>/dev/null; }

# As one does over the wire, without redis-cli: PING may be asked before AUTH, and is then refused, but answered.
answers() { # PORT
  local line
  { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
  printf 'AUTH %s\r\nPING\r\n' "$PASSWORD" >&3
  IFS= read -r -t 2 line <&3 && IFS= read -r -t 2 line <&3 || line=
  exec 3>&-
  [[ $line == +PONG* ]]
}
is_up() { process_of "$PIDFILE" >/dev/null && answers "$(port)"; }

keep_or_choose() { # FILE of a port
  local last
  last=$(cat "$HOME_DIR/$1" 2>/dev/null) || last=
  if [ -z "$last" ] || port_in_use "$last"; then free_port >"$HOME_DIR/$1"; fi
}

make_certificates() {
  [ ! -f "$DATA/server.pem" ] || return 0
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj '/CN=airgate test CA' \
    -keyout "$DATA/ca.key" -out "$DATA/ca.pem" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout "$DATA/server.key" -out "$DATA/server.csr" 2>/dev/null
  printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >"$DATA/extensions"
  openssl x509 -req -in "$DATA/server.csr" -CA "$DATA/ca.pem" -CAkey "$DATA/ca.key" -CAcreateserial -days 3650 \
    -extfile "$DATA/extensions" -out "$DATA/server.pem" 2>/dev/null
}

write_configuration() {
  cat >"$DATA/redis.conf" <<CONF
bind 127.0.0.1
port $(port)
tls-port $(tls_port)
tls-cert-file $DATA/server.pem
tls-key-file $DATA/server.key
tls-ca-cert-file $DATA/ca.pem
tls-auth-clients no
unixsocket $(socket_path)
unixsocketperm 777
requirepass "$PASSWORD"
dir $DATA
save ""
appendonly no
daemonize no
CONF
}

abandon() {
  [ -z "${!-}" ] || remember_process "$PIDFILE" $! || true
  stop_process "$PIDFILE" 10
}

up() {
  is_up && return
  command -v redis-server >/dev/null || die "redis-server is not installed: scripts/setup.sh test"
  stop_process "$PIDFILE" 10
  mkdir -p "$DATA"
  make_certificates
  local began=$SECONDS
  # the ports of the last time, where they are free: who is connected then finds the server again
  keep_or_choose port
  keep_or_choose tls-port
  write_configuration
  trap abandon EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  setsid redis-server "$DATA/redis.conf" >"$LOG" 2>&1 </dev/null 9>&- &
  remember_process "$PIDFILE" $!
  until answers "$(port)"; do
    process_of "$PIDFILE" >/dev/null || { show_tail "$LOG"; die "Redis ($NAME) ended before it was ready"; }
    ((SECONDS - began < START_TIMEOUT)) || { show_tail "$LOG"; die "Redis ($NAME) was not ready after $START_TIMEOUT s"; }
    sleep 0.05
  done
  process_of "$PIDFILE" >/dev/null || { show_tail "$LOG"; die "Redis ($NAME) ended, and something else answers on port $(port)"; }
  trap - EXIT INT TERM HUP
}

env_lines() {
  cat <<ENV
AIRGATE_TEST_REDIS_HOST=127.0.0.1
AIRGATE_TEST_REDIS_PORT=$(port)
AIRGATE_TEST_REDIS_TLS_PORT=$(tls_port)
AIRGATE_TEST_REDIS_SOCKET=$(socket_path)
AIRGATE_TEST_REDIS_PASSWORD=$PASSWORD
AIRGATE_TEST_REDIS_CA=$DATA/ca.pem
ENV
}

clean_up() { rm -f "$(socket_path)"; }

serve
