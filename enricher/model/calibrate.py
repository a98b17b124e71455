"""How far the ends of the interval must move for it to hold what it promises of sales that the trees never saw.

Conformalised quantile regression (Romano, Patterson, Candès, NeurIPS 2019), at each end by itself: 10 % are to lie below
and 10 % above, not 20 % anywhere. Pure.
"""

import math
from dataclasses import dataclass

import numpy as np

from fit import HIGH, LOW
from matrix import Floats


@dataclass(frozen=True)
class Widening:
    """What is taken from the log of p10 and added to the log of p90; negative where the trees were too careful."""

    low: float
    high: float


def quantile(misses: Floats, share: float) -> float:
    """The smallest of the misses that covers at least `share` of the next one, too: the conformal rank."""
    ascending = np.sort(misses)
    rank = math.ceil((len(ascending) + 1) * share)
    return float(ascending[min(rank, len(ascending)) - 1])


def widening(log_prices: Floats, log_paid: Floats) -> Widening:
    """From log prices (p10, p50, p90) of sales that the trees did not learn from, and what was paid."""
    return Widening(
        low=quantile(log_prices[:, 0] - log_paid, 1.0 - LOW),
        high=quantile(log_paid - log_prices[:, 2], HIGH),
    )
