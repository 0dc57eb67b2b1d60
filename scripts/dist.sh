#!/usr/bin/env bash
# Builds airgate as it is fastest, target/dist/airgate: what runs often lies side by side in it.
#
#   scripts/dist.sh            (make dist)
#   scripts/dist.sh bench      measures it, beside a bare Pingora that was made in the same way (make dist-bench)
#
# LLVM's BOLT makes a copy of the program that counts what runs while benches/throughput/train.rs asks it, and lays out
# the code anew by that. It is tried with release 22 (Debian's bolt-22); LLVM_BOLT names one that is not on the PATH.
# Where there is none, airgate is built without, and that is said.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
trap stop_steps EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
what=${1:-airgate}
case $what in airgate | bench) ;; *) die "dist.sh builds airgate, or measures (bench), not '$what'" ;; esac

find_bolt() {
  local tool
  if [ -n "${LLVM_BOLT-}" ]; then
    command -v "$LLVM_BOLT"
    return
  fi
  for tool in llvm-bolt $(compgen -c llvm-bolt- | grep -x 'llvm-bolt-[0-9]*' | sort -rV); do
    if command -v "$tool"; then return; fi
  done
  return 1
}
bolt=$(find_bolt) || {
  [ -z "${LLVM_BOLT-}" ] || die "LLVM_BOLT=$LLVM_BOLT is no command"
  say "note: there is no llvm-bolt (Debian: bolt-22), so the code lies as it comes"
  [ "$what" = airgate ] || exec cargo bench --locked --profile dist --bench throughput
  exec cargo build --locked --profile dist --bin airgate
}
# of the same release
merge=${bolt%llvm-bolt*}merge-fdata${bolt##*llvm-bolt}
command -v "$merge" >/dev/null || die "there is no merge-fdata beside $bolt (${merge##*/})"

# What is built is also run from elsewhere.
target=$(realpath -m "${CARGO_TARGET_DIR:-$ROOT/target}")
folder=$target/bolt/$what
mkdir -p "$folder" "$target/dist"

# BOLT moves code, and needs to know what refers to it. In a folder of its own, since all is compiled with other flags.
compile() { step env CARGO_ENCODED_RUSTFLAGS=-Clink-arg=-Wl,--emit-relocs cargo "$@" --locked --profile dist --target-dir "$target/bolt"; }

# Each process writes down what it has counted when it ends.
counting() { # PROGRAM: a copy of it that counts
  rm -f "$folder/$1".*.fdata
  step "$bolt" "$folder/$1" -instrument -instrumentation-file="$folder/$1" -instrumentation-file-append-pid \
    -o "$folder/$1.counting" >"$folder/$1.log" 2>&1 || { show_tail "$folder/$1.log"; die "BOLT cannot count"; }
}
laid_out() { # PROGRAM: a copy of it, laid out by what was counted
  step "$merge" "$folder/$1".*.fdata -o "$folder/$1.profile" 2>"$folder/$1.log" ||
    { show_tail "$folder/$1.log"; die "$1 has counted nothing"; }
  step "$bolt" "$folder/$1" -data="$folder/$1.profile" -reorder-blocks=ext-tsp -reorder-functions=cdsort \
    -split-functions -split-all-cold -split-eh -icf=safe -o "$folder/$1.laid-out" >"$folder/$1.log" 2>&1 ||
    { show_tail "$folder/$1.log"; die "BOLT cannot lay out $1"; }
}

case $what in
  airgate)
    compile build --bin airgate
    cp "$target/bolt/dist/airgate" "$folder/airgate"
    counting airgate
    # What asks may be slow.
    step env "AIRGATE=$folder/airgate.counting" cargo test --locked --quiet --bench throughput -- train
    laid_out airgate
    # In its place at once, since the one before may run; and a file of its own, for cargo has another link to that.
    mv "$folder/airgate.laid-out" "$target/dist/airgate"
    say "built ${target#"$ROOT/"}/dist/airgate"
    ;;
  bench)
    compile bench --no-run --bench throughput --message-format=json >"$folder/messages"
    bench=$(sed -n 's/.*"executable":"\([^"]*throughput[^"]*\)".*/\1/p' "$folder/messages")
    cp "$target/bolt/dist/airgate" "$folder/airgate"
    cp "$bench" "$folder/throughput"
    counting airgate
    counting throughput
    step env "AIRGATE=$folder/airgate.counting" "$folder/throughput.counting" train
    laid_out airgate
    laid_out throughput
    step env "AIRGATE=$folder/airgate.laid-out" "$folder/throughput.laid-out" --bench
    ;;
esac
