#!/usr/bin/env bash
# What must hold under load, at full length: tests/it/load.rs, one test after the other, compiled as for use.
#
#   scripts/load.sh [NAMES OF TESTS]      (make load ARGS=ten_upgrades)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
# 12,000 connections have two ends, and both are on this machine.
ulimit -n "$(ulimit -Hn)"
exec cargo test --release --test it -- --ignored --test-threads=1 --nocapture "${@:-load::long}"
