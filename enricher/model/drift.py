"""The drift case: a model of 2014 and 2015 meets the prices of 2022. How soon is it seen, and what does the level make of it?

A model of the features that both have is trained on King County's sales; then 2022's closings of a portal's feed of the same
region are valued by `roost model replay`, each in its turn. Nothing is retrained.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import learn
import manifest
import roost
import train
from matrix import Floats
from recipe import Task

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FIRST = 200
NAME = "king-county-shared"


def main() -> None:
    """Train, replay, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("past", type=Path, help="King County's sales")
    parser.add_argument("events", type=Path, help="a portal's events of 2022")
    options = parser.parse_args()
    if not (options.past.is_file() and options.events.is_file()):
        print("skipped: no real data")
        return
    task = Task.read(HERE / "bench/shared.json")
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        sales, _ = train.load(options.past, ROOT / "docs/examples/king_county.toml", task, work)
        model = learn.learn(sales, task.recipe)
        about = manifest.About(NAME, "2015", "King County, 2014 to 2015", ("us",))
        made = manifest.network(model, about, len(task.features))
        meanings = roost.meanings(task.features, work / "meanings.json")
        written = manifest.manifest(about, task, meanings, model, sales, made, {}, [])
        manifest.write(work / NAME / "2015", made, written)
        served = roost.replay(options.events, "redfin", work, f"{NAME}/2015", "2022-01-01", work / "served.csv")
    print(told(served))


def told(served: list[roost.Served]) -> str:
    """What was seen, in the order of the closings; a home that is told again counts once, one without a day not at all."""
    once = {row.home: row for row in reversed(served) if row.prices is not None and row.uncorrected and row.day}
    sales = sorted(once.values(), key=lambda row: row.day)
    uncorrected = np.array([row.uncorrected for row in sales], dtype=np.float64)
    corrected = np.array([row.prices[1] for row in sales if row.prices])
    paid = np.array([row.paid for row in sales])
    still, error = uncorrected / paid - 1.0, corrected / paid - 1.0
    coverage = np.mean([row.prices[0] <= row.paid <= row.prices[2] for row in sales[FIRST:] if row.prices])
    lines = [
        f"{len(sales)} closings, {sales[0].day} to {sales[-1].day}",
        f"bias of the first {FIRST}, uncorrected: {np.median(still[:FIRST]) * 100:.1f} % "
        f"± {standard_error(still[:FIRST]) * 100:.1f}",
        f"seen (bias beyond 2 % by more than three standard errors) after {seen_after(still)} closings",
        f"bias of all, uncorrected: {np.median(still) * 100:.1f} %",
        f"bias of all after the first {FIRST}, as served: {np.median(error[FIRST:]) * 100:.1f} %, "
        f"median error {np.median(np.abs(error[FIRST:])) * 100:.1f} %, inside the interval {coverage * 100:.1f} %",
    ]
    month = np.array([row.day[:7] for row in sales])
    for name in np.unique(month):
        here = month == name
        lines.append(
            f"  {name}: {here.sum():5d} closings, bias {np.median(still[here]) * 100:6.1f} % uncorrected, "
            f"{np.median(error[here]) * 100:5.1f} % as served"
        )
    return "\n".join(lines)


def standard_error(errors: Floats) -> float:
    """Of their median: 1.2533 times that of a mean, with the spread from the quartiles."""
    spread = float(np.subtract(*np.percentile(errors, [75, 25]))) / 1.349
    return 1.2533 * spread / float(np.sqrt(len(errors)))


def seen_after(errors: Floats) -> int | None:
    """How many closings it takes, of at least ten, until nobody doubts that prices are off."""
    for count in range(10, len(errors) + 1):
        if abs(np.median(errors[:count])) - 0.02 > 3 * standard_error(errors[:count]):
            return count
    return None


if __name__ == "__main__":
    main()
