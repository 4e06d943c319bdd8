#!/usr/bin/env bash
# Breaks one rule of the pair at a time and has the models and the simulation find it. Fails when
# one is not found.
#
#   tests/mutants.sh            all of them
#   tests/mutants.sh NAME...    these
#
# `--cfg mutants` is a switch of the build, in runtime/redundancy alone; no product is ever built
# with it. The rule that is broken is named in the environment, so one build serves all.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=0
unset GWP_MUTANT GWP_LONG_MODELS GWP_SEED GWP_SEEDS

built=$(cargo rustc --quiet --locked -p gwp-redundancy --lib --profile test --message-format=json -- --cfg mutants |
  sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -x "$built" ] || { echo "the tests of runtime/redundancy were not built" >&2; exit 1; }
# Not left among what other builds find.
binary=$(mktemp)
trap 'rm -f "$binary"' EXIT
mv "$built" "$binary"
chmod +x "$binary"

# mutant NAME RUN PROPERTY short|long, or: mutant NAME simulation - short
listed=$("$binary" mutants_are_listed --nocapture | sed -n 's/^.*mutant \([a-z_]* [^ ]* [^ ]* [a-z]*\)$/\1/p')
names=$(cut -d' ' -f1 <<<"$listed" | sort -u)
[ -n "$names" ] || { echo "no mutants are listed" >&2; exit 1; }
wanted=("$@")
[ "${#wanted[@]}" -gt 0 ] || mapfile -t wanted <<<"$names"

for name in "${wanted[@]}"; do
  grep -q "^$name " <<<"$listed" || { echo "there is no mutant $name; there are:" $names >&2; exit 2; }
done

survived=()
for name in "${wanted[@]}"; do
  rows=$(grep -c "^$name " <<<"$listed" || true)
  said=$(GWP_MUTANT="$name" "$binary" mutant_is_found simulation_finds_mutant --nocapture --test-threads 1 2>&1) && code=0 || code=$?
  # Each row of the tables has to be found by its own run, as its own property.
  found=$(grep -c "found $name by " <<<"$said" || true)
  if [ "$code" -eq 0 ] && [ "$found" -eq "$rows" ]; then
    grep -o "found $name by .*" <<<"$said"
  else
    survived+=("$name")
    printf 'SURVIVED %s: %s of %s\n%s\n' "$name" "$found" "$rows" "$(tail -n 40 <<<"$said" | cut -c1-300)"
  fi
done
echo "${#wanted[@]} mutants, ${#survived[@]} survived${survived[*]:+: ${survived[*]}}"
[ "${#survived[@]}" -eq 0 ]
