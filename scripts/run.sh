#!/usr/bin/env bash
# airgate in front of a real Airflow, on loopback, until Ctrl-C.
#
#   make run [PORT=8081] [ADMIN_PORT=9091]
#
# Installs what is missing, builds airgate, starts the Airflow `demo` of tests/airflow/airflow.sh, starts airgate in front
# of it, and prints five commands to try. Everything it writes is in .airgate-dev/ and target/.
# shellcheck disable=SC2317  # functions are called by traps
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PORT=${PORT:-8081}
ADMIN_PORT=${ADMIN_PORT:-9091}
URL=http://127.0.0.1:$PORT
ADMIN_URL=http://127.0.0.1:$ADMIN_PORT
AIRFLOW=$ROOT/tests/airflow/airflow.sh
AIRFLOW_PIDFILE=$("$AIRFLOW" home demo)/api-server.pid
AIRFLOW_LOG=${AIRFLOW_PIDFILE%/*}/api-server.log
PIDFILE=$DEV/airgate.pid
LOG=$DEV/airgate.log
CONF=$DEV/airgate.toml

cd "$ROOT"

# --- what would fail later fails now --------------------------------------------------------------------------------

exec 9>"$DEV/run.lock"
flock -n 9 || die "'make run' is already running in this folder; stop it with Ctrl-C there"
stop_process "$PIDFILE" 10 # left behind by a run that was killed outright

is_port "$PORT" || die "PORT=$PORT is not a port"
is_port "$ADMIN_PORT" || die "ADMIN_PORT=$ADMIN_PORT is not a port"
for port in "$PORT" "$ADMIN_PORT"; do
  ! port_in_use "$port" ||
    die "port $port is in use by another program. Choose others: make run PORT=$((PORT + 100)) ADMIN_PORT=$((ADMIN_PORT + 100))"
done

# --- from here on, everything started is stopped again --------------------------------------------------------------

ready=false
pause=
finish() {
  trap '' INT TERM HUP
  [ -z "$pause" ] || kill "$pause" 2>/dev/null || true
  stop_steps
  stop_process "$PIDFILE" 25
  "$AIRFLOW" down demo 9>&-
}
interrupted() { # being stopped is how a good run ends
  trap '' INT TERM HUP # make passes a TERM on to whom it has come already: a second one would end what this begins
  say ''
  say 'stopping airgate and Airflow'
  "$ready" && exit 0 || exit 130
}
trap finish EXIT
trap interrupted INT TERM HUP

step scripts/setup.sh run
background "$AIRFLOW" up demo >/dev/null # beside the build: it mostly waits for the network the first time
airflow=$STEP
step cargo build
await "$airflow" || die "airgate needs an Airflow to stand in front of"

# --- airgate --------------------------------------------------------------------------------------------------------

# No secret of Airflow's is given to airgate: it exchanges the credentials it gets for Airflow's own tokens.
target=${CARGO_TARGET_DIR:-$ROOT/target}
# Named, so that no ./airgate.toml of somebody's is read.
cat >"$CONF" <<TOML
# Written anew by each 'make run'.
[upstream]
url = "$("$AIRFLOW" url demo)"

[server]
listen = "127.0.0.1:$PORT"

[admin]
listen = "127.0.0.1:$ADMIN_PORT"

[api]
maximum_page_limit = 10
access_control_allow_origins = "https://ui.example.com"
access_control_allow_methods = "GET, POST, OPTIONS"
access_control_allow_headers = "authorization, content-type"
TOML
background "$target/debug/airgate" run --conf "$CONF" >"$LOG" 2>&1
remember_process "$PIDFILE" "$STEP"
unset "STEPS[$STEP]" # not a step, but a server: `finish` knows how to stop it
disown "$STEP"

check_airgate() {
  process_of "$PIDFILE" >/dev/null || { show_tail "$LOG"; die "airgate ended by itself"; }
}
check_airflow() {
  process_of "$AIRFLOW_PIDFILE" >/dev/null || { show_tail "$AIRFLOW_LOG"; die "Airflow ended by itself"; }
}

deadline=$((SECONDS + 60))
until curl -fsS --noproxy '*' --max-time 5 -o /dev/null "$ADMIN_URL/readyz" 2>/dev/null; do
  check_airgate
  check_airflow
  ((SECONDS < deadline)) || { show_tail "$LOG"; die "airgate was not ready after 60 s"; }
  sleep 0.2
done
ready=true

cat <<TEXT

airgate answers on $URL, in front of Airflow on $("$AIRFLOW" url demo). Try:

TOKEN=\$(curl -s $URL/auth/token -H 'Content-Type: application/json' -d '{"username": "admin", "password": "admin"}' | sed 's/.*"access_token": *"\([^"]*\)".*/\1/'); echo "\$TOKEN"
curl -s -H "Authorization: Bearer \$TOKEN" '$URL/api/v2/dags?limit=2'; echo
curl -s --user admin:admin $URL/api/v2/pools; echo
curl -si -X OPTIONS $URL/api/v2/dags -H 'Origin: https://ui.example.com' -H 'Access-Control-Request-Method: GET' -H 'Access-Control-Request-Headers: authorization'; echo
curl -s -o /dev/null -D - --user admin:admin '$URL/api/v2/dags?limit=1000' | grep -i x-airgate-page-limit

Configuration:    ${CONF#"$ROOT/"}
Metrics, health:  $ADMIN_URL/metrics  $ADMIN_URL/readyz
Logs:             ${LOG#"$ROOT/"}  ${AIRFLOW_LOG#"$ROOT/"}
Ctrl-C stops both.
TEXT

airflow_up=true
while :; do
  sleep 1 9>&- &
  pause=$!
  wait "$pause" # unlike a sleep in the foreground, this ends with the signal
  check_airgate
  # an outage is worth looking at: airgate answers 502, and /readyz says why
  if "$airflow_up" && ! process_of "$AIRFLOW_PIDFILE" >/dev/null; then
    airflow_up=false
    say "Airflow has ended, airgate goes on without it. Start it again: tests/airflow/airflow.sh up demo"
  fi
done
