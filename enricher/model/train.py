"""Trains the price model that roost ships: sales of the synthetic market in, a directory of the model registry out.

Reads the matrix that `roost features` writes, so that training and valuing share one implementation of the features.
Writes `<out>/<name>/<version>/model.onnx` and `manifest.json`. README.md beside this file says what the numbers mean.
"""

import argparse
import contextlib
import csv
import hashlib
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

import export

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]

# The interval from the 10th to the 90th percentile is meant to hold 80 % of all sales.
QUANTILES = (0.1, 0.5, 0.9)
NOMINAL_COVERAGE = 0.8

# Shares of the sales, by date: the oldest train, the next calibrate the interval, the newest judge.
TRAIN_SHARE, CALIBRATE_SHARE = 0.7, 0.15

# 150 trees of 24 leaves per quantile are 0.7 MB. The fast learning rate is what so few trees need to get there: at
# half of it the median error is 4 % larger.
PARAMETERS: dict[str, Any] = {
    "objective": "quantile",
    "learning_rate": 0.2,
    "num_leaves": 24,
    "min_data_in_leaf": 15,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
TREES = 150

GOLDEN_ROWS = 8
# Largest relative difference between the network and LightGBM that is accepted.
PARITY = 1e-5


@dataclass
class Sales:
    """Closed sales in the order of time: features, closing prices, and where and when."""

    features: Matrix
    price: Floats
    day: npt.NDArray[np.str_]
    market: npt.NDArray[np.str_]

    def part(self, rows: slice) -> "Sales":
        """Some of the rows."""
        return Sales(self.features[rows], self.price[rows], self.day[rows], self.market[rows])

    def __len__(self) -> int:
        return len(self.price)


def read_matrix(path: str, features: list[str], required: list[str], transaction: str, currency: str) -> Sales:
    """The closed sales in the matrix that have every required feature, sorted by closing date."""
    with contextlib.nullcontext(sys.stdin) if path == "-" else Path(path).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in features if name not in (reader.fieldnames or [])]
        if missing:
            sys.exit(f"{path}: no column {', '.join(missing)}; give `roost features` the names in features.json")
        rows = [
            row
            for row in reader
            if row["transaction"] == transaction
            and row["currency"] == currency
            and row["close_price"]
            and all(row[name] for name in required)
        ]
    rows.sort(key=lambda row: (row["close_date"], row["listing_id"]))
    values = [[float(row[name]) if row[name] else math.nan for name in features] for row in rows]
    return Sales(
        features=np.array(values, dtype=np.float32).reshape(len(rows), len(features)),
        price=np.array([float(row["close_price"]) for row in rows]),
        day=np.array([row["close_date"] for row in rows]),
        market=np.array([row["market"] for row in rows]),
    )


def split_by_time(sales: Sales) -> tuple[Sales, Sales, Sales]:
    """Training, calibration and test sales; no day is in two of them."""
    days = [sales.day[int(len(sales) * share)] for share in (TRAIN_SHARE, TRAIN_SHARE + CALIBRATE_SHARE)]
    first, second = np.searchsorted(sales.day, days).tolist()
    return sales.part(slice(0, first)), sales.part(slice(first, second)), sales.part(slice(second, None))


def fit(train: Sales, centre: float, features: list[str]) -> list[lightgbm.Booster]:
    """One booster per quantile of the log price, each predicting the distance from `centre`."""
    data = lightgbm.Dataset(
        train.features, np.log(train.price) - centre, feature_name=[name.replace(".", "_") for name in features]
    )
    return [lightgbm.train({**PARAMETERS, "alpha": alpha}, data, TREES) for alpha in QUANTILES]


def calibrate(boosters: list[lightgbm.Booster], held_out: Sales, centre: float) -> float:
    """How far, in log price, both ends of the interval must move out for it to hold 80 % of sales it never saw.

    Conformalised quantile regression: Romano, Patterson, Candès, NeurIPS 2019.
    """
    log_price = np.log(held_out.price) - centre
    low, high = (boosters[i].predict(held_out.features) for i in (0, 2))
    outside = np.sort(np.maximum(low - log_price, log_price - high))
    rank = math.ceil((len(outside) + 1) * NOMINAL_COVERAGE) - 1
    return float(outside[min(rank, len(outside) - 1)])


def predict(boosters: list[lightgbm.Booster], base_values: list[float], features: Matrix) -> Floats:
    """Prices at the three quantiles, in 64 bits: what the network is compared with."""
    distances = np.column_stack([booster.predict(features) for booster in boosters])
    return np.sort(np.exp(distances + np.array(base_values)), axis=1)


def metrics(predicted: Floats, price: Floats) -> dict[str, float]:
    """How good the prices are; every name is explained in README.md."""
    p10, p50, p90 = predicted.T
    error = p50 / price - 1.0
    inside = (p10 <= price) & (price <= p90)
    numbers = {
        "median_absolute_error": np.median(np.abs(error)),
        "mean_absolute_error": np.mean(np.abs(error)),
        "within_10_percent": np.mean(np.abs(error) <= 0.10),
        "within_20_percent": np.mean(np.abs(error) <= 0.20),
        "bias": np.median(error),
        "r_squared": 1.0 - np.sum((p50 - price) ** 2) / np.sum((price - price.mean()) ** 2),
        "interval_coverage": np.mean(inside),
        "interval_below": np.mean(price < p10),
        "interval_above": np.mean(price > p90),
        "interval_width": np.median((p90 - p10) / p50),
    }
    return {name: float(value) for name, value in numbers.items()}


def run_network(network: bytes, features: Matrix) -> Floats:
    """What ONNX Runtime makes of the rows."""
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    (price,) = session.run([export.OUTPUT], {export.INPUT: features})
    return np.asarray(price, dtype=np.float64)


def golden_rows(features: Matrix, expected: Floats) -> list[dict[str, Any]]:
    """Rows from the cheapest to the dearest, and before them the row that misses most."""
    by_price = np.argsort(expected[:, 1], kind="stable")
    spread = by_price[np.linspace(0, len(by_price) - 1, GOLDEN_ROWS - 1).astype(int)]
    chosen = [int(np.argmax(np.isnan(features).sum(axis=1))), *spread.tolist()]
    return [
        {
            "features": [None if math.isnan(value) else value for value in features[row].tolist()],
            "p10": float(expected[row, 0]),
            "p50": float(expected[row, 1]),
            "p90": float(expected[row, 2]),
        }
        for row in chosen
    ]


def arguments() -> argparse.Namespace:
    """The command line; `make model` shows it in use."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("matrix", help="the output of `roost features`, or - for standard input")
    parser.add_argument("--features", type=Path, default=Path(__file__).with_name("features.json"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("registry"), help="root of the registry")
    parser.add_argument("--name", default="synthetic-us")
    parser.add_argument("--version", default="1")
    parser.add_argument("--about", default="the synthetic market", help="what the sales are, for the manifest")
    return parser.parse_args()


def main() -> None:
    """Train, calibrate, judge, write."""
    options = arguments()
    wanted = json.loads(options.features.read_text(encoding="utf-8"))
    features, required = wanted["features"], wanted["required"]
    sales = read_matrix(options.matrix, features, required, wanted["transaction"], wanted["currency"])
    if len(sales) < 2_000:
        sys.exit(f"{options.matrix}: {len(sales)} usable sales, too few to train, calibrate and judge (2,000)")
    train, held_out, test = split_by_time(sales)

    # A 32-bit number, so that the network adds exactly what training took away.
    centre = float(np.float32(np.log(train.price).mean()))
    boosters = fit(train, centre, features)
    widening = calibrate(boosters, held_out, centre)
    base_values = [float(np.float32(value)) for value in (centre - widening, centre, centre + widening)]

    model = export.network(boosters, base_values, len(features), {"name": options.name, "version": options.version})
    network = model.SerializeToString(deterministic=True)
    expected = predict(boosters, base_values, test.features)
    parity = float(np.max(np.abs(run_network(network, test.features) / expected - 1.0)))
    if parity > PARITY:
        sys.exit(f"the network differs from LightGBM by {parity:.1e}, more than {PARITY:.0e}: it is not written")

    judged = metrics(expected, test.price)
    manifest = {
        "name": options.name,
        "version": options.version,
        "sha256": hashlib.sha256(network).hexdigest(),
        "features": features,
        "required": required,
        "countries": [],
        "markets": sorted(set(train.market.tolist())),
        "transactions": [wanted["transaction"]],
        "currency": wanted["currency"],
        "trained_through": str(held_out.day[-1]),
        "metrics": {**judged, "network_error": parity},
        "golden": golden_rows(test.features, expected),
        "trained_on": options.about,
        "algorithm": f"LightGBM {lightgbm.__version__}, {TREES} trees per quantile, calibrated conformally",
        "parameters": {name: PARAMETERS[name] for name in ("learning_rate", "num_leaves", "min_data_in_leaf", "seed")},
        "rows": {"trained": len(train), "calibrated": len(held_out), "judged": len(test)},
        "judged_from": str(test.day[0]),
        "interval_widened_by": widening,
        "gain": gain(boosters[1], features),
    }
    write(options.out / options.name / options.version, network, manifest)
    for name, value in manifest["metrics"].items():
        print(f"{name:24} {value:.6g}")


def gain(booster: lightgbm.Booster, features: list[str]) -> dict[str, float]:
    """Each feature's share of what the splits of the median gained, the greatest first."""
    gains = booster.feature_importance("gain")
    shares = {name: round(float(share), 4) for name, share in zip(features, gains / gains.sum(), strict=True)}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def write(directory: Path, network: bytes, manifest: dict[str, Any]) -> None:
    """Both files; the manifest last, since it vouches for the network."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.onnx").write_bytes(network)
    text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
    (directory / "manifest.json").write_text(text + "\n", encoding="utf-8")
    onnx.load(directory / "model.onnx")
    print(f"wrote {directory} ({len(network) / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
