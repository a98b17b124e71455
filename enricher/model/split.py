"""Who may learn from what: parts that no day, and no home, is in two of."""

import numpy as np

from matrix import Sales


def apart(older: Sales, newer: Sales) -> Sales:
    """The older sales without those of homes that were sold again in the newer ones.

    A model that has seen a home would be judged by its memory. The newer part keeps all of its rows.
    """
    return older.part(~np.isin(older.home, newer.home))


def by_day(sales: Sales, day: np.datetime64) -> tuple[Sales, Sales]:
    """The sales before a day, and those since; a home that is in both stays in the newer part."""
    newer = sales.since(day)
    return apart(sales.before(day), newer), newer


def newest_share(sales: Sales, share: float) -> np.datetime64:
    """The day since which about that share of the sales closed."""
    return np.datetime64(sales.day[min(int(len(sales) * (1.0 - share)), len(sales) - 1)])
