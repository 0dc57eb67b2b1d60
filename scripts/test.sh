#!/usr/bin/env bash
# All tests, against real servers that this script starts and stops again: Airflow's (tests/airflow), and those that
# airgate talks to beside it (tests/servers, see scripts/servers.sh).
#
#   scripts/test.sh [--all] [ARGUMENTS OF cargo test]      (make test ARGS='--test it cors')
#
# Where Python 3.11 or 3.12 is there, which Airflow 2 needs, also what a real Airflow 2.11 answers to its client. With --all
# (make test-all) the other tests that are marked as ignored, too: those that need more of Airflow 2, or an older Keycloak.
# A server that was up already (make airflow-up servers-up) is used and left up. The last line says `N passed, N failed`
# over all of cargo's test binaries; the exit code is cargo's.
# shellcheck disable=SC2317  # functions are called by traps and steps
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

AIRFLOW=$ROOT/tests/airflow/airflow.sh
RELEASES=(af3)
INSTANCES=(simple simple-rs256 fab keycloak v1)
IGNORED=()
COMPARED=
OLDER_KEYCLOAK=(true) # a server's script with its options, or nothing
if [ "${1-}" = --all ]; then
  shift
  RELEASES+=(af2) INSTANCES+=(keycloak-older v1-options af2 af2-no-public af2-v1) IGNORED=(--include-ignored)
  OLDER_KEYCLOAK=("$ROOT/tests/servers/keycloak.sh" --release 26.5.6)
fi
SUMMARY=$DEV/test-summary # for .ci/run
OUTPUT=$DEV/test-output.log

cd "$ROOT"
mkdir -p "$DEV"
rm -f "$SUMMARY"
scripts/setup.sh test

# What the translated API is held to in each run. Its recording alone would not tell that it is wrong.
if [ ${#IGNORED[@]} -eq 0 ] && [ $# -eq 0 ]; then
  if find_python 12 >/dev/null; then
    RELEASES+=(af2) INSTANCES+=(af2-v1) COMPARED=goldens::v1::client::the_recording_is_what_airflow_2_answers
  else
    say "note: there is no Python 3.11 or 3.12, so no Airflow 2.11 is compared with"
  fi
fi

older_keycloak() { "${OLDER_KEYCLOAK[0]}" "$1" "${OLDER_KEYCLOAK[@]:1}"; }
started=() started_servers=() started_older=no
finish() {
  trap '' INT TERM HUP
  stop_steps
  [ "$started_older" = no ] || older_keycloak down || true
  [ ${#started_servers[@]} -eq 0 ] || scripts/servers.sh down "${started_servers[@]}" || true
  [ ${#started[@]} -eq 0 ] || "$AIRFLOW" down "${started[@]}"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

for instance in "${INSTANCES[@]}"; do
  "$AIRFLOW" url "$instance" >/dev/null 2>&1 || started+=("$instance")
done

mapfile -t started_servers < <(scripts/servers.sh list down)
older_keycloak env >/dev/null 2>&1 || started_older=yes

start_airflows() { # together: each keeps one core busy for ten seconds
  local release instance pid pids=() rc=0
  for release in "${RELEASES[@]}"; do "$ROOT/tests/airflow/venv.sh" "$release" >/dev/null; done
  for instance in "${INSTANCES[@]}"; do
    "$AIRFLOW" up "$instance" >/dev/null &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || rc=1; done
  return "$rc"
}

run_tests() {
  [[ " $* " == *' -- '* ]] || set -- "$@" --
  cargo test --no-fail-fast "$@" "${IGNORED[@]}" --skip load::long --skip v1_cost 2>&1 | tee "$OUTPUT"
}

background start_airflows
airflows=$STEP
start_servers() { scripts/servers.sh up && older_keycloak up >/dev/null; }
background start_servers
servers=$STEP
step cargo test --no-run "$@" || die "the tests do not compile"
await "$airflows" || die "without its Airflow servers the tests prove nothing"
await "$servers" || die "without the servers of tests/servers the tests prove nothing"

AIRGATE_TEST_PYTHON=$("$ROOT/tests/airflow/venv.sh")
AIRGATE_TEST_CLIENT_2_PYTHON=$("$ROOT/tests/airflow/venv.sh" client2)
export AIRGATE_TEST_PYTHON AIRGATE_TEST_CLIENT_2_PYTHON
for instance in "${INSTANCES[@]}"; do
  name=${instance^^}
  name=AIRGATE_TEST_AIRFLOW_${name//-/_}
  export "$name=$("$AIRFLOW" url "$instance")" "${name}_HOME=$("$AIRFLOW" home "$instance")"
done

while IFS= read -r line; do export "${line?}"; done < <(scripts/servers.sh env; older_keycloak env)

rc=0
step run_tests "$@" || rc=$?
if [ -n "$COMPARED" ]; then
  step cargo test --test it -- --ignored --exact "$COMPARED" 2>&1 | tee -a "$OUTPUT" || rc=1
  grep -q "^test $COMPARED ... ok" "$OUTPUT" || rc=1 # and not none, by another name
fi
if [ ${#IGNORED[@]} -gt 0 ] && [ $# -eq 0 ]; then
  # What is measured has the machine to itself, a flood of wrong passwords beside a Bearer client too; then the recorded
  # answers once more, over HTTP/2, which a client of Python has no part in, and what an airgate says that was built
  # without Kerberos.
  step "$ROOT/scripts/load.sh" load::long v1_cost 2>&1 | tee -a "$OUTPUT" || rc=1
  step cargo bench --bench flood 2>&1 | tee -a "$OUTPUT" || rc=1
  AIRGATE_TEST_HTTP=2 step cargo test --test it -- goldens:: --skip official_client 2>&1 | tee -a "$OUTPUT" || rc=1
  step cargo test --no-default-features --test it -- without_kerberos:: 2>&1 | tee -a "$OUTPUT" || rc=1
fi

# one line for all binaries; a run that failed without a failed test (it crashed, say) must not look like a good one
awk -v rc="$rc" '
  { gsub(/\033\[[0-9;]*m/, "") }
  /^test result: / { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i-1); if ($i ~ /^failed/) f += $(i-1); if ($i ~ /^ignored/) s += $(i-1) } }
  END { if (rc && !f) f = 1; printf "%d passed, %d failed%s\n", p, f, s ? sprintf(", %d skipped", s) : "" }
' "$OUTPUT" >"$SUMMARY"
cat "$SUMMARY"
exit "$rc"
