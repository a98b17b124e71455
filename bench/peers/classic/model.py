"""The price model, LightGBM in the process that answers: trained on asking prices of a fifth of the listings."""
import os

# One thread each: the workers share the cores already. Before LightGBM starts its own.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
from pathlib import Path

import lightgbm
import numpy

# The order of a row: market and transaction as one number, bedrooms, bathrooms, area, year, school tenths, commute, amenities.
FEATURES = 8


class Model:
    def __init__(self, directory: Path):
        self.booster = lightgbm.Booster(model_file=directory / "model.txt")
        about = json.loads((directory / "model.json").read_text())
        self.codes = {(market, transaction): code for code, (market, transaction) in enumerate(about["markets"])}
        self.error = about["relative_error"]

    def code(self, market: str, transaction: str) -> int:
        return self.codes.get((market, transaction), -1)

    def value(self, rows: numpy.ndarray) -> numpy.ndarray:
        """Prices, in the currency of the market."""
        return numpy.exp(self.booster.predict(rows))


def train(rows: numpy.ndarray, prices: numpy.ndarray, markets: list[tuple[str, str]], directory: Path) -> float:
    """Returns the median error on what it was not trained on."""
    is_training = numpy.arange(len(rows)) % 5 == 0
    settings = {"objective": "regression", "num_leaves": 24, "learning_rate": 0.08, "min_data_in_leaf": 20,
                "num_threads": 2, "seed": 1, "verbosity": -1}
    data = lightgbm.Dataset(rows[is_training], numpy.log(prices[is_training]), categorical_feature=[0])
    booster = lightgbm.train(settings, data, num_boost_round=150)
    seen = prices[~is_training]
    error = float(numpy.median(numpy.abs(numpy.exp(booster.predict(rows[~is_training])) / seen - 1)))
    directory.mkdir(parents=True, exist_ok=True)
    booster.save_model(directory / "model.txt")
    (directory / "model.json").write_text(json.dumps({"markets": markets, "relative_error": error}))
    return error
