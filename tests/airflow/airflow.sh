#!/usr/bin/env bash
# Real Airflow servers on loopback, 3.3 and 2.11, for the tests and for `make run`.
#
#   airflow.sh up INSTANCE [--port N] [AIRFLOW__SECTION__KEY=VALUE ...] [KRB5...=VALUE ...]
#                              starts it unless it runs already just so; in any case its data is as freshly made
#   airflow.sh restart INSTANCE [...]    the same, but with a new process on the port it had
#   airflow.sh reset INSTANCE  puts the data back, and leaves the process alone: milliseconds
#   airflow.sh down [INSTANCE] ends it (or all of them), and no process that this script did not start
#   airflow.sh url INSTANCE    exit code 1 when it is down
#   airflow.sh home INSTANCE   its AIRFLOW_HOME: airflow.cfg, airflow.db, keys, logs
#   airflow.sh status
#
# `up` and `restart` print the URL as their last line, on stdout; everything else goes to stderr. Calls for one instance
# wait for each other. The last arguments override its configuration until the next `up` without them.
#
# Instances
#   simple        the simple auth manager, as it was when tests/goldens/af3-simple.jsonl was recorded.
#                 admin/admin-pw  op/op-pw  user/user-pw  viewer/viewer-pw  uni/pässwörd✓
#   simple-rs256  the same, but it signs with an RSA key of its own: jwt-rsa.pem and jwt-rsa.pub.pem in its home
#   fab           FAB's auth manager, as for tests/goldens/af3-fab.jsonl, with these user ids:
#                 1 admin/admin-pw (Admin)  2 viewer/viewer-pw (Viewer)  3 user/user-pw (User)
#                 4 inactive/inactive-pw (Viewer, deactivated)  5 colon/pa:ss:word (Viewer)
#                 6 uni/pässwörd✓ (Viewer)  7 norole/norole-pw (Public)
#   keycloak      Keycloak's auth manager, as for tests/goldens/af3-keycloak.jsonl; starts Keycloak too
#                 (tests/servers/keycloak.sh, which lists its users and clients)
#   keycloak-older   the same with Keycloak 26.5.6
#   v1            fab, with what a scheduler has run: the data of tests/goldens/af2-v1.jsonl (see prepare_v1.py)
#   v1-options    the same, but the configuration is shown, connections are tried, XComs are deserialised, and the
#                 limits are the usual ones, 100 and 50
#   simple-NAME   one more like `simple`, for a test that has it set up otherwise; NAME is a word of a to z and -
#   demo          what `make run` shows: admin/admin and viewer/viewer, and no signing key that anyone else knows
#   af2           Airflow 2.11 with FAB, basic_auth and session, as for tests/goldens/af2.jsonl. FAB's users, and
#                 alice@AIRGATE.TEST/alice-pw (Viewer). Who has not logged in has the role Public, as Airflow ships
#   af2-v1        af2 with what a scheduler has run: where tests/goldens/af2-v1.jsonl was recorded (see prepare_v1_af2.py)
#   af2-no-public the same as af2, but who has not logged in has no role (AUTH_ROLE_PUBLIC = None)
#   af2-NAME      one more like `af2-no-public`, as simple-NAME is like `simple`
# All but demo and v1-options have the limits 5 and 3, 8 DAGs, 9 pools, 8 variables, 8 runs of fx_dag_01 and 16 task instances.
# Every password and key in here is a fixture, good for nothing else.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

HERE=$ROOT/tests/airflow
INSTANCES=(simple simple-rs256 fab keycloak keycloak-older v1 v1-options demo af2 af2-no-public af2-v1)
JWT_SECRET=airgate-fixture-jwt-secret-0123456789abcdef0123456789abcdef0123456789
START_TIMEOUT=${AIRGATE_AIRFLOW_START_TIMEOUT:-300} # seconds; ten are usual, but a compiler may have the cores

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }

# --- one instance: where its things are -----------------------------------------------------------------------------

select_instance() {
  case $1 in
    simple)        KIND=simple PREFERRED_PORT=18181 ;;
    simple-rs256)  KIND=simple PREFERRED_PORT=18182 ;;
    fab)           KIND=fab    PREFERRED_PORT=18183 ;;
    af2)           KIND=af2    PREFERRED_PORT=18184 ;;
    af2-no-public) KIND=af2    PREFERRED_PORT=18185 ;;
    keycloak)      KIND=simple PREFERRED_PORT=18186 ;; # keeps nothing of its own in the database
    keycloak-older) KIND=simple PREFERRED_PORT=18190 ;;
    v1)            KIND=v1     PREFERRED_PORT=18187 ;;
    v1-options)    KIND=v1     PREFERRED_PORT=18188 ;;
    af2-v1)        KIND=af2-v1 PREFERRED_PORT=18191 ;;
    demo)          KIND=demo   PREFERRED_PORT=18080 ;;
    # Several may start together, and all would find the same port free.
    simple-[a-z]*) KIND=simple PREFERRED_PORT= ;;
    af2-[a-z]*)    KIND=af2    PREFERRED_PORT= ;;
    *) die "no such instance: '$1' (there are: ${INSTANCES[*]})" ;;
  esac
  INSTANCE=$1
  case $KIND in
    af2*) RELEASE=af2 VERSION_ROUTE=/api/v1/version SERVER=(webserver --hostname) ;;
    *)    RELEASE=af3 VERSION_ROUTE=/api/v2/version SERVER=(api-server --host) ;;
  esac
  AIRFLOW_HOME=$DEV/airflow/$INSTANCE
  PIDFILE=$AIRFLOW_HOME/api-server.pid
  LOG=$AIRFLOW_HOME/api-server.log
  RUNNING_AS=$AIRFLOW_HOME/running-as # the settings that the running process was started with
  # instances of one kind begin with one database
  MOULD=$DEV/airflow/mould-$KIND
  SEEDED=$MOULD/seeded.db
  mkdir -p "$AIRFLOW_HOME" "$MOULD"
}

lock() { # NAME: held until this script ends
  exec 9>"$DEV/airflow/$1.lock"
  flock -w 900 9 || die "another airflow.sh has been working on $1 for 15 minutes"
}

port() { cat "$AIRFLOW_HOME/port" 2>/dev/null; }
url() { printf 'http://127.0.0.1:%s\n' "$(port)"; }
# a proxy of the user's must not see calls to loopback
answers() { curl -fsS --noproxy '*' --max-time 5 -o /dev/null "$(url)$VERSION_ROUTE" 2>/dev/null; }
ENVIRONMENT=(PYTHONUNBUFFERED=1 PYTHONUTF8=1) # the log is whole when the process dies, and passwords are UTF-8 anywhere

# --- configuration --------------------------------------------------------------------------------------------------

own_secret() { # HOME: made up once, as Airflow does when it writes its first configuration, and told to nobody
  [ -s "$1/secret" ] || (umask 077; head -c 48 /dev/urandom | base64 -w 0 >"$1/secret")
  cat "$1/secret"
}

airflow_cfg() { # INSTANCE HOME
  case $1 in
    af2*) airflow2_cfg "$2" ;;
    *) airflow3_cfg "$1" "$2" ;;
  esac
}

airflow2_cfg() { # HOME
  local backends=airflow.providers.fab.auth_manager.api.auth.backend
  cat <<CFG
[core]
dags_folder = $MOULD/dags
load_examples = False
executor = SequentialExecutor
auth_manager = airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager
fernet_key =
[database]
sql_alchemy_conn = sqlite:///$1/airflow.db
[logging]
base_log_folder = $1/logs
[usage_data_collection]
enabled = False
[api]
auth_backends = $backends.basic_auth,airflow.api.auth.backend.session
enable_experimental_api = True
maximum_page_limit = 5
fallback_page_limit = 3
access_control_allow_origins = https://ui.example.com https://grafana.example.com
access_control_allow_methods = GET,POST,OPTIONS
access_control_allow_headers = authorization,content-type
[webserver]
workers = 1
secret_key = airgate-fixture-webserver-secret
config_file = $1/webserver_config.py
CFG
}

airflow3_cfg() { # INSTANCE HOME
  local maximum=5 fallback=3
  [ "$1" != v1-options ] || maximum=100 fallback=50
  local auth_manager=airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager
  [[ $1 != keycloak* ]] || auth_manager=airflow.providers.keycloak.auth_manager.keycloak_auth_manager.KeycloakAuthManager
  [[ $1 != fab && $1 != v1* ]] || auth_manager=airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager
  cat <<CFG
[core]
dags_folder = $MOULD/dags
load_examples = False
fernet_key =
auth_manager = $auth_manager
CFG
  case $1 in
    v1-options) echo 'test_connection = Enabled' ;;
    simple*) cat <<CFG ;;
simple_auth_manager_users = admin:admin,op:op,user:user,viewer:viewer,uni:viewer
simple_auth_manager_passwords_file = $2/passwords.json
CFG
    demo) cat <<CFG ;;
simple_auth_manager_users = admin:admin,viewer:viewer
simple_auth_manager_passwords_file = $2/passwords.json
CFG
  esac
  cat <<CFG
[database]
sql_alchemy_conn = sqlite:///$2/airflow.db
[logging]
base_log_folder = $2/logs
[usage_data_collection]
enabled = False
[api]
workers = 1
CFG
  if [ "$1" = demo ]; then
    cat <<CFG
secret_key = $(own_secret "$2")
[api_auth]
jwt_secret = $(own_secret "$2")
CFG
    return
  fi
  cat <<CFG
secret_key = airgate-fixture-api-secret
maximum_page_limit = $maximum
fallback_page_limit = $fallback
access_control_allow_origins = https://ui.example.com,https://grafana.example.com
access_control_allow_methods = GET,POST,OPTIONS
access_control_allow_headers = authorization,content-type
CFG
  [ "$1" != v1-options ] || cat <<CFG
expose_config = non-sensitive-only
enable_xcom_deserialize_support = True
CFG
  [[ $1 != fab && $1 != v1* ]] || cat <<CFG
# ignored by Airflow 3 (kept to prove it)
auth_backends = airflow.providers.fab.auth_manager.api.auth.backend.basic_auth
[fab]
config_file = $2/webserver_config.py
auth_backends = airflow.providers.fab.auth_manager.api.auth.backend.basic_auth,airflow.providers.fab.auth_manager.api.auth.backend.session
CFG
  [[ $1 != v1* ]] || cat <<CFG
[scheduler]
# as in Airflow 2
create_cron_data_intervals = True
create_delta_data_intervals = True
CFG
  cat <<CFG
[api_auth]
jwt_expiration_time = 3600
jwt_cli_expiration_time = 600
CFG
  [[ $1 != keycloak* ]] || cat <<CFG
jwt_secret = $JWT_SECRET
[keycloak_auth_manager]
server_url = $KEYCLOAK_URL
realm = airflow
client_id = airflow
client_secret = airflow-client-secret
jwt_federated_client_ids = ci, ci-noaud
CFG
  case $1 in
    keycloak*) ;;
    simple-rs256) echo "jwt_private_key_path = $2/jwt-rsa.pem" ;;
    *) echo "jwt_secret = $JWT_SECRET" ;;
  esac
}

write_configuration() { # INSTANCE HOME
  airflow_cfg "$1" "$2" >"$2/airflow.cfg"
  case $1 in
    simple*) echo '{"admin": "admin-pw", "op": "op-pw", "user": "user-pw", "viewer": "viewer-pw", "uni": "pässwörd✓"}' >"$2/passwords.json" ;;
    demo) echo '{"admin": "admin", "viewer": "viewer"}' >"$2/passwords.json" ;;
    fab | v1* | af2*) printf '%s\n' 'from flask_appbuilder.const import AUTH_DB' '' 'AUTH_TYPE = AUTH_DB' 'WTF_CSRF_ENABLED = True' >"$2/webserver_config.py" ;;
  esac
  # unless it is there FAB sets it to "Public"
  [[ $1 != af2-* || $1 = af2-v1 ]] || echo 'AUTH_ROLE_PUBLIC = None' >>"$2/webserver_config.py"
  [ "$1" != simple-rs256 ] || [ -f "$2/jwt-rsa.pub.pem" ] || "$PYTHON" - "$2/jwt-rsa" <<'PY'
import sys

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
with open(sys.argv[1] + ".pem", "wb") as private:
    private.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
with open(sys.argv[1] + ".pub.pem", "wb") as public:
    public.write(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
PY
}

# --- data -----------------------------------------------------------------------------------------------------------

prepare_database() { # makes $SEEDED, once for all instances of a kind and for as long as nothing that it is made from changes
  local key made_from=("$HERE"/prepare.py "$HERE"/dags/*) program=("$HERE/prepare.py" "$KIND" "$SEEDED")
  case $KIND in
    *v1) made_from+=("$HERE"/prepare_v1.py "$HERE"/v1/*) program=("$HERE/prepare_v1.py" "$SEEDED") ;;&
    af2-v1) made_from+=("$HERE/prepare_v1_af2.py") program=("$HERE/prepare_v1_af2.py" "$SEEDED") ;;
  esac
  key=$({ airflow_cfg "$KIND" "$MOULD"; cat "${made_from[@]}" "$HERE/requirements-$RELEASE.lock.txt"; } | sha256sum)
  exec 8>"$MOULD.lock"
  flock -w 900 8 || die "another airflow.sh has been preparing a database for 15 minutes"
  if [ ! -f "$SEEDED" ] || [ "$(cat "$MOULD/key" 2>/dev/null)" != "$key" ]; then
    say "$INSTANCE: preparing the database"
    rm -f "$MOULD/key"
    write_configuration "$KIND" "$MOULD"
    env "${ENVIRONMENT[@]}" AIRFLOW_HOME="$MOULD" "$PYTHON" "${program[@]}" >"$MOULD/prepare.log" 2>&1 </dev/null 8>&- 9>&- || {
      show_tail "$MOULD/prepare.log"
      die "could not prepare the database for $INSTANCE"
    }
    printf '%s\n' "$key" >"$MOULD/key"
  fi
  exec 8>&-
}

# Into the open database as one transaction, so a running Airflow sees all of it or nothing.
restore_data() {
  "$PYTHON" - "$SEEDED" "$AIRFLOW_HOME/airflow.db" <<'PY'
import sqlite3
import sys

source, target = (sqlite3.connect(path, timeout=60) for path in sys.argv[1:])
source.backup(target)
PY
}

# --- process --------------------------------------------------------------------------------------------------------

choose_port() { # [PORT]: the one asked for, or the last one, or the preferred one; where none is preferred, a random one
  if [ -n "${1-}" ]; then
    ! port_in_use "$1" || die "port $1 is in use by another program; choose another for $INSTANCE (--port N), or leave it to this script"
    echo "$1"
    return
  fi
  local candidate
  for candidate in ${PREFERRED_PORT:+$(port || true)} $PREFERRED_PORT; do
    port_in_use "$candidate" || { echo "$candidate"; return; }
  done
  free_port
}

abandon() {
  [ -z "${!-}" ] || remember_process "$PIDFILE" $! || true
  stop_process "$PIDFILE" 10
}

start() { # [PORT]
  local chosen began=$SECONDS
  chosen=$(choose_port "${1-}")
  echo "$chosen" >"$AIRFLOW_HOME/port"
  rm -f "$RUNNING_AS" "$AIRFLOW_HOME"/airflow.db* "$AIRFLOW_HOME/airflow-webserver.pid"
  write_configuration "$INSTANCE" "$AIRFLOW_HOME"
  restore_data
  if [[ $KIND == *v1 ]]; then # the logs of tasks; only these have run any
    rm -rf "$AIRFLOW_HOME"/logs/dag_id=*
    mkdir -p "$AIRFLOW_HOME/logs"
    cp -R "$MOULD"/logs/dag_id=* "$AIRFLOW_HOME/logs"
  fi
  say "$INSTANCE: starting Airflow on port $chosen"
  # whatever ends this script before the server answers ends the server too
  trap abandon EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  # setsid: a process group of its own, which Ctrl-C in this terminal does not reach. No descriptor of a lock may stay
  # open in it, or the lock would be held for as long as the server lives.
  env "${ENVIRONMENT[@]}" AIRFLOW_HOME="$AIRFLOW_HOME" "${OVERRIDES[@]}" \
    setsid "$PYTHON" -m airflow "${SERVER[@]}" 127.0.0.1 --port "$chosen" --workers 1 >"$LOG" 2>&1 </dev/null 9>&- &
  remember_process "$PIDFILE" $!
  until answers; do
    process_of "$PIDFILE" >/dev/null || { show_tail "$LOG"; die "Airflow ($INSTANCE) ended before it was ready"; }
    ((SECONDS - began < START_TIMEOUT)) || { show_tail "$LOG"; die "Airflow ($INSTANCE) was not ready after $START_TIMEOUT s"; }
    sleep 0.2
  done
  # not another program that took the port in the meantime
  process_of "$PIDFILE" >/dev/null || { show_tail "$LOG"; die "Airflow ($INSTANCE) ended, and something else answers on port $chosen"; }
  restore_data # without what the start itself left in the event log
  settings >"$RUNNING_AS"
  trap - EXIT INT TERM HUP
  say "$INSTANCE: ready after $((SECONDS - began)) s"
}

settings() { airflow_cfg "$INSTANCE" "$AIRFLOW_HOME"; cat "$MOULD/key"; printf '%s\n' "${OVERRIDES[@]}"; }
is_as_wanted() { # [PORT]
  process_of "$PIDFILE" >/dev/null && answers && { [ -z "${1-}" ] || [ "$1" = "$(port)" ]; } &&
    [ "$(cat "$RUNNING_AS" 2>/dev/null)" = "$(settings)" ]
}

# --- commands -------------------------------------------------------------------------------------------------------

read_options() { # sets PORT and OVERRIDES
  PORT='' OVERRIDES=()
  while [ $# -gt 0 ]; do
    case $1 in
      --port) is_port "${2-}" || die "--port needs a number from 1 to 65535"; PORT=$2; shift 2 ;;
      AIRFLOW__*__*=* | KRB5*=*) OVERRIDES+=("$1"); shift ;;
      *) die "what is '$1'? Expected --port N, AIRFLOW__SECTION__KEY=VALUE or KRB5...=VALUE" ;;
    esac
  done
}

up() {
  PYTHON=$("$HERE/venv.sh" "$RELEASE")
  if [[ $INSTANCE = keycloak* ]]; then
    local release=26.7.3
    [ "$INSTANCE" = keycloak ] || release=26.5.6
    KEYCLOAK_URL=$("$ROOT/tests/servers/keycloak.sh" up --release "$release" | sed -n 's/^AIRGATE_TEST_KEYCLOAK[0-9_]*=//p')
    [ -n "$KEYCLOAK_URL" ] || die "without Keycloak there is no Airflow ($INSTANCE)"
  fi
  prepare_database
  if is_as_wanted "$PORT"; then
    restore_data
  else
    stop_process "$PIDFILE" 10
    start "$PORT"
  fi
  url
}

down() {
  [ -f "$PIDFILE" ] || return 0
  lock "$INSTANCE"
  stop_process "$PIDFILE" 10
  rm -f "$RUNNING_AS"
}

others() { # those of no list
  find "$DEV/airflow" -maxdepth 1 -type d \( -name 'simple-[a-z]*' -o -name 'af2-[a-z]*' \) ! -name simple-rs256 \
    ! -name af2-v1 ! -name af2-no-public -printf '%f\n'
}

is_up() { process_of "$PIDFILE" >/dev/null && [ -f "$RUNNING_AS" ]; }

command=${1-}
shift || usage
mkdir -p "$DEV/airflow"
case $command in
  up | restart)
    select_instance "${1-}"; shift
    read_options "$@"
    lock "$INSTANCE"
    if [ "$command" = restart ]; then
      [ -n "$PORT" ] || ! is_up || PORT=$(port)
      stop_process "$PIDFILE" 10
    fi
    up
    ;;
  reset)
    select_instance "${1-}"
    lock "$INSTANCE"
    is_up || die "$INSTANCE is down; 'up' starts it with fresh data"
    PYTHON=$("$HERE/venv.sh" "$RELEASE")
    restore_data
    ;;
  down)
    [ $# -gt 0 ] || mapfile -t INSTANCES < <(printf '%s\n' "${INSTANCES[@]}"; others)
    for instance in "${@:-${INSTANCES[@]}}"; do select_instance "$instance"; down & done
    wait
    ;;
  url) select_instance "${1-}"; is_up || die "$INSTANCE is down"; url ;;
  home) select_instance "${1-}"; printf '%s\n' "$AIRFLOW_HOME" ;;
  status)
    for instance in "${INSTANCES[@]}"; do
      select_instance "$instance"
      if is_up; then printf '%-13s up    %s  pid %s\n' "$instance" "$(url)" "$(process_of "$PIDFILE")"
      else printf '%-13s down\n' "$instance"
      fi
    done
    ;;
  *) usage ;;
esac
