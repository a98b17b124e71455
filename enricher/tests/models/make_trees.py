"""Makes the test model `trees/1`: three quantiles of made-up prices by LightGBM, and LightGBM's own contributions.

    make model  # once, for the packages
    enricher/model/.venv/bin/python enricher/tests/models/make_trees.py
"""
import hashlib
import json
import math
import pathlib
import sys

import lightgbm
import numpy

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "model"))
import export  # noqa: E402

FEATURES = ["living_area_sqft", "bedrooms_total", "year_built", "attributes.Oddity"]
QUANTILES = (0.1, 0.5, 0.9)
TREES, LEAVES, ROWS, SHOWN = 30, 12, 4_000, 40
CENTRE = 13.0


def homes():
    """Rows with missing numbers, and the logarithms of their prices."""
    chance = numpy.random.default_rng(1)
    rows = numpy.column_stack([
        chance.integers(400, 5_000, ROWS), chance.integers(0, 7, ROWS), chance.integers(1900, 2026, ROWS),
        chance.integers(-5, 6, ROWS),
    ]).astype(numpy.float32)
    log_price = 8.0 + 0.7 * numpy.log(rows[:, 0]) + 0.05 * rows[:, 1] * (rows[:, 2] > 1970) + 0.02 * rows[:, 3]
    rows[chance.random(rows.shape) < 0.1] = numpy.nan
    return rows, log_price + chance.normal(0, 0.1, ROWS)


def known(row):
    return [None if math.isnan(value) else value for value in row.tolist()]


rows, log_price = homes()
data = lightgbm.Dataset(rows, log_price - CENTRE)
parameters = {
    "objective": "quantile", "num_leaves": LEAVES, "learning_rate": 0.2, "bagging_fraction": 0.8, "bagging_freq": 1,
    "seed": 1, "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1,
}
boosters = [lightgbm.train({**parameters, "alpha": alpha}, data, TREES) for alpha in QUANTILES]
model = export.network(boosters, [CENTRE] * 3, len(FEATURES), {"name": "trees", "version": "1"})
network = model.SerializeToString(deterministic=True)

shown = rows[:SHOWN]
prices = numpy.sort(numpy.exp(numpy.column_stack([b.predict(shown) for b in boosters]) + CENTRE), axis=1)
golden = [
    {"features": known(row), **dict(zip(["p10", "p50", "p90"], prices.tolist(), strict=True))}
    for row, prices in zip(shown[:4], prices, strict=False)
]
manifest = {
    "name": "trees", "version": "1", "sha256": hashlib.sha256(network).hexdigest(),
    "features": FEATURES, "required": ["living_area_sqft"],
    "countries": ["us"], "transactions": ["sale"], "currency": "USD",
    "trained_through": "2026-01-31", "metrics": {}, "golden": golden,
}
contributions = boosters[1].predict(shown, pred_contrib=True)
fixtures = [
    {"features": known(row), "contributions": parts[:-1].tolist(), "expected": parts[-1] + CENTRE}
    for row, parts in zip(shown, contributions, strict=True)
]
directory = HERE / "trees" / "1"
directory.mkdir(parents=True, exist_ok=True)
(directory / "model.onnx").write_bytes(network)
(directory / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
(directory / "contributions.json").write_text(json.dumps(fixtures, indent=1) + "\n")
