"""What the price model is measured beside: five ways to price a home, on the same rows, retrained on the same days.

Each takes the sales that are known and those to be priced, and says prices. None has an online level: that is ours.
Parameters are the libraries' own but for the number of trees and one thread.
"""

from collections.abc import Callable

import catboost
import lightgbm
import numpy as np
import xgboost

from matrix import Floats, Sales
from recipe import Task

TREES = 1000
SEED = 1

Peer = Callable[[Sales, Sales], Floats]

# The columns of the log-linear model: those it takes the logarithm of, and those as they are.
LOGS = ("living_area_sqft", "lot_size_sqft", "attributes.sqft_living15")
LINEAR = (
    "bedrooms_total", "attributes.bathrooms", "attributes.floors", "attributes.waterfront", "attributes.view",
    "attributes.condition", "attributes.grade", "age_years", "days_since_epoch",
)  # fmt: skip


def peers(task: Task, postal_code: int, raw: list[int]) -> dict[str, Peer]:
    """All of them, by name. `postal_code` is a column of the matrix, `raw` those that are no more than the file's own."""
    every = [i for i in range(len(task.features)) if i != postal_code]
    return {
        "median $/sqft of the postal code": lambda past, now: _postal(past, now, postal_code, task),
        "log-linear, postal codes as dummies": lambda past, now: _log_linear(past, now, postal_code, task),
        "LightGBM as it comes, the file's columns": lambda past, now: _lightgbm(past, now, raw),
        "LightGBM as it comes, roost's features": lambda past, now: _lightgbm(past, now, every),
        "XGBoost, roost's features": lambda past, now: _xgboost(past, now, every),
        "CatBoost, roost's features": lambda past, now: _catboost(past, now, every),
    }


def _postal(past: Sales, now: Sales, postal_code: int, task: Task) -> Floats:
    area = task.features.index("living_area_sqft")
    per_sqft = past.price / past.features[:, area]
    everywhere = float(np.median(per_sqft))
    codes = {
        code: float(np.median(per_sqft[past.features[:, postal_code] == code]))
        for code in np.unique(past.features[:, postal_code])
    }
    return np.array([codes.get(code, everywhere) for code in now.features[:, postal_code]]) * now.features[:, area]


def _log_linear(past: Sales, now: Sales, postal_code: int, task: Task) -> Floats:
    codes = np.unique(past.features[:, postal_code])

    def columns(sales: Sales) -> Floats:
        logs = [np.log(np.maximum(sales.features[:, task.features.index(name)], 1)) for name in LOGS]
        linear = [sales.features[:, task.features.index(name)] for name in LINEAR]
        dummies = (sales.features[:, postal_code][:, None] == codes).astype(np.float64)
        return np.nan_to_num(np.column_stack([*logs, *linear, dummies]).astype(np.float64))

    weights, *_ = np.linalg.lstsq(columns(past), np.log(past.price), rcond=None)
    return np.asarray(np.exp(columns(now) @ weights))


def _lightgbm(past: Sales, now: Sales, columns: list[int]) -> Floats:
    data = lightgbm.Dataset(past.features[:, columns], np.log(past.price))
    booster = lightgbm.train({"seed": SEED, "num_threads": 1, "verbosity": -1}, data, TREES // 5)
    return np.asarray(np.exp(booster.predict(now.features[:, columns])))


def _xgboost(past: Sales, now: Sales, columns: list[int]) -> Floats:
    data = xgboost.DMatrix(past.features[:, columns], np.log(past.price))
    booster = xgboost.train({"seed": SEED, "nthread": 1, "eta": 0.05}, data, TREES // 2)
    return np.asarray(np.exp(booster.predict(xgboost.DMatrix(now.features[:, columns]))), dtype=np.float64)


def _catboost(past: Sales, now: Sales, columns: list[int]) -> Floats:
    model = catboost.CatBoostRegressor(iterations=TREES, random_seed=SEED, thread_count=1, verbose=0, allow_writing_files=False)
    model.fit(past.features[:, columns], np.log(past.price))
    return np.asarray(np.exp(model.predict(now.features[:, columns])))
