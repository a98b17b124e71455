"""Trains a price model: a file of sales in, a directory of the model registry out.

    python train.py SALES.csv --map MAP.toml --features FEATURES.json --name my-market --version 2026-11

Writes `<out>/<name>/<version>/` with `model.onnx`, `manifest.json` and `report.html`. The features are computed by
`roost features`, so that training and valuing share one implementation. README.md says what the numbers mean.
"""

import argparse
import difflib
import os
import re
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm
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
# The procedure is judged by what it learns of so many at least, and its twin learns of half as many.
FEWEST_KNOWN = 600
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
    """The sales of a file, checked, with their features; and what the rules found. Too few, or a feature of none, is an error."""
    mapping = rows.Mapping.read(mapping_file)
    read = files.read(file)
    if read.columns is not None and mapping_file is None:
        raise files.InputError(f"{file}: what its columns mean is not told (give a --map; docs/mapping.md)")
    table = rows.check(read, mapping, task.numeric_attributes())
    output = work / "matrix.csv"
    written = files.write(table, work)
    try:
        refused = roost.features(written, mapping_file, task.features, output)
    except roost.RoostError as error:
        raise roost.RoostError(_of_file(str(error), written, file, table)) from None
    sales, lacking = matrix.read(output, task)
    findings = [*table.findings, *_refused(refused, table), *_in_file(lacking, table, mapping)]
    if len(sales) < FEWEST_SALES:
        tell(file.name, findings)
        raise files.InputError(f"{file}: {_too_few(len(sales), len(read.rows), findings, task)}")
    if told := nowhere(sales, task, _attributes(table, mapping)):
        raise files.InputError(f"{file}: {told} (remove it from the features, or map a column to it)")
    return sales, findings


def _too_few(usable: int, read: int, findings: list[files.Finding], task: Task) -> str:
    """Why there are so few sales: which rules dropped how many, and what no rule is about."""
    dropping = [rule for rule, does in rows.RULES.items() if does.startswith("dropped")]
    dropped = {rule: len({f.line for f in findings if f.rule == rule}) for rule in dropping}
    lacking = sorted({name for f in findings if f.rule == "required_missing" for name in f.what.split(", ")})
    named = {"required_missing": f" ({', '.join(lacking)})"}
    why = [f"{rule} dropped {count:,}{named.get(rule, '')}" for rule, count in dropped.items() if count]
    gone = len({f.line for f in findings if dropped.get(f.rule)} - {f.line for f in findings if f.rule == "unreadable_line"})
    if (others := read - usable - gone) > 0:
        asked = f"a {task.transaction} in {task.currency}, as the features file asks for"
        why.append(f"{others:,} tell no closing, or none of {asked}")
    needed = f"{FEWEST_SALES:,} are needed to train, calibrate and judge"
    return f"{usable:,} usable sales of {read:,} rows, {needed}" + (": " + "; ".join(why) if why else "")


def nowhere(sales: matrix.Sales, task: Task, attributes: list[str]) -> str | None:
    """The first feature that no sale has, and the nearest name of those that some have: most likely a slip of the pen."""
    is_there = ~np.isnan(sales.features).all(axis=0)
    for name, there in zip(task.features, is_there, strict=True):
        if there:
            continue
        known = [*(f"attributes.{attribute}" for attribute in attributes), *np.array(task.features)[is_there].tolist()]
        near = difflib.get_close_matches(name.partition("=")[0], known, 1)
        nearest = f"; the nearest that they have is {near[0]}" if near else ""
        return f"the feature {name} is missing in all {len(sales):,} sales{nearest}"
    return None


def _attributes(table: files.Table, mapping: rows.Mapping) -> list[str]:
    """The attributes that the rows have."""
    names = {name: None for name in mapping.attributes if any(mapping.value(name, row) for _, row in table.rows)}
    for _, row in table.rows:
        if isinstance(own := row.get("attributes"), dict):
            names.update(dict.fromkeys(own))
    return list(names)


def _of_file(said: str, written: Path, file: Path, table: files.Table) -> str:
    """What roost says of the checked rows, said of the file that they came from, with its line."""
    lines = table.lines()
    # The header's number is the same.
    numbered = re.sub(rf"{re.escape(str(written))}:(\d+)", lambda at: f"{file}:{lines.get(int(at[1]), int(at[1]))}", said)
    return numbered.replace(str(written), str(file)).removeprefix("roost: ")


def _refused(refused: list[str], table: files.Table) -> list[files.Finding]:
    """What roost says of rows, with the lines that they have in the file: `…rows.csv:17: YearBuilt: …`."""
    lines, findings = table.lines(), []
    for said in refused:
        place, _, what = said.partition(": ")
        number = place.rpartition(":")[2]
        line = lines.get(int(number), 0) if number.isdecimal() else 0
        findings.append(files.Finding("refused", line, "", what))
    return findings


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
    if len(known) < FEWEST_KNOWN or len(learn.parts(known)[0]) < FEWEST_KNOWN // 2:
        span = f"{sales.day[0]} to {sales.day[-1]}"
        raise files.InputError(
            f"the sales of {span} lie too close together: {len(known):,} of other homes closed {roost.KNOWN_AFTER_DAYS} days "
            f"before the newest 15 % (expected at least {FEWEST_KNOWN:,}, half of them more than {learn.TWIN_DAYS} days before "
            "the last: add older sales)"
        )
    model = learn.learn(known, task.recipe)
    columns = [task.features.index(name) for name in ("latitude", "longitude") if name in task.features]
    place = newer.features[:, columns].astype(np.float64) if len(columns) == 2 else None
    return Judged(newer, model.prices(newer), model.log_prices(newer), place)


def place(root: Path, name: str, version: str | None) -> Path:
    """The directory of a new version; a version is made once, since what was valued with it refers to it."""
    there = [path.name for path in (root / name).glob("*")]
    numbers = [int(known) for known in there if known.isdecimal()]
    directory = root / name / (version or str(max(numbers, default=0) + 1))
    if os.path.lexists(directory):
        sys.exit(f"{name}/{directory.name} is there already ({directory}): give another --version")
    above = next(parent for parent in directory.parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        sys.exit(f"{directory} cannot be made: {above} is no directory that can be written to (give another --out)")
    return directory


def tell(file: str, findings: list[files.Finding]) -> None:
    """Names what the rules found on standard error; of what is found everywhere the first, and how many more."""
    for rule in rows.RULES:
        found = [finding for finding in findings if finding.rule == rule]
        for finding in found[: manifest.NAMED_FINDINGS]:
            print(f"{file}, {finding}", file=sys.stderr)
        if len(found) > manifest.NAMED_FINDINGS:
            print(f"{file}: {rule}: and {len(found) - manifest.NAMED_FINDINGS} rows more, in the report", file=sys.stderr)


def plain_name(text: str) -> str:
    """A name or version as roost takes it (`schemas/src/model_alias.rs`): it becomes a directory."""
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", text):
        expected = "at most 64 letters, digits, `-`, `_` and `.`, and no `.` at the beginning"
        raise argparse.ArgumentTypeError(f"`{files.shown(text)}` is no plain name (expected {expected})")
    return text


def countries(text: str) -> tuple[str, ...]:
    """Codes of countries, each of two letters."""
    codes = [code.strip() for code in text.split(",") if code.strip()]
    for code in codes:
        if not re.fullmatch("[A-Za-z]{2}", code):
            raise argparse.ArgumentTypeError(f"`{files.shown(code)}` is no country (expected codes of two letters, as us,ca)")
    return tuple(dict.fromkeys(code.lower() for code in codes))


def arguments() -> argparse.Namespace:
    """The command line; `make model` shows it in use."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="sales: CSV or JSON lines, also .zst; canonical listings need no --map")
    parser.add_argument("--map", type=Path, help="mapping file (docs/mapping.md)")
    parser.add_argument("--features", type=Path, default=HERE / "features.json")
    parser.add_argument("--out", type=Path, default=HERE / "registry", help="root of the registry")
    parser.add_argument("--name", default="synthetic-us", type=plain_name)
    parser.add_argument(
        "--version", type=plain_name, help="one that is not there yet; else the number after the greatest that is there"
    )
    parser.add_argument(
        "--countries",
        default=(),
        type=countries,
        help="countries that the model covers whole, with commas; else the sales' markets",
    )
    parser.add_argument("--about", help="what the sales are, for the manifest")
    return parser.parse_args()


def main() -> None:
    """Says what is wrong in one sentence, if anything is."""
    options = arguments()
    try:
        train(options)
    except (files.InputError, roost.RoostError) as error:
        # What roost says of the names that it was given, is said of the file that they stand in.
        sys.exit(re.sub("^features: ", lambda _: f"{options.features}: ", str(error)))
    except lightgbm.basic.LightGBMError as error:
        sys.exit(f"{options.features}: LightGBM refuses to train by this recipe: {str(error).partition(' at /')[0]}")
    except OSError as error:
        sys.exit(f"{error.filename or options.out}: {error.strerror or error} (is there a place to write to?)")


def train(options: argparse.Namespace) -> None:
    """Check, judge, train on all, write."""
    task = Task.read(options.features)
    directory = place(options.out, options.name, options.version)
    about = manifest.About(options.name, directory.name, options.about or options.file.name, options.countries)
    with tempfile.TemporaryDirectory() as work:
        sales, findings = load(options.file, options.map, task, Path(work))
        meanings = roost.meanings(task.features, Path(work) / "meanings.json")
    tell(options.file.name, findings)
    print(f"training {options.name}/{directory.name} on {about.source}: {len(sales):,} sales", flush=True)

    try:
        judged = judge_procedure(sales, task)
    except files.InputError as error:
        raise files.InputError(f"{options.file}: {error}") from None
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
