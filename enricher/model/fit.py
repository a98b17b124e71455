"""Grows the trees: LightGBM boosters of the log price, from a matrix and a recipe. Knows no calendar and no files."""

from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np

from matrix import Features, Floats, Sales
from recipe import Recipe

# The interval from the 10th to the 90th percentile is meant to hold 80 % of all sales.
LOW, HIGH = 0.1, 0.9

# The same bytes from the same rows, on one kind of machine.
ALWAYS: dict[str, Any] = {
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Ensembles:
    """Boosters of the 10 %, 50 % and 90 % quantile; each predicts the distance of the log price from `centre`."""

    centre: float
    boosters: tuple[list[lightgbm.Booster], list[lightgbm.Booster], list[lightgbm.Booster]]

    def log_prices(self, features: Features) -> Floats:
        """One column per quantile, in 64 bits; nothing calibrated, and crossing now and then."""
        columns = [np.mean([b.predict(features) for b in same], axis=0) for same in self.boosters]
        return np.column_stack(columns) + self.centre

    def gain(self, features: list[str]) -> dict[str, float]:
        """Each feature's share of what the splits of the median gained, the greatest first."""
        gains = np.sum([b.feature_importance("gain") for b in self.boosters[1]], axis=0)
        shares = {name: round(float(share), 4) for name, share in zip(features, gains / gains.sum(), strict=True)}
        return dict(sorted(shares.items(), key=lambda item: -item[1]))


def fit(sales: Sales, recipe: Recipe) -> Ensembles:
    """All boosters. The median has a loss that is robust to sales between relatives, the ends their quantile's."""
    # A 32-bit number, so that the network adds exactly what training took away.
    centre = float(np.float32(np.log(sales.price).mean()))
    log_price = np.log(sales.price) - centre
    # The columns are binned once, for boosters with leaves of different sizes: none may be dropped beforehand.
    data = lightgbm.Dataset(sales.features, log_price, params={**ALWAYS, "feature_pre_filter": False}, free_raw_data=False)
    common = {
        **ALWAYS,
        "feature_fraction": recipe.feature_fraction,
        "bagging_fraction": recipe.bagging_fraction,
        "lambda_l2": recipe.lambda_l2,
    }
    middle = {
        **common,
        "objective": "huber",
        "alpha": recipe.huber,
        "num_leaves": recipe.num_leaves,
        "learning_rate": recipe.learning_rate,
        "min_data_in_leaf": recipe.min_data_in_leaf,
        "path_smooth": recipe.path_smooth,
    }
    random = {**middle, "extra_trees": True, "learning_rate": recipe.random_learning_rate}
    end = {
        **common,
        "objective": "quantile",
        "num_leaves": recipe.interval_num_leaves,
        "learning_rate": recipe.interval_learning_rate,
        "min_data_in_leaf": recipe.interval_min_data_in_leaf,
    }

    def grow(parameters: dict[str, Any], trees: int, seeds: int) -> list[lightgbm.Booster]:
        return [lightgbm.train({**parameters, "seed": seed}, data, trees) for seed in range(1, seeds + 1)]

    return Ensembles(
        centre,
        (
            grow({**end, "alpha": LOW}, recipe.interval_trees, recipe.interval_seeds),
            grow(middle, recipe.trees, recipe.seeds) + grow(random, recipe.trees, recipe.random_seeds),
            grow({**end, "alpha": HIGH}, recipe.interval_trees, recipe.interval_seeds),
        ),
    )
