#!/usr/bin/env bash
# Makes the Python environment that holds an Airflow, unless it is there already, and prints its python.
#
#   tests/airflow/venv.sh [af3 | af2 | client2]      (default: af3)
#
# client2 holds no Airflow, but Airflow 2's official client.
#
# It is made anew when the lock file or the interpreter changed, when the project was moved, and when making it was
# interrupted. Several callers may race: one makes it, the others wait.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

UV_VERSION=0.13.9
case ${1:-af3} in
  af3) RELEASE=af3 VENV=$DEV/venv     NEWEST=14 SUITABLE=$SUPPORTED_PYTHON ;;
  af2) RELEASE=af2 VENV=$DEV/venv-af2 NEWEST=12 SUITABLE='3.11 or 3.12' ;;
  client2) RELEASE=client2 VENV=$DEV/venv-client2 NEWEST=14 SUITABLE=$SUPPORTED_PYTHON ;;
  *) die "there are af3, af2 and client2, not '$1'" ;;
esac
LOCK_FILE=$ROOT/tests/airflow/requirements-$RELEASE.lock.txt
PYTHON=$VENV/bin/python
STAMP=$VENV/complete # written last, so what has it is whole
LOG=$VENV.log

stamp() { printf '%s %s %s\n' "$VENV" "$("$PYTHON" -V 2>&1)" "$(sha256sum <"$LOCK_FILE")"; }
is_whole() { [ -f "$STAMP" ] && [ "$(<"$STAMP")" = "$(stamp)" ]; }

# uv takes seconds where pip takes minutes; but it may not run here, or not find the package index that pip finds.
install_with_uv() { "$PYTHON" -m pip install "uv==$UV_VERSION" && "$VENV/bin/uv" pip install --python "$PYTHON" -r "$LOCK_FILE"; }
install_with_pip() { "$PYTHON" -m pip install -r "$LOCK_FILE"; }

make_venv() { # PYTHON
  rm -f "$STAMP" && rm -rf "$VENV" && "$1" -m venv "$VENV" &&
    { install_with_uv || install_with_pip; } &&
    stamp >"$STAMP.new" && mv "$STAMP.new" "$STAMP"
}

if ! is_whole; then
  mkdir -p "$DEV"
  exec 9>"$VENV.lock"
  flock -w 900 9 || die "another process has been making $VENV for 15 minutes"
  if ! is_whole; then
    base=$(find_python "$NEWEST") || die "no Python $SUITABLE with venv, ssl and sqlite3 found: run scripts/setup.sh, or name one with AIRGATE_PYTHON"
    say "installing Airflow into ${VENV#"$ROOT/"} with $base"
    make_venv "$base" >"$LOG" 2>&1 </dev/null || {
      show_tail "$LOG"
      die "could not install Airflow"
    }
  fi
fi
printf '%s\n' "$PYTHON"
