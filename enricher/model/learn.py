"""The procedure, whole: trees from sales, and beside them a twin that says how such trees do on sales they never saw.

The twin grows by the same recipe from the sales before the last `TWIN_DAYS`, and is scored on these. It calibrates the
interval, and its residuals are the online level until the model has its own. What is shipped, what is judged before it and
what the benchmark walks with is all this one function.
"""

from dataclasses import dataclass

import numpy as np

import level
from calibrate import Widening, widening
from fit import Ensembles, fit
from matrix import Floats, Sales
from recipe import Recipe
from split import by_day

# 28 days of residuals, 7 until they are known, and some so that the interval is calibrated on more than a month.
TWIN_DAYS = 45
# Fewest sales a twin is scored on: the 10 % beyond each end are then 30.
FEWEST_SCORED = 300
# Most entries of the level's seed in a manifest; the median of more is no steadier.
MOST_SEEDS = 5_000


@dataclass(frozen=True)
class Twin:
    """The sales that the twin was scored on, and its log prices of them: calibrated, not corrected by any level."""

    sales: Sales
    log_prices: Floats

    def residuals(self) -> Floats:
        """Log of what was paid, less that of p50."""
        return np.log(self.sales.price) - self.log_prices[:, 1]


@dataclass(frozen=True)
class Model:
    """Trees, how their interval is widened, and the twin."""

    trees: Ensembles
    widening: Widening
    twin: Twin

    def log_prices(self, sales: Sales) -> Floats:
        """Calibrated log prices at the three quantiles, in ascending order: what the network says."""
        return np.sort(self.trees.log_prices(sales.features) + self.offsets(), axis=1)

    def offsets(self) -> Floats:
        """What calibration adds to each quantile."""
        return np.array([-self.widening.low, 0.0, self.widening.high])

    def prices(self, sales: Sales) -> Floats:
        """Prices as they would have been served: with the level of what was known on each sale's day."""
        logs = self.log_prices(sales)
        middle = level.served(logs[:, 1], np.log(sales.price), sales.day, self.twin.sales.day, self.twin.residuals())
        return np.exp(logs + (middle - logs[:, 1])[:, None])


def parts(sales: Sales) -> tuple[Sales, Sales]:
    """What the twin learns from, and what it is scored on."""
    cut = sales.day[-1] - np.timedelta64(TWIN_DAYS - 1, "D")
    if len(sales.since(cut)) < FEWEST_SCORED:
        cut = sales.day[-FEWEST_SCORED]
    return by_day(sales, cut)


def learn(sales: Sales, recipe: Recipe) -> Model:
    """A model of all the sales, and its twin."""
    known, newer = parts(sales)
    twin_trees = fit(known, recipe)
    raw = twin_trees.log_prices(newer.features)
    log_paid = np.log(newer.price)

    # The interval is served around a corrected price, so it is calibrated around one. The first days, of which no residual
    # is known yet, get the median of them all.
    shift = level.shifts(newer.day, log_paid - raw[:, 1], newer.day)
    shift[shift == 0.0] = np.median(log_paid - raw[:, 1])
    wider = widening(raw + shift[:, None], log_paid)
    model = Model(fit(sales, recipe), wider, Twin(newer, raw))
    return Model(model.trees, wider, Twin(newer, np.sort(raw + model.offsets(), axis=1)))


def level_seed(twin: Twin) -> list[dict[str, object]]:
    """For the manifest: what the enricher's corrector takes for residuals of the model until there are some."""
    log_paid = np.log(twin.sales.price)
    low, middle, high = twin.log_prices.T
    # Those that are older than the level's window would never count.
    recent = np.flatnonzero(twin.sales.day > twin.sales.day[-1] - np.timedelta64(level.WINDOW_DAYS, "D"))
    return [
        {
            "market": str(twin.sales.market[i]),
            "close_date": str(twin.sales.day[i]),
            "log_residual": round(float(log_paid[i] - middle[i]), 5),
            "low_miss": round(float(low[i] - log_paid[i]), 5),
            "high_miss": round(float(log_paid[i] - high[i]), 5),
        }
        for i in recent[-MOST_SEEDS:]
    ]
