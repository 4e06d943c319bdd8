#!/usr/bin/env bash
# Breaks one rule of the pair at a time and has the models find it. Fails when one is not found.
#
#   tests/mutants.sh            all of them
#   tests/mutants.sh NAME...    these
#
# A mutant is a switch of the build, `--cfg mutant="NAME"`, in runtime/redundancy alone; no
# product is ever built with one. Each is a build of that crate's tests: some ten seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=0

# Builds the tests of the crate with these flags and prints the path of the binary.
build() {
  cargo rustc --quiet --locked -p gwp-redundancy --lib --profile test --message-format=json -- "$@" |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1
}

plain=$(build)
# mutant NAME RUN PROPERTY short|long
listed=$("$plain" mutants_are_listed --nocapture | sed -n 's/^mutant //p')
names=$(cut -d' ' -f1 <<<"$listed" | sort -u)
[ -n "$names" ] || { echo "no mutants are listed" >&2; exit 1; }
wanted=("$@")
[ "${#wanted[@]}" -gt 0 ] || mapfile -t wanted <<<"$names"

survived=()
for name in "${wanted[@]}"; do
  rows=$(grep -c "^$name " <<<"$listed" || true)
  [ "$rows" -gt 0 ] || { echo "there is no mutant $name; there are:" $names >&2; exit 2; }
  binary=$(build --cfg "mutant=\"$name\"")
  said=$("$binary" mutant_is_found --nocapture 2>&1) && code=0 || code=$?
  [ "$binary" = "$plain" ] || rm -f "$binary"
  # Each row of the table has to be found by its own run, as its own property.
  found=$(grep -c "^found $name by " <<<"$said" || true)
  if [ "$code" -eq 0 ] && [ "$found" -eq "$rows" ]; then
    grep "^found $name by " <<<"$said"
  else
    survived+=("$name")
    printf 'SURVIVED %s\n%s\n' "$name" "$said"
  fi
done
echo "${#wanted[@]} mutants, ${#survived[@]} survived"
[ "${#survived[@]}" -eq 0 ]
