#!/bin/sh
# Trains the shipped price model again: `make model`. Needs cargo and Python 3.11 or newer; installs what
# requirements.txt pins into .venv beside this file.
set -eu
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv .venv
.venv/bin/pip install --quiet --requirement requirements.txt
names=$(.venv/bin/python -c 'import json; print(",".join(json.load(open("features.json"))["features"]))')

cargo run --quiet --package roost -- synthetic --training --output "$work/sales.jsonl"
cargo run --quiet --package roost -- features "$work/sales.jsonl" --names "$names" --output "$work/matrix.csv"
.venv/bin/python train.py "$work/matrix.csv"
