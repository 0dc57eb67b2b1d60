#!/usr/bin/env bash
# OpenLDAP's slapd on loopback, for the tests.
#
#   ldap.sh up|down|env [--name X]
#
# `up` starts it unless it runs, waits until it answers, and prints where it is, as `env` does. `down` ends it; its data
# and ports stay, so that `up` brings the same one back. A test that stops its server has one of its own, by name; `down`
# without a name stops those too.
#
# The tree, below dc=airgate,dc=test. Passwords are NAME-pw where nothing else is said; all of them are fixtures.
#   cn=airgate,ou=services    the account that searches: service-pw
#   ou=people                 alice bob MixedCase   uni (pässwörd✓)   odd names, see below (odd-pw)
#                             twonames and t.names (one entry)   twin (another one is below ou=elsewhere)
#                             nopassword (it has none)   slow (an expensive hash)
#                             locked, expired and reset, as the password policy has it
#   ou=private                hidden: nobody but the account may read it
#   ou=groups                 cn=airflow: alice, uni, MixedCase
#   ou=moved                  a referral to a server that is not there
# Searching takes an account; each user may read itself.
# TLS: certificates of an authority of its own, for localhost and 127.0.0.1; and another authority, that vouched for none.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
PATH=$PATH:/usr/sbin:/sbin

server ldap "$@"
PIDFILE=$HOME_DIR/slapd.pid
LOG=$HOME_DIR/slapd.log
BASE=dc=airgate,dc=test
SERVICE=cn=airgate,ou=services,$BASE
START_TIMEOUT=60 # seconds; one is usual

tls_port() { cat "$HOME_DIR/tls-port" 2>/dev/null; }
is_up() { process_of "$PIDFILE" >/dev/null; }
answers() {
  ldapsearch -x -LLL -o nettimeout=2 -H "ldap://127.0.0.1:$(port)" -D "$SERVICE" -w service-pw -b "$BASE" -s base 1.1 >/dev/null 2>&1
}

make_certificates() {
  [ ! -f "$HOME_DIR/server.crt" ] || return 0
  local authority
  for authority in ca other-ca; do
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=airgate test $authority" \
      -keyout "$HOME_DIR/$authority.key" -out "$HOME_DIR/$authority.crt" 2>/dev/null
  done
  openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$HOME_DIR/server.key" -out "$HOME_DIR/server.csr" 2>/dev/null
  openssl x509 -req -in "$HOME_DIR/server.csr" -CA "$HOME_DIR/ca.crt" -CAkey "$HOME_DIR/ca.key" -CAcreateserial -days 3650 \
    -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n') \
    -out "$HOME_DIR/server.crt.new" 2>/dev/null
  mv "$HOME_DIR/server.crt.new" "$HOME_DIR/server.crt"
}

write_configuration() {
  cat >"$HOME_DIR/slapd.conf" <<CONF
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
moduleload argon2
TLSCACertificateFile $HOME_DIR/ca.crt
TLSCertificateFile $HOME_DIR/server.crt
TLSCertificateKeyFile $HOME_DIR/server.key
# nothing survives a crash, and nothing has to
database mdb
directory $HOME_DIR/db
suffix "$BASE"
rootdn "cn=admin,$BASE"
rootpw admin-pw
dbnosync
index objectClass,uid,member eq
overlay memberof
overlay ppolicy
ppolicy_default "cn=default,ou=policies,$BASE"
ppolicy_use_lockout
access to attrs=userPassword by self =xw by anonymous auth by * none
access to dn.subtree="ou=private,$BASE" by dn.exact="$SERVICE" read by * none
access to * by dn.exact="$SERVICE" read by self read by users search by * none
CONF
}

unit() { printf 'dn: ou=%s,%s\nobjectClass: organizationalUnit\nou: %s\n\n' "$1" "$BASE" "$1"; }
person() { # DN-VALUE UID PASSWORD-HASH [LINE...]
  local name=$1 uid=$2 hash=$3 line
  shift 3
  printf 'dn: uid=%s\nobjectClass: inetOrgPerson\ncn: Person\nsn: Fixture\n' "$name,$BASE"
  printf 'uid:: %s\n' "$(printf %s "$uid" | base64 -w 0)"
  [ -z "$hash" ] || printf 'userPassword: %s\n' "$hash"
  for line in "$@"; do printf '%s\n' "$line"; done
  printf '\n'
}
hash() { slappasswd -s "$1"; }

tree() {
  local user odd
  printf 'dn: %s\nobjectClass: dcObject\nobjectClass: organization\no: airgate\ndc: airgate\n\n' "$BASE"
  for user in people private groups policies services elsewhere; do unit "$user"; done
  printf 'dn: %s\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: airgate\nuserPassword: %s\n\n' \
    "$SERVICE" "$(hash service-pw)"
  printf 'dn: cn=default,ou=policies,%s\nobjectClass: pwdPolicy\nobjectClass: organizationalRole\ncn: default\npwdAttribute: userPassword\npwdLockout: FALSE\npwdMustChange: TRUE\n\n' "$BASE"
  printf 'dn: cn=strict,ou=policies,%s\nobjectClass: pwdPolicy\nobjectClass: organizationalRole\ncn: strict\npwdAttribute: userPassword\npwdLockout: TRUE\npwdMustChange: TRUE\npwdMaxAge: 60\n\n' "$BASE"
  for user in alice bob MixedCase; do person "$user,ou=people" "$user" "$(hash "$user-pw")"; done
  person uni,ou=people uni "$(hash 'pässwörd✓')"
  person twonames,ou=people twonames "$(hash twonames-pw)" 'uid: t.names'
  person twin,ou=people twin "$(hash twin-pw)"
  person twin,ou=elsewhere twin "$(hash twin-pw)"
  person nopassword,ou=people nopassword ''
  person slow,ou=people slow "$(slappasswd -o module-path=/usr/lib/ldap -o module-load='argon2 m=8192 t=8 p=1' -h '{ARGON2}' -s slow-pw)"
  person hidden,ou=private hidden "$(hash hidden-pw)"
  # what stands in names, escaped as a distinguished name wants it
  odd=$(hash odd-pw)
  person 'star*paren(,ou=people' 'star*paren(' "$odd"
  person 'smith\, john,ou=people' 'smith, john' "$odd"
  person 'a\+b,ou=people' 'a+b' "$odd"
  person 'back\\slash,ou=people' 'back\slash' "$odd"
  person '\#hash,ou=people' '#hash' "$odd"
  person 'quo\"te,ou=people' 'quo"te' "$odd"
  person 'ünï,ou=people' 'ünï' "$odd"
  local strict="pwdPolicySubentry: cn=strict,ou=policies,$BASE" now
  now=$(date -u +%Y%m%d%H%M%SZ)
  person locked,ou=people locked "$(hash locked-pw)" "$strict" "pwdAccountLockedTime: 000001010000Z" "pwdChangedTime: $now"
  person expired,ou=people expired "$(hash expired-pw)" "$strict" 'pwdChangedTime: 20200101000000Z'
  person reset,ou=people reset "$(hash reset-pw)" 'pwdReset: TRUE'
  printf 'dn: ou=moved,%s\nobjectClass: referral\nobjectClass: extensibleObject\nou: moved\nref: ldap://127.0.0.1:1/ou=people,%s\n\n' "$BASE" "$BASE"
}
groups() { # through the server, so that the overlay writes memberOf
  printf 'dn: cn=airflow,ou=groups,%s\nobjectClass: groupOfNames\ncn: airflow\n' "$BASE"
  printf "member: uid=%s,ou=people,$BASE\n" alice uni MixedCase
}

make_data() {
  [ ! -f "$HOME_DIR/made" ] || return 0
  rm -rf "$HOME_DIR/db"
  mkdir -p "$HOME_DIR/db"
  tree >"$HOME_DIR/tree.ldif"
  slapadd -q -f "$HOME_DIR/slapd.conf" -l "$HOME_DIR/tree.ldif" >"$LOG" 2>&1 || { show_tail "$LOG"; die "slapadd failed"; }
}

abandon() { stop_process "$PIDFILE" 10; }

start() {
  local began=$SECONDS port tls_port attempt
  trap abandon EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  for attempt in 1 2 3 4 5; do
    port=$(port || true) tls_port=$(tls_port || true)
    while [ -z "$port" ] || port_in_use "$port"; do port=$((20000 + RANDOM % 10000)); done
    while [ -z "$tls_port" ] || [ "$tls_port" = "$port" ] || port_in_use "$tls_port"; do tls_port=$((20000 + RANDOM % 10000)); done
    echo "$port" >"$HOME_DIR/port"
    echo "$tls_port" >"$HOME_DIR/tls-port"
    # a copy, since Ubuntu's AppArmor profile lets the original read Debian's own folders only
    cp -f "$(command -v slapd)" "$HOME_DIR/slapd"
    setsid "$HOME_DIR/slapd" -d 0 -f "$HOME_DIR/slapd.conf" -h "ldap://127.0.0.1:$port ldaps://127.0.0.1:$tls_port" \
      >"$LOG" 2>&1 </dev/null 9>&- &
    remember_process "$PIDFILE" $! || true
    until answers; do
      is_up || break # somebody else took the port, say
      ((SECONDS - began < START_TIMEOUT)) || { show_tail "$LOG"; die "slapd did not answer within $START_TIMEOUT s"; }
      sleep 0.1
    done
    if is_up; then break; fi
    rm -f "$HOME_DIR/port" "$HOME_DIR/tls-port"
    ((attempt < 5)) || { show_tail "$LOG"; die "slapd does not start"; }
  done
  if [ ! -f "$HOME_DIR/made" ]; then
    groups | ldapadd -x -H "ldap://127.0.0.1:$port" -D "cn=admin,$BASE" -w admin-pw >/dev/null
    touch "$HOME_DIR/made"
  fi
  trap - EXIT INT TERM HUP
}

up() {
  if is_up && answers; then return; fi
  for needed in slapd slapadd slappasswd ldapsearch openssl; do
    command -v "$needed" >/dev/null || die "$needed is missing: scripts/setup.sh test installs it"
  done
  stop_process "$PIDFILE" 10
  make_certificates
  write_configuration
  make_data
  start
}

env_lines() {
  printf 'AIRGATE_TEST_LDAP_URL=ldap://127.0.0.1:%s\n' "$(port)"
  printf 'AIRGATE_TEST_LDAP_TLS_URL=ldaps://127.0.0.1:%s\n' "$(tls_port)"
  printf 'AIRGATE_TEST_LDAP_HOME=%s\n' "$HOME_DIR"
}

serve
