#!/usr/bin/env bash
# Searches for inputs that break the properties of tests/it/properties, with libFuzzer.
#
#   scripts/fuzz.sh [TARGET...]      (make fuzz ARGS='target limit' FUZZ_SECONDS=600; default: all, 30 s each)
#
# An input that breaks one is kept in fuzz/artifacts/TARGET, and printed with the command that runs it again; what the
# search learns is kept in fuzz/corpus/TARGET. Git ignores both. Goes through all targets, then says what failed.
# What is searched has no unsafe code, so there is no sanitizer and no need of a nightly compiler; FUZZ_SANITIZER=address uses
# both, for the C in what airgate depends on.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

FUZZ_SECONDS=${FUZZ_SECONDS:-30}
FUZZ_SANITIZER=${FUZZ_SANITIZER:-none}

cd "$ROOT"
scripts/setup.sh fuzz
PATH=$DEV/cargo/bin:$PATH

cargo=(cargo)
if [ "$FUZZ_SANITIZER" != none ]; then
  cargo=(cargo +nightly)
  "${cargo[@]}" --version >/dev/null 2>&1 ||
    die "a sanitizer needs a nightly compiler. With rustup: rustup toolchain install nightly --profile minimal"
fi

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <("${cargo[@]}" fuzz list)

options=(--sanitizer "$FUZZ_SANITIZER")
for target in "${targets[@]}"; do "${cargo[@]}" fuzz build "${options[@]}" "$target"; done

failed=()
for target in "${targets[@]}"; do
  say "--- $target, $FUZZ_SECONDS s"
  mkdir -p "fuzz/corpus/$target"
  "${cargo[@]}" fuzz run "${options[@]}" "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$FUZZ_SECONDS" -max_len=8192 -timeout=10 -print_final_stats=1 -verbosity=0 || failed+=("$target")
done

[ ${#failed[@]} -eq 0 ] || die "broken: ${failed[*]}. What breaks them is in fuzz/artifacts"
say "fuzz: nothing found"
