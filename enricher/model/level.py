"""The online level: by how much the model's recent prices missed, and what a price is corrected by for it.

The enricher's corrector without its regard to markets, for rows that are judged before a model is served: the median of the log
residuals of what closed lately and is known. What is served is off by less where markets move apart. Pure.
"""

import numpy as np
import numpy.typing as npt

from matrix import Floats
from roost import KNOWN_AFTER_DAYS

# How far back a residual counts. 14 to 56 days differ by less than the noise.
WINDOW_DAYS = 28
# With fewer residuals the median moves by more than a market does.
FEWEST = 20

Days = npt.NDArray[np.datetime64]


def shifts(days: Days, residuals: Floats, at: Days) -> Floats:
    """What to add to a log price on each of the days `at`, from residuals (closed on `days`) that were known by then."""
    result = np.zeros(len(at))
    for day in np.unique(at):
        known = (days < day - np.timedelta64(KNOWN_AFTER_DAYS, "D")) & (
            days >= day - np.timedelta64(KNOWN_AFTER_DAYS + WINDOW_DAYS, "D")
        )
        if known.sum() >= FEWEST:
            result[at == day] = np.median(residuals[known])
    return result


def served(log_price: Floats, log_paid: Floats, days: Days, seed_days: Days, seed: Floats) -> Floats:
    """Log prices as they would have been served: each corrected by the residuals known on its day.

    `seed` stands in for the model's own residuals until it has some: those of its out-of-time twin.
    """
    all_days = np.concatenate([seed_days, days])
    return log_price + shifts(all_days, np.concatenate([seed, log_paid - log_price]), days)
