"""Trains a price model: a file of sales in, a directory of the model registry out.

    python train.py SALES.csv --map MAP.toml --features FEATURES.json --name my-market --version 2026-11

Writes `<out>/<name>/<version>/` with `model.onnx`, `manifest.json` and `report.html`. The features are computed by
`roost features`, so that training and valuing share one implementation. README.md says what the numbers mean.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import files
import judge
import learn
import manifest
import matrix
import report
import roost
import rows
import split
from recipe import Task

HERE = Path(__file__).parent
# Fewer can be neither learnt from nor judged by.
FEWEST_SALES = 2_000
# The newest part of the sales, on which the procedure is judged before it is given all of them.
JUDGED_SHARE = 0.15


@dataclass(frozen=True)
class Judged:
    """How the procedure did on the newest sales when it knew none of them."""

    sales: matrix.Sales
    prices: matrix.Floats
    log_prices: matrix.Floats
    # Latitude and longitude, where they are features.
    place: matrix.Floats | None

    def members(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "metrics": judge.metrics(self.prices, self.sales.price),
            "metrics_spread": judge.spread(self.prices, self.sales.price),
            "judged_from": str(self.sales.day[0]),
            "judged_rows": len(self.sales),
        }


def load(file: Path, mapping_file: Path | None, task: Task, work: Path) -> tuple[matrix.Sales, list[files.Finding]]:
    """The sales of a file, checked, with their features; and what the rules found."""
    mapping = rows.Mapping.read(mapping_file)
    table = rows.check(files.read(file), mapping, task.numeric_attributes())
    output = work / "matrix.csv"
    refused = roost.features(files.write(table, work), mapping_file, task.features, output)
    sales, lacking = matrix.read(output, task)
    return sales, [*table.findings, *(_refused(said, table) for said in refused), *_in_file(lacking, table, mapping)]


def _refused(said: str, table: files.Table) -> files.Finding:
    """What roost says of a row, with the line that the row has in the file: `…rows.csv:17: YearBuilt: …`."""
    place, _, what = said.partition(": ")
    number = place.rpartition(":")[2]
    index = int(number) - (1 if table.columns is None else 2) if number.isdigit() else -1
    known = 0 <= index < len(table.rows)
    return files.Finding("refused", table.rows[index][0] if known else 0, "", what if known else said)


def _in_file(findings: list[files.Finding], table: files.Table, mapping: rows.Mapping) -> list[files.Finding]:
    """Findings in the matrix, with the lines of the file."""
    lines = {mapping.value("ListingKey", row): line for line, row in table.rows}
    keys = [f.listing if f.listing in lines else f.listing.partition(":")[2] for f in findings]
    return [replace(f, line=lines.get(key, 0)) for f, key in zip(findings, keys, strict=True)]


def judge_procedure(sales: matrix.Sales, task: Task) -> Judged:
    """Trains on what was known on the first day of the newest part, and scores that part as it would have been served."""
    first = split.newest_share(sales, JUDGED_SHARE)
    older, newer = split.by_day(sales, first)
    known = older.before(first - np.timedelta64(roost.KNOWN_AFTER_DAYS, "D"))
    model = learn.learn(known, task.recipe)
    columns = [task.features.index(name) for name in ("latitude", "longitude") if name in task.features]
    place = newer.features[:, columns].astype(np.float64) if len(columns) == 2 else None
    return Judged(newer, model.prices(newer), model.log_prices(newer), place)


def place(root: Path, name: str, version: str | None) -> Path:
    """The directory of a new version; a version is made once, since what was valued with it refers to it."""
    there = [path.name for path in (root / name).glob("*")]
    numbers = [int(known) for known in there if known.isdecimal()]
    directory = root / name / (version or str(max(numbers, default=0) + 1))
    if directory.exists():
        sys.exit(f"{name}/{directory.name} is there already ({directory}): give another --version")
    return directory


def tell(file: str, findings: list[files.Finding]) -> None:
    """Names what the rules found on standard error; of what is found everywhere the first, and how many more."""
    for rule in rows.RULES:
        found = [finding for finding in findings if finding.rule == rule]
        for finding in found[: manifest.NAMED_FINDINGS]:
            print(f"{file}, {finding}", file=sys.stderr)
        if len(found) > manifest.NAMED_FINDINGS:
            print(f"{file}: {rule}: and {len(found) - manifest.NAMED_FINDINGS} rows more, in the report", file=sys.stderr)


def arguments() -> argparse.Namespace:
    """The command line; `make model` shows it in use."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="sales: CSV or JSON lines, also .zst; canonical listings need no --map")
    parser.add_argument("--map", type=Path, help="mapping file (docs/mapping.md)")
    parser.add_argument("--features", type=Path, default=HERE / "features.json")
    parser.add_argument("--out", type=Path, default=HERE / "registry", help="root of the registry")
    parser.add_argument("--name", default="synthetic-us")
    parser.add_argument("--version", help="one that is not there yet; else the number after the greatest that is there")
    parser.add_argument(
        "--countries", default="", help="countries that the model covers whole, with commas; else the sales' markets"
    )
    parser.add_argument("--about", help="what the sales are, for the manifest")
    return parser.parse_args()


def main() -> None:
    """Check, judge, train on all, write."""
    options = arguments()
    task = Task.read(options.features)
    directory = place(options.out, options.name, options.version)
    print(f"training {options.name}/{directory.name} on {options.about or options.file.name}", flush=True)
    about = manifest.About(
        options.name, directory.name, options.about or options.file.name, tuple(filter(None, options.countries.split(",")))
    )
    try:
        with tempfile.TemporaryDirectory() as work:
            sales, findings = load(options.file, options.map, task, Path(work))
            meanings = roost.meanings(task.features, Path(work) / "meanings.json")
    except (roost.RoostError, ValueError, OSError) as error:
        sys.exit(f"{options.file}: {error}")
    tell(options.file.name, findings)
    if len(sales) < FEWEST_SALES:
        sys.exit(f"{options.file}: {len(sales)} usable sales, too few to train, calibrate and judge ({FEWEST_SALES})")

    judged = judge_procedure(sales, task)
    model = learn.learn(sales, task.recipe)
    made = manifest.network(model, about, len(task.features))
    apart = manifest.disagreement(made, model, sales)
    if apart > manifest.PARITY:
        sys.exit(f"the network differs from LightGBM by {apart:.1e}, more than {manifest.PARITY:.0e}: it is not written")

    members = judged.members()
    members["metrics"]["network_error"] = apart
    written = manifest.manifest(about, task, meanings, model, sales, made, members, findings)
    manifest.write(directory, made, written)
    (directory / "report.html").write_text(report.page(written, judged, findings), encoding="utf-8")
    print(f"wrote {directory} ({len(made) / 1e6:.2f} MB, {len(sales)} sales)")
    for name, value in members["metrics"].items():
        print(f"{name:24} {value:.6g}")


if __name__ == "__main__":
    main()
