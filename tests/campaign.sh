#!/usr/bin/env bash
# The fault campaign: builds the gateway and the tool, and runs scenarios (tests/README.md).
#
#   tests/campaign.sh --list
#   tests/campaign.sh --runs 25 --scenario S01,S07 --profile fast --seed 1
#   tests/campaign.sh --runs 10 --times 10 --scenario S01    ten faults in each plant
#   tests/campaign.sh --proxy --scenario S07        without root
#   tests/campaign.sh --controls                    something broken on purpose, which must be found
#
# GWP_CAMPAIGN_BUILD=debug uses debug builds, for which --slack 10 is right.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=0
build=${GWP_CAMPAIGN_BUILD:-release}
flags=()
[ "$build" = debug ] || flags=(--release)
cargo build --quiet --locked "${flags[@]}" -p gwp-gateway -p gwp-campaign
built=${CARGO_TARGET_DIR:-target}/$build
broken=()
if [[ " $* " == *" --controls "* ]]; then
  # A gateway with a switch to break rules, apart from all others: it is never a product.
  apart=${CARGO_TARGET_DIR:-target}/mutants
  RUSTFLAGS="--cfg mutants" cargo build --quiet --locked "${flags[@]}" -p gwp-gateway --target-dir "$apart"
  broken=(--broken-gwp "$(realpath "$apart/$build/gwp")")
fi
exec "$built/campaign" --gwp "$(realpath "$built/gwp")" "${broken[@]}" "$@"
