"""The price model beside its peers, walked forward in time over real sales: `make bench-model`, `SALES=later.csv`.

Every month is priced by models that were trained on what was known on its first day. Without SALES the months are the last
quarter of the past; with it, those of that file, and the past is what comes before. No row is left out of the judging,
whatever the rules of training say of it. Ours is served by `roost model replay`: row by row in the order of dates, with the
online level and the shift of the interval, each sale known 7 days after its date.
"""

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import files
import judge
import learn
import manifest
import matrix
import peers
import roost
import rows
import split
from recipe import Task

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NAME = "king-county"
# Without SALES: the last quarter of the past.
MONTHS_OF_THE_PAST = 3
POSTAL_CODE = "attributes.zipcode"
# What a peer takes for the file's own columns: no ratio, distance or comparable.
RAW = ("living_area_sqft", "lot_size_sqft", "bedrooms_total", "year_built", "latitude", "longitude", "days_since_epoch")
GOALS = {
    "median_absolute_error": "≤ 7.5",
    "mean_absolute_error": "≤ 11.3",
    "r_squared": "≥ .917",
    "within_10_percent": "≥ 61",
    "interval_coverage": "80 ± 2",
}
COLUMNS = {
    "median_absolute_error": "median error",
    "mean_absolute_error": "mean error",
    "r_squared": "R²",
    "within_5_percent": "in 5 %",
    "within_10_percent": "in 10 %",
    "within_20_percent": "in 20 %",
    "bias": "bias",
    "interval_coverage": "coverage",
}


def together(past: Path, later: Path | None, mapping: rows.Mapping, directory: Path) -> tuple[Path, np.datetime64 | None]:
    """One CSV of both files, row by row as they are, and the first day that is to be judged.

    Both must have the same columns. What the later file has of the days of the past is the past's business.
    """
    first, *others = [_read(file) for file in (past, later) if file]
    every = [row for _, row in first.rows]
    judged_from = None
    for other in others:
        if other.columns != first.columns:
            sys.exit(f"{later}: columns {other.columns}, but {past} has {first.columns}")
        end = max(_day(mapping, row) for row in every)
        new = [row for _, row in other.rows if _day(mapping, row) > end]
        if not new:
            sys.exit(f"{later}: no sale after {end}, the last day of {past}")
        if len(new) < len(other.rows):
            print(f"{len(other.rows) - len(new)} sales of {later} are not later than {end}: they are not judged")
        judged_from = min(_day(mapping, row) for row in new)
        every += new
    return files.write(files.Table(first.columns, list(enumerate(every, 2))), directory), judged_from


def _read(file: Path) -> files.Table:
    table = files.read(file)
    for finding in table.findings:
        sys.exit(f"{file}, {finding}: a benchmark leaves no row out")
    return table


def _day(mapping: rows.Mapping, row: files.Row) -> np.datetime64:
    value, forms = mapping.value("CloseDate", row), mapping.date_forms("CloseDate", row)
    day = rows.day(value, [*forms, *rows.DATE_FORMS])
    if day is None:
        sys.exit(f"`{value}` is no date in any known form: a benchmark leaves no row out")
    return np.datetime64(day)


def months(sales: matrix.Sales, first: np.datetime64) -> list[np.datetime64]:
    """The first days of the months from that of `first` on."""
    return [month.astype("datetime64[D]") for month in np.unique(sales.day[sales.day >= first].astype("datetime64[M]"))]


def table(results: dict[str, tuple[matrix.Floats, matrix.Floats]]) -> str:
    """A Markdown table, one line per method, with the bootstrap's standard deviations; percent but for R²."""
    lines = [f"| | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, (predicted, price) in results.items():
        judged = (judge.metrics if predicted.ndim == 2 else judge.accuracy)(predicted, price)
        spread = judge.spread(predicted, price)
        cells = [_cell(column, judged.get(column), spread.get(column)) for column in COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append(f"| goal | {' | '.join(GOALS.get(column, '') for column in COLUMNS)} |")
    return "\n".join(lines)


def _cell(column: str, value: float | None, spread: float | None) -> str:
    if value is None or spread is None:
        return ""
    if column == "r_squared":
        return f"{value:.4f} ± {spread:.4f}"
    digits = 2 if column in ("median_absolute_error", "mean_absolute_error") else 1
    return f"{value * 100:.{digits}f} ± {spread * 100:.{digits}f}"


def first_of(month: matrix.Sales) -> np.datetime64:
    """The first day of the month of some sales."""
    return np.datetime64(month.day[0].astype("datetime64[M]"), "D")


def in_order(served: list[roost.Served], sales: matrix.Sales) -> matrix.Floats:
    """What was served of each of the sales. Where nothing was, the price is one: a miss by all of it, no row left out."""
    by_sale: dict[tuple[str, str], roost.Served] = {(row.home, row.day): row for row in served}
    found = [by_sale.get((str(home), str(day))) for home, day in zip(sales.home, sales.day, strict=True)]
    prices = [row.prices if row is not None else None for row in found]
    silent = sum(said is None for said in prices)
    if silent:
        print(f"{silent} sales were not valued: each counts as missed by all of its price")
    return np.array([said or (1.0, 1.0, 1.0) for said in prices])


class Walk:
    """The files and matrices of one walk."""

    def __init__(self, file: Path, mapping: Path, task: Task, work: Path) -> None:
        self.file, self.mapping, self.task, self.work = file, mapping, task, work
        # Trees learn from rows that the rules let through; every row is judged.
        checked = rows.check(files.read(file), rows.Mapping.read(mapping), task.numeric_attributes())
        (work / "checked").mkdir()
        self.learnt = self._matrix(files.write(checked, work / "checked"), task, "learnt.csv")
        self.judged = self._matrix(file, replace(task, required=[]), "judged.csv")
        self.postal_code = task.features.index(POSTAL_CODE)
        self.findings = checked.findings

    def _matrix(self, file: Path, task: Task, name: str) -> matrix.Sales:
        roost.features(file, self.mapping, task.features, self.work / name)
        return matrix.read(self.work / name, task)[0]

    def month(self, first: np.datetime64, judged_from: np.datetime64) -> tuple[matrix.Sales, matrix.Sales]:
        """What is known on the first judged day of a month, without the homes that are sold in it; and the month."""
        now = self.judged.since(judged_from)
        now = now.part(now.day.astype("datetime64[M]") == first.astype("datetime64[M]"))
        first = max(first, judged_from)
        known = self.learnt.before(first - np.timedelta64(roost.KNOWN_AFTER_DAYS, "D"))
        return split.apart(known, now), now

    def ours(self, known: matrix.Sales, now: matrix.Sales, served_by_roost: bool) -> tuple[matrix.Floats, matrix.Floats]:
        """Prices of a month as served, and as the model alone says them; p10, p50 and p90."""
        columns = [i for i in range(len(self.task.features)) if i != self.postal_code]
        task = replace(self.task, features=[self.task.features[i] for i in columns])
        known, now = (replace(sales, features=sales.features[:, columns]) for sales in (known, now))
        model = learn.learn(known, task.recipe)
        still = np.exp(model.log_prices(now))
        if not served_by_roost:
            return model.prices(now), still
        version = str(now.day[0].astype("datetime64[M]"))
        about = manifest.About(NAME, version, "the benchmark")
        made = manifest.network(model, about, len(task.features))
        meanings = roost.meanings(task.features, self.work / "meanings.json")
        written = manifest.manifest(about, task, meanings, model, known, made, {}, [])
        manifest.write(self.work / "registry" / NAME / version, made, written)
        start = str(first_of(now))
        model_name, output = f"{NAME}/{version}", self.work / "served.csv"
        rows_served = roost.replay(self.file, self.mapping, self.work / "registry", model_name, start, output)
        return in_order(rows_served, now), still


def main() -> None:
    """Walk, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("past", type=Path, help="King County's sales")
    parser.add_argument("sales", type=Path, nargs="?", help="later sales of the same shape, to be judged")
    parser.add_argument("--map", type=Path, default=ROOT / "docs/examples/king_county.toml")
    parser.add_argument("--features", type=Path, default=HERE / "bench/king-county.json")
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    parser.add_argument("--no-replay", action="store_true", help="the level as level.py has it, in place of `roost model replay`")
    parser.add_argument("--keep", type=Path, help="a directory to keep the models in")
    options = parser.parse_args()
    if not options.past.is_file():
        print("skipped: no real data")
        return
    task = Task.read(options.features)
    task = replace(task, features=[*task.features, POSTAL_CODE])
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        mapping = rows.Mapping.read(options.map)
        file, judged_from = together(options.past, options.sales, mapping, work)
        results = walk_forward(Walk(file, options.map, task, work), judged_from, options)
        if options.keep:
            shutil.copytree(work / "registry", options.keep, dirs_exist_ok=True)
    print(f"\nAll months, {time.monotonic() - started:.0f} s:\n\n{table(results)}")


def walk_forward(
    walk: Walk, judged_from: np.datetime64 | None, options: argparse.Namespace
) -> dict[str, tuple[matrix.Floats, matrix.Floats]]:
    """Every month by every method; prints each month, returns all of them."""
    if judged_from is None:
        judged_from = months(walk.judged, walk.judged.day[0])[-MONTHS_OF_THE_PAST]
    walked = months(walk.judged, judged_from)
    features = walk.task.features
    raw = [i for i, name in enumerate(features) if name in RAW or (name.startswith("attributes.") and name != POSTAL_CODE)]
    others = {} if options.no_peers else peers.peers(walk.task, walk.postal_code, raw)
    parts: dict[str, list[tuple[matrix.Floats, matrix.Floats]]] = {}
    for first in walked:
        known, now = walk.month(first, judged_from)
        here: dict[str, tuple[matrix.Floats, matrix.Floats]] = {}
        for name, peer in others.items():
            here[name] = peer(known, now), now.price
        served, still = walk.ours(known, now, not options.no_replay)
        here["roost, without the online parts"] = still, now.price
        here["**roost, as served**"] = served, now.price
        month = first.astype("datetime64[M]")
        print(f"\n{month}: {len(now)} sales, {len(known)} known before:\n\n{table(here)}", flush=True)
        for name, result in here.items():
            parts.setdefault(name, []).append(result)
    return {
        name: (np.concatenate([p for p, _ in results]), np.concatenate([price for _, price in results]))
        for name, results in parts.items()
    }


if __name__ == "__main__":
    main()
