#!/usr/bin/env bash
# Everything that is checked without running airgate. Goes through all of it, then says what failed.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
scripts/setup.sh lint
PATH=$DEV/cargo/bin:$PATH

failed=()
check() { # NAME COMMAND...
  say "--- $1"
  "${@:2}" || failed+=("$1")
}

docs() { RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --quiet; }

# Advisories come from the network. Their absence is said, not failed: without a network the rest is still worth knowing.
advisories() {
  local output rc=0
  output=$(cargo deny --log-level error check advisories 2>&1) || rc=$?
  if [ $rc -ne 0 ] && grep -q 'failed to fetch advisory database\|failed to load advisory database' <<<"$output"; then
    say "note: security advisories were NOT checked, because their database could not be fetched"
    return 0
  fi
  printf '%s\n' "$output" >&2
  return $rc
}

scripts_are_clean() {
  if ! command -v shellcheck >/dev/null; then
    say "note: the scripts were not checked, because shellcheck is not installed"
    return 0
  fi
  git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck -x
}

check fmt cargo fmt --all --check
check clippy cargo clippy --quiet --all-targets -- -D warnings
check 'clippy without features' cargo clippy --quiet --all-targets --no-default-features -- -D warnings
check docs docs
check deny cargo deny --log-level error check bans licenses sources
check advisories advisories
check shellcheck scripts_are_clean

[ ${#failed[@]} -eq 0 ] || die "lint failed: ${failed[*]}"
say "lint: all good"
