#!/bin/sh
# Trains the shipped price model again, as the next version: `make model`, `make model VERSION=2026-11`. Needs cargo, and
# Python 3.11 to 3.14.
set -eu
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

../../dev/python-env .venv requirements.txt
cargo build --quiet --locked --package roost
ROOST=${CARGO_TARGET_DIR:-../../target}/debug/roost
export ROOST

"$ROOST" synthetic --training --output "$work/sales.jsonl"
.venv/bin/python train.py "$work/sales.jsonl" --about "the synthetic market" "$@"
