#!/usr/bin/env bash
# Makes the Python environment that checks the manifests, unless it is there already, and prints its python.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

LOCK_FILE=$ROOT/tests/deploy/requirements.txt
VENV=$DEV/deploy-venv
PYTHON=$VENV/bin/python
stamp() { printf '%s %s %s\n' "$VENV" "$("$PYTHON" -V 2>&1)" "$(sha256sum <"$LOCK_FILE")"; }
is_whole() { [ -f "$VENV/complete" ] && [ "$(<"$VENV/complete")" = "$(stamp)" ]; }

if ! is_whole; then
  mkdir -p "$DEV"
  exec 9>"$VENV.lock"
  flock -w 600 9 || die "another process has been making $VENV for 10 minutes"
  if ! is_whole; then
    base=$(find_python 14) || die "no Python $SUPPORTED_PYTHON with venv found: run scripts/setup.sh"
    { rm -rf "$VENV" && "$base" -m venv "$VENV" && "$PYTHON" -m pip install -r "$LOCK_FILE" && stamp >"$VENV/complete"; } \
      >"$VENV.log" 2>&1 </dev/null || { show_tail "$VENV.log"; die "could not install what checks the manifests"; }
  fi
fi
printf '%s\n' "$PYTHON"
