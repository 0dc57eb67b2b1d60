#!/usr/bin/env bash
# The servers that tests need besides Airflow: one script each, tests/servers/NAME.sh.
#
#   servers.sh up [NAME...]      starts those that are down, together
#   servers.sh down [NAME...]    stops them, and what tests have started under other names
#   servers.sh env [NAME...]     prints AIRGATE_TEST_...=value lines of all that are up
#   servers.sh list up|down      names, one a line
#
# Each script knows `up`, `down` and `env`. `up` does nothing when the server answers, and else returns when it does;
# `env` prints the variables by which tests find it, and fails when it is down; `down` leaves no process of its own.
# All take `--name X`: another server of the same kind, with data and a port of its own, for a test that stops it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }

all() {
  local script
  for script in tests/servers/*.sh; do
    [ ! -x "$script" ] || basename "$script" .sh
  done
}
is_up() { "tests/servers/$1.sh" env >/dev/null 2>&1; }

command=${1-}
shift || usage
if [ "$command" = list ]; then
  wanted=${1-}
  [[ $wanted == up || $wanted == down ]] || usage
  for name in $(all); do
    if is_up "$name"; then state=up; else state=down; fi
    [ "$state" != "$wanted" ] || printf '%s\n' "$name"
  done
  exit
fi

if [ $# -gt 0 ]; then names=("$@"); else mapfile -t names < <(all); fi
for name in "${names[@]}"; do
  [ -x "tests/servers/$name.sh" ] || die "no such server: '$name' (there are: $(all | xargs))"
done

rc=0
case $command in
  up)
    pids=()
    for name in "${names[@]}"; do
      "tests/servers/$name.sh" up >/dev/null &
      pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || rc=1; done
    ;;
  down)
    for name in "${names[@]}"; do "tests/servers/$name.sh" down || rc=1; done
    ;;
  env)
    for name in "${names[@]}"; do "tests/servers/$name.sh" env || rc=1; done
    ;;
  *) usage ;;
esac
exit "$rc"
