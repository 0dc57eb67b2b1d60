#!/usr/bin/env bash
# A real Prometheus on loopback, for the tests.
#
#   prometheus.sh up|down|env [--name X]      (see scripts/servers.sh)
#
# It scrapes twice a second what the files in the folder `targets` name (file_sd: write NAME.json, take it away again),
# and has the rules of deploy/prometheus.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

START_TIMEOUT=60 # seconds; a few are usual, but a compiler may have the cores

server prometheus "$@"
DATA=$HOME_DIR/data

answers() { [ -n "$(port)" ] && curl -sf --max-time 2 "http://127.0.0.1:$(port)/-/ready" >/dev/null; }
is_up() { process_of "$PIDFILE" >/dev/null && answers; }

write_configuration() {
  mkdir -p "$DATA/targets"
  rm -f "$DATA"/targets/*
  cat >"$DATA/prometheus.yml" <<CONF
global:
  scrape_interval: 500ms
  scrape_timeout: 500ms
  evaluation_interval: 1s
rule_files:
  - $ROOT/deploy/prometheus/alerts.yml
scrape_configs:
  - job_name: airgate
    file_sd_configs:
      - files: ["$DATA/targets/*.json"]
        refresh_interval: 1s
CONF
}

abandon() {
  [ -z "${!-}" ] || remember_process "$PIDFILE" $! || true
  stop_process "$PIDFILE" 10
}

up() {
  is_up && return
  command -v prometheus >/dev/null || die "prometheus is not installed: scripts/setup.sh test"
  stop_process "$PIDFILE" 10
  rm -rf "$DATA/tsdb"
  write_configuration
  free_port >"$HOME_DIR/port"
  local began=$SECONDS
  trap abandon EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  setsid prometheus --config.file="$DATA/prometheus.yml" --web.listen-address="127.0.0.1:$(port)" \
    --storage.tsdb.path="$DATA/tsdb" --storage.tsdb.retention.time=1h >"$LOG" 2>&1 </dev/null 9>&- &
  remember_process "$PIDFILE" $!
  until answers; do
    process_of "$PIDFILE" >/dev/null || { show_tail "$LOG"; die "Prometheus ($NAME) ended before it was ready"; }
    ((SECONDS - began < START_TIMEOUT)) || { show_tail "$LOG"; die "Prometheus ($NAME) was not ready after $START_TIMEOUT s"; }
    sleep 0.1
  done
  trap - EXIT INT TERM HUP
}

env_lines() {
  cat <<ENV
AIRGATE_TEST_PROMETHEUS=http://127.0.0.1:$(port)
AIRGATE_TEST_PROMETHEUS_TARGETS=$DATA/targets
ENV
}

clean_up() { rm -rf "$DATA/tsdb"; }

serve
