#!/usr/bin/env bash
# Fuzzes what reads foreign bytes and texts: tests/fuzz.sh SECONDS [TARGET...]
#
# Builds each target with coverage on the stable toolchain (needs a C++ compiler for libFuzzer),
# runs it for SECONDS within bounds of memory and time per input, and fails if one of them finds
# something. What was learned is kept beside the build, so that the next run goes on from there.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${1:?usage: tests/fuzz.sh SECONDS [TARGET...]}"
shift
out="${CARGO_TARGET_DIR:-target}/fuzz"
mkdir -p "$out"
out="$(cd "$out" && pwd)"
host="$(rustc -vV | sed -n 's/^host: //p')"

# Target, its folder, longest input in bytes, seeds.
targets=(
  "fuzz_syntax dsl/syntax/fuzz 8192 pipelines/*.gwp dsl/syntax/tests/fixtures/*.gwp"
  "fuzz_frames sinks/journal/fuzz 4096"
  "fuzz_answers drivers/modbus/fuzz 1024"
  "fuzz_s7 drivers/s7/fuzz 1024"
  "fuzz_opcua drivers/opcua/fuzz 4096"
  "fuzz_node runtime/gateway/fuzz 4096 pipelines/*.toml"
)

build() { # folder
  # The very versions that the product is built from.
  cp Cargo.lock "$1/Cargo.lock"
  CARGO_TARGET_DIR="$out" CARGO_INCREMENTAL=0 RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 \
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares" \
    cargo build --quiet --release --target "$host" --manifest-path "$1/Cargo.toml"
}

failed=()
for target in "${targets[@]}"; do
  read -r name folder length seeds <<<"$target"
  if [ "$#" -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  printf '\n== %s: building\n' "$name"
  build "$folder"
  corpus="$out/corpus/$name" findings="$out/findings/$name"
  mkdir -p "$corpus" "$findings"
  for seed in $seeds "$folder"/seeds/*; do
    if [ -f "$seed" ]; then cp "$seed" "$corpus/"; fi
  done
  printf '== %s: %s s\n' "$name" "$seconds"
  log="$findings/log"
  if ! "$out/$host/release/$name" -max_total_time="$seconds" -max_len="$length" -timeout=10 \
    -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$findings/" "$corpus" >"$log" 2>&1; then
    tail -n 40 "$log"
    failed+=("$name")
    continue
  fi
  grep -E 'stat::(number_of_executed_units|peak_rss_mb)' "$log"
  printf '%s inputs cover something of their own\n' "$(find "$corpus" -type f | wc -l)"
done

if [ "${#failed[@]}" -gt 0 ]; then
  printf '\nfindings: %s; run a target with the file under %s to see one again\n' "${failed[*]}" "$out/findings"
  exit 1
fi
printf '\nno findings\n'
