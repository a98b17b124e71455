#!/bin/sh
# Trains the shipped price model again: `make model`. Needs cargo and Python 3.11 or newer; installs what
# requirements.txt locks into .venv beside this file.
set -eu
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv .venv
.venv/bin/pip install --quiet --require-hashes --requirement requirements.txt
cargo build --quiet --locked --package roost
ROOST=${CARGO_TARGET_DIR:-../../target}/debug/roost
export ROOST

"$ROOST" synthetic --training --output "$work/sales.jsonl"
.venv/bin/python train.py "$work/sales.jsonl" --about "the synthetic market"
