#!/usr/bin/env bash
# A real Keycloak on loopback, in development mode, with the realm of tests/servers/keycloak/realm-airflow.json.
#
#   keycloak.sh up|down|env [--name X] [--release R]      (see scripts/servers.sh)
#   keycloak.sh restart [--name X] [--release R]          a new process, with the data and the ports that it had
#   keycloak.sh api METHOD PATH [JSON] [--name X] [--release R] [--realm R]
#
# `api` calls the administration's REST API, PATH below /admin/realms/airflow, and prints the answer. `--release` is
# 26.7.3 unless it is 26.5.6, which answers some requests differently. The first `up` of a release fetches it with Maven
# from Maven Central (170 MB), checks it, and imports the realm once; later ones, of any name, begin with a copy.
# `down` without a name or release stops all of them.
#
# http and https, with a certificate for localhost and 127.0.0.1 of an authority of its own; the issuer is the address
# that was asked, as http://127.0.0.1:PORT/realms/airflow. The realm has what Airflow's provider makes there
# (create-all of 0.11.2: scopes, resources, permissions), in a form that Keycloak imports.
#
# Users (realm role): admin/admin-pw (Admin)  op/op-pw (Op)  user/user-pw (User)  viewer/viewer-pw (Viewer)
#   norole/norole-pw  uni/pässwörd✓ (Viewer)  colon/pa:ss:word (Viewer)  leaver/leaver-pw (Viewer; for log-outs)
#   disabled/disabled-pw (disabled)  action/action-pw (must change the password first)
#   ids 00000000-0000-4000-8000-<12 digits>: 1 admin 2 viewer 3 user 4 op 5 norole 6 uni 7 colon 8 disabled 9 action
#   10 leaver
# Clients (secret NAME-client-secret): airflow (its service account has Admin)  ci (Viewer; aud airflow)
#   ci-noaud (Viewer; no aud)  partner (Viewer; aud airflow)  cli (public; aud airflow)
# Realm master: kcadmin/kcadmin-pw. Every password and key is a fixture, good for nothing else.
#
# Calls of `api`
#   POST /users/ID/logout                   ends all sessions of a user; DELETE /sessions/SID ends one
#   PUT /users/ID '{"enabled":false}'
#   POST /components '{"name":"rotated","providerId":"rsa-generated","providerType":"org.keycloak.keys.KeyProvider",
#     "config":{"priority":["200"],"enabled":["true"],"active":["true"]}}'    a new key, which signs from now on
#   GET '/components?type=org.keycloak.keys.KeyProvider'    lists the keys; DELETE /components/ID takes one away
# What changes more than one user or client belongs into a realm of one's own, which `POST '' JSON --realm ''` makes,
# and tests/it/support/keycloak.rs.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

declare -A SHA256=(
  [26.7.3]=77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47
  [26.5.6]=fa3dd5df90b9ac006712c2f0991be4e8a6cb30ac538e0439ce2f45fc40f4c692
)
REALM_FILE=$ROOT/tests/servers/keycloak/realm-airflow.json
START_TIMEOUT=${AIRGATE_KEYCLOAK_START_TIMEOUT:-300} # seconds; ten are usual, but a compiler may have the cores

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }

command=${1-}
shift || usage
RELEASE=26.7.3 REALM=airflow LABEL='' ALL=yes ARGUMENTS=()
while [ $# -gt 0 ]; do
  case $1 in
    --name) [[ ${2-} =~ ^[a-z0-9-]{1,64}$ ]] || die "--name needs a word of a-z, 0-9 and -"; LABEL=-$2 ALL=no; shift 2 ;;
    --release) [ -n "${SHA256[${2-}]-}" ] || die "--release is one of: ${!SHA256[*]}"; RELEASE=$2 ALL=no; shift 2 ;;
    --realm) [ $# -ge 2 ] || die "--realm needs a name"; REALM=$2; shift 2 ;;
    *) ARGUMENTS+=("$1"); shift ;;
  esac
done
NAME=keycloak$LABEL
[ "$RELEASE" = 26.7.3 ] || NAME=$NAME-$RELEASE

SERVER=$DEV/servers/$NAME
PIDFILE=$SERVER/keycloak.pid
LOG=$SERVER/keycloak.log
HOME_=$SERVER/home # a whole installation, hard-linked, with data of its own
TLS=$SERVER/tls
MOULD=$DEV/keycloak/$RELEASE # the installation that they are copies of

lock() { # FILE: held until this script ends
  mkdir -p "$(dirname "$1")"
  exec 9>"$1"
  flock -w 900 9 || die "another keycloak.sh has been working on $NAME for 15 minutes"
}
port() { cat "$SERVER/port" 2>/dev/null; }
tls_port() { cat "$SERVER/tls-port" 2>/dev/null; }
url() { printf 'http://127.0.0.1:%s' "$(port)"; }
answers() { curl -fsS --noproxy '*' --max-time 5 -o /dev/null "$(url)/realms/airflow" 2>/dev/null; }
is_up() { process_of "$PIDFILE" >/dev/null && [ -f "$SERVER/ready" ]; }

# --- the installation ------------------------------------------------------------------------------------------------

fetch() { # prints the archive's name
  local folder=$DEV/keycloak/fetched archive
  archive=$folder/keycloak-quarkus-dist-$RELEASE.tar.gz
  mkdir -p "$folder"
  if [ ! -f "$archive" ]; then
    command -v mvn >/dev/null || die "mvn is missing, which fetches Keycloak: scripts/setup.sh test installs it"
    say "$NAME: fetching Keycloak $RELEASE"
    mvn -q -B -ntp "-Dmaven.repo.local=$folder/m2" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
      "-Dartifact=org.keycloak:keycloak-quarkus-dist:$RELEASE:tar.gz" "-DoutputDirectory=$folder/new-$RELEASE" \
      >"$folder/mvn.log" 2>&1 </dev/null || { show_tail "$folder/mvn.log"; die "Maven could not fetch Keycloak $RELEASE"; }
    mv "$folder/new-$RELEASE"/*.tar.gz "$archive"
    rm -rf "$folder/m2" "$folder/new-$RELEASE"
  fi
  if ! echo "${SHA256[$RELEASE]}  $archive" | sha256sum --check --status; then
    rm -f "$archive"
    die "what was fetched is not the Keycloak $RELEASE that these tests were written for (SHA-256)"
  fi
  printf '%s\n' "$archive"
}

stamp() { { echo "$RELEASE"; cat "$REALM_FILE"; } | sha256sum; }

make_mould() { # waits for others who make it
  local archive
  mkdir -p "$DEV/keycloak"
  exec 8>"$DEV/keycloak/lock"
  flock -w 900 8 || die "another keycloak.sh has been installing Keycloak for 15 minutes"
  if [ "$(cat "$MOULD/complete" 2>/dev/null)" != "$(stamp)" ]; then
    archive=$(fetch)
    say "$NAME: importing the realm"
    rm -rf "$MOULD"
    mkdir -p "$MOULD"
    tar xzf "$archive" -C "$MOULD" --strip-components=1
    mkdir -p "$MOULD/data/import"
    cp "$REALM_FILE" "$MOULD/data/import/airflow-realm.json"
    certificates "$MOULD/tls"
    PIDFILE=$MOULD/keycloak.pid LOG=$MOULD/keycloak.log HOME_=$MOULD TLS=$MOULD/tls SERVER=$MOULD start --import-realm
    stop_process "$MOULD/keycloak.pid" 20
    rm -rf "$MOULD/data/import" "$MOULD/ready"
    stamp >"$MOULD/complete"
    rm -f "$archive"
  fi
  exec 8>&-
}

# The program by hard links, which take no space; the data by copying. It writes into its program only when it is
# rebuilt, which same options never do.
copy_mould() {
  [ "$(cat "$SERVER/complete" 2>/dev/null)" != "$(stamp)" ] || return 0
  rm -rf "$HOME_" "$SERVER/complete"
  mkdir -p "$HOME_"
  cp -al "$MOULD/bin" "$MOULD/conf" "$MOULD/lib" "$MOULD/providers" "$MOULD/themes" "$MOULD/version.txt" "$HOME_/"
  cp -a "$MOULD/data" "$HOME_/"
  rm -rf "$TLS"
  cp -a "$MOULD/tls" "$TLS"
  stamp >"$SERVER/complete"
}

certificates() { # FOLDER
  mkdir -p "$1"
  local authority
  for authority in ca other-ca; do # the other vouched for none
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=airgate test Keycloak $authority" \
      -keyout "$1/$authority.key" -out "$1/$authority.pem" 2>/dev/null
  done
  openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$1/server.key" -out "$1/server.csr" 2>/dev/null
  openssl x509 -req -in "$1/server.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -CAcreateserial -days 3650 \
    -extfile <(printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n') -out "$1/server.pem" 2>/dev/null
}

# --- the process -----------------------------------------------------------------------------------------------------

abandon() {
  [ -z "${!-}" ] || remember_process "$PIDFILE" $! || true
  stop_process "$PIDFILE" 10
}

choose_ports() { # those of the last time where they are free: who has its issuer then finds it again
  local file
  for file in port tls-port; do
    if [ ! -s "$SERVER/$file" ] || port_in_use "$(cat "$SERVER/$file")"; then free_port >"$SERVER/$file"; fi
  done
}

start() { # [MORE ARGUMENTS]
  local began=$SECONDS
  command -v java >/dev/null || die "java is missing, which runs Keycloak: scripts/setup.sh test installs it"
  choose_ports
  rm -f "$SERVER/ready"
  trap abandon EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  # the small collector and the quick compiler: it is ready in half the time, and takes half the memory
  JAVA_OPTS="-Xms64m -Xmx320m -XX:MaxMetaspaceSize=256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Dfile.encoding=UTF-8 -XX:+ExitOnOutOfMemoryError -Djava.net.preferIPv4Stack=true" \
    KC_BOOTSTRAP_ADMIN_USERNAME=kcadmin KC_BOOTSTRAP_ADMIN_PASSWORD=kcadmin-pw \
    setsid "$HOME_/bin/kc.sh" start-dev --http-host 127.0.0.1 --http-port "$(port)" --https-port "$(tls_port)" \
    --https-certificate-file "$TLS/server.pem" --https-certificate-key-file "$TLS/server.key" \
    --health-enabled=true --http-management-health-enabled=false "$@" >"$LOG" 2>&1 </dev/null 8>&- 9>&- &
  remember_process "$PIDFILE" $!
  until answers; do
    process_of "$PIDFILE" >/dev/null || { show_tail "$LOG"; die "Keycloak ($NAME) ended before it was ready"; }
    ((SECONDS - began < START_TIMEOUT)) || { show_tail "$LOG"; die "Keycloak ($NAME) was not ready after $START_TIMEOUT s"; }
    sleep 0.1
  done
  # not another program that took the port in the meantime
  process_of "$PIDFILE" >/dev/null || { show_tail "$LOG"; die "Keycloak ($NAME) ended, and something else answers on port $(port)"; }
  touch "$SERVER/ready"
  trap - EXIT INT TERM HUP
}

stop() { # PIDFILE
  stop_process "$1" 20
  rm -f "$(dirname "$1")/ready"
}

up() {
  local needed
  if is_up && answers && [ "$(cat "$SERVER/complete" 2>/dev/null)" = "$(stamp)" ]; then return; fi
  for needed in java curl openssl; do
    command -v "$needed" >/dev/null || die "$needed is missing: scripts/setup.sh test installs it"
  done
  stop "$PIDFILE"
  make_mould
  copy_mould
  say "$NAME: starting Keycloak $RELEASE"
  start
}

env_lines() {
  local prefix=AIRGATE_TEST_KEYCLOAK
  [ "$RELEASE" = 26.7.3 ] || { prefix=${prefix}_${RELEASE%.*}; prefix=${prefix//./_}; }
  cat <<ENV
$prefix=$(url)
${prefix}_TLS=https://localhost:$(tls_port)
${prefix}_CA=$TLS/ca.pem
ENV
}

call() { curl -sS --noproxy '*' --max-time 60 --fail-with-body "$@"; }

api() { # METHOD PATH [JSON]
  local token
  [ $# -ge 2 ] || usage
  token=$(call "$(url)/realms/master/protocol/openid-connect/token" -d grant_type=password -d client_id=admin-cli \
    -d username=kcadmin -d password=kcadmin-pw | sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p')
  call -X "$1" "$(url)/admin/realms${REALM:+/$REALM}$2" -H "Authorization: Bearer $token" \
    -H 'Content-Type: application/json' ${3:+--data-binary "$3"}
}

[ "$command" = api ] || [ ${#ARGUMENTS[@]} -eq 0 ] || usage
case $command in
  up | restart)
    lock "$SERVER/lock"
    [ "$command" = up ] || stop "$PIDFILE"
    up
    env_lines
    ;;
  down)
    if [ "$ALL" = yes ]; then
      for pidfile in "$DEV"/servers/keycloak-*/keycloak.pid; do
        [ ! -f "$pidfile" ] || stop "$pidfile"
      done
    fi
    [ -d "$SERVER" ] || exit 0
    lock "$SERVER/lock"
    stop "$PIDFILE"
    ;;
  env)
    is_up || die "$NAME is down"
    env_lines
    ;;
  api)
    is_up || die "$NAME is down"
    api "${ARGUMENTS[@]}"
    ;;
  *) usage ;;
esac
