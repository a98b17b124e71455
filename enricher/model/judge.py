"""How good prices are: the numbers of the manifest, of the report and of the benchmark."""

import numpy as np

from matrix import Floats

# Resamples of the bootstrap; the spread of the spread is then 5 %.
RESAMPLES = 200


def metrics(predicted: Floats, price: Floats) -> dict[str, float]:
    """All numbers, of p10, p50 and p90 (columns) beside what was paid. Every name is explained in README.md."""
    p10, p50, p90 = predicted.T
    inside = (p10 <= price) & (price <= p90)
    return {
        **accuracy(p50, price),
        "interval_coverage": float(np.mean(inside)),
        "interval_below": float(np.mean(price < p10)),
        "interval_above": float(np.mean(price > p90)),
        "interval_width": float(np.median((p90 - p10) / p50)),
    }


def accuracy(p50: Floats, price: Floats) -> dict[str, float]:
    """The numbers of a price alone."""
    error = p50 / price - 1.0
    numbers = {
        "median_absolute_error": np.median(np.abs(error)),
        "mean_absolute_error": np.mean(np.abs(error)),
        "within_5_percent": np.mean(np.abs(error) <= 0.05),
        "within_10_percent": np.mean(np.abs(error) <= 0.10),
        "within_20_percent": np.mean(np.abs(error) <= 0.20),
        "bias": np.median(error),
        "r_squared": 1.0 - np.sum((p50 - price) ** 2) / np.sum((price - price.mean()) ** 2),
    }
    return {name: float(value) for name, value in numbers.items()}


def spread(predicted: Floats, price: Floats) -> dict[str, float]:
    """The standard deviation of every number over resamples of the judged sales (Efron's bootstrap)."""
    random = np.random.default_rng(1)
    draws = [random.integers(0, len(price), len(price)) for _ in range(RESAMPLES)]
    judge = metrics if predicted.ndim == 2 else accuracy
    numbers = [judge(predicted[rows], price[rows]) for rows in draws]
    return {name: float(np.std([n[name] for n in numbers])) for name in numbers[0]}
