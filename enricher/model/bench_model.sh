#!/bin/sh
# The price model beside its peers: `make bench-model`, `make bench-model SALES=later.csv`. Needs a release build of roost.
set -eu
cd "$(dirname "$0")"
data=${KING_COUNTY:-../../../shared/data/king_county_sales.csv.zst}
events=${SEATTLE:-../../../shared/data/seattle_redfin_events.csv.zst}
if [ ! -f "$data" ]; then
    echo "skipped: no real data"
    exit 0
fi

../../dev/python-env .venv-bench requirements-bench.txt
ROOST=${ROOST:-${CARGO_TARGET_DIR:-../../target}/release/roost}
export ROOST

.venv-bench/bin/python bench_model.py "$data" "$@"
if [ $# -eq 0 ]; then
    printf '\nDrift: a model of King County, 2014 to 2015, in 2022\n\n'
    .venv-bench/bin/python drift.py "$data" "$events"
fi
