# shellcheck shell=bash disable=SC2034  # what is only assigned here is used where this is sourced
# What the project's scripts share. Source it, do not run it.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# Everything these scripts install or write is in here, and git ignores it: deleting it is always safe.
DEV=$ROOT/.airgate-dev

# What the user has set for an Airflow, an airgate or a Python of their own must not leak into ours. (One of them keeps
# Python from caching what it compiled, which doubles the time that Airflow takes to start.)
unset "${!AIRFLOW_@}" "${!AIRGATE__@}" "${!PYTHON@}" VIRTUAL_ENV

# rustup's default place, for shells that did not read its profile
command -v cargo >/dev/null || PATH=$PATH:${HOME-}/.cargo/bin

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
show_tail() { # FILE: the end of a log, indented, for the reader who must know why
  say "--- the end of ${1#"$ROOT/"}:"
  tail -n 25 "$1" | sed 's/^/    /' >&2
}

# --- Python ---------------------------------------------------------------------------------------------------------

# Airflow 3's lock file in tests/airflow needs 3.11 (FAB's provider does), and has wheels up to 3.14. Airflow 2 ends at 3.12.
SUPPORTED_PYTHON='3.11 to 3.14'
python_in_range() { # PYTHON [NEWEST MINOR]
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, int(sys.argv[1])))' "${2:-14}" 2>/dev/null
}
# Debian splits ensurepip off; a Python built by hand may lack ssl or sqlite3.
python_is_complete() { "$1" -c 'import ensurepip, sqlite3, ssl, venv' 2>/dev/null; }

# Of the interpreter that an environment is made from, for what is compiled for it.
has_python_headers() { "$1" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' 2>/dev/null; }

find_python() { # [NEWEST MINOR]: prints the first interpreter that can make the environment; AIRGATE_PYTHON names one to use instead
  local python
  for python in ${AIRGATE_PYTHON:-python3.12 python3.11 python3.13 python3.14 python3 /usr/bin/python3}; do
    # run it rather than look for it: a version manager's shim exists for versions that are switched off
    if python_in_range "$python" "$@" && python_is_complete "$python"; then
      printf '%s\n' "$python"
      return
    fi
  done
  return 1
}

# --- ports and processes --------------------------------------------------------------------------------------------

is_port() { [[ $1 =~ ^[0-9]{1,5}$ ]] && ((10#$1 >= 1 && 10#$1 <= 65535)); }
free_port() { # prints a port on which nobody listens, below those that the system gives to clients
  local port
  for _ in {1..200}; do
    port=$((20000 + SRANDOM % 12000))
    port_in_use "$port" || { printf '%s\n' "$port"; return; }
  done
  return 1
}
port_in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A pid alone proves nothing, since pids are used again. A pid with the process's start time (field 22 of its stat, in
# clock ticks since boot) names one process only, and unlike the command line the process cannot change it.
start_time() { # PID: fails for a process that is gone or a zombie
  local stat
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  read -ra stat <<<"${stat##*) }" # the fields from the third on; the second, the name, may hold spaces
  [ "${stat[0]}" != Z ] && printf '%s\n' "${stat[19]}"
}
remember_process() { # PIDFILE PID
  printf '%s %s\n' "$2" "$(start_time "$2")" >"$1"
}
process_of() { # PIDFILE: prints the pid if that very process is still alive
  local pid started
  { read -r pid started <"$1"; } 2>/dev/null || return 1
  [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ] && printf '%s\n' "$pid"
}
stop_process() { # PIDFILE SECONDS: ends the process and its group: politely, then not
  local pid
  if pid=$(process_of "$1"); then
    kill -TERM -- "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null || true
    for ((i = $2 * 10; i > 0; i--)); do
      process_of "$1" >/dev/null || break
      sleep 0.1
    done
    kill -KILL -- "-$pid" 2>/dev/null || true
  fi
  rm -f "$1"
}

# Long steps run in process groups of their own: one signal then ends a step with all its children, and Ctrl-C reaches
# this script alone, which decides what is stopped in which order. Callers put `stop_steps` into their EXIT trap.
declare -A STEPS=() # by pid, those not yet waited for
background() { # COMMAND...: sets STEP to its pid
  set -m
  "$@" </dev/null 9>&- & # 9 is where these scripts hold locks, which must not outlive them
  set +m
  STEP=$!
  STEPS[$STEP]=running
}
await() { # PID: waits, and returns what it returned
  local rc=0
  wait "$1" || rc=$?
  unset "STEPS[$1]"
  return "$rc"
}
step() { # COMMAND...: in the foreground as far as the caller can tell
  background "$@"
  await "$STEP"
}
stop_steps() {
  local pid
  for pid in "${!STEPS[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  for pid in "${!STEPS[@]}"; do await "$pid" 2>/dev/null || true; done
}

# --- the tests' servers (tests/servers) -----------------------------------------------------------------------------

# A script of tests/servers says `server KIND "$@"`, defines `is_up`, `up`, which waits until it answers, and `env_lines`,
# and ends with `serve`. What it says at its top is its usage.
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
server() { # KIND up|down|env [--name X]: a test that stops its server has one of its own, by name
  KIND=$1 NAME=$1 command=${2-}
  shift 2 || usage
  while [ $# -gt 0 ]; do
    case $1 in
      --name) [[ ${2-} =~ ^[a-z0-9-]{1,64}$ ]] || die "--name needs a word of a-z, 0-9 and -"; NAME=$KIND-$2; shift 2 ;;
      *) usage ;;
    esac
  done
  HOME_DIR=$DEV/servers/$NAME
  PIDFILE=$HOME_DIR/$KIND.pid LOG=$HOME_DIR/$KIND.log
}
port() { cat "$HOME_DIR/port" 2>/dev/null; }
stop() { stop_process "$1" 10; } # PIDFILE
clean_up() { :; } # once it has stopped
lock() { # held until this script ends
  mkdir -p "$HOME_DIR"
  exec 9>"$HOME_DIR/lock"
  flock -w 900 9 || die "another $KIND.sh has been working on $NAME for 15 minutes"
}
serve() {
  local pidfile
  case $command in
    up)
      lock
      up
      env_lines
      ;;
    down) # without a name those with names, too
      if [ "$NAME" = "$KIND" ]; then
        for pidfile in "$DEV/servers/$KIND"-*/"${PIDFILE##*/}"; do
          [ ! -f "$pidfile" ] || stop "$pidfile"
        done
      fi
      [ -d "$HOME_DIR" ] || exit 0
      lock
      stop "$PIDFILE"
      clean_up
      ;;
    env)
      is_up || die "$NAME is down"
      env_lines
      ;;
    *) usage ;;
  esac
}
