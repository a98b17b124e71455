"""Runs the `roost` binary: the one implementation of the features, of the fair-housing guard and of how prices are served."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# How long after it closed a sale is known: what a feed needs to tell it. Live, the feed itself decides; in a replay this does.
KNOWN_AFTER = "7d"
KNOWN_AFTER_DAYS = 7


class RoostError(Exception):
    """What roost said when it refused."""


def binary() -> str:
    """`ROOST`, else the build nearest at hand: release before debug."""
    if "ROOST" in os.environ:
        return os.environ["ROOST"]
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    for profile in ("release", "debug"):
        if (target / profile / "roost").is_file():
            return str(target / profile / "roost")
    sys.exit("no roost binary: `cargo build --release --bin roost`, or set ROOST to it")


def run(output: Path, *arguments: str | Path) -> list[str]:
    """Runs roost, which writes `output`; returns what it says of rows that it refused. Else its own words are the error."""
    command = [binary(), *map(str, arguments), "--output", str(output)]
    environment = {"ORT_DYLIB_PATH": str(ROOT / ".ort/libonnxruntime.so"), **os.environ}
    try:
        done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    except OSError as error:
        raise RoostError(f"{command[0]}: cannot be run: {error.strerror} (set ROOST to a roost binary)") from None
    # Exit code 1 with a file is: all but the rows that are named.
    if done.returncode not in (0, 1) or not output.is_file() or output.stat().st_size == 0:
        raise RoostError(done.stderr.strip() or f"roost {arguments[0]} ended with {done.returncode}")
    return done.stderr.strip().splitlines()[:-1] if done.returncode == 1 else []


def features(file: Path, mapping: Path | None, names: Sequence[str], output: Path) -> list[str]:
    """Writes the matrix of a file; a feature that speaks of people is refused before a row is read. Returns refused rows."""
    how = ["--map", mapping, "--known-after", KNOWN_AFTER] if mapping else ["--known-after", KNOWN_AFTER]
    return run(output, "features", file, *how, "--names", ",".join(names))


@dataclass(frozen=True)
class Meaning:
    """What a feature is counted in, and what it is."""

    unit: str
    meaning: str


def meanings(names: Sequence[str], output: Path) -> list[Meaning]:
    """Of each name, in order, what `enricher/src/features.rs` says of it."""
    run(output, "features", "--meanings", "--names", ",".join(names))
    return [Meaning(said["unit"], said["meaning"]) for said in json.loads(output.read_text(encoding="utf-8"))]


@dataclass(frozen=True)
class Served:
    """A sale, and what would have been shown on the day it closed; no prices where there was no valuation."""

    home: str
    day: str
    paid: float
    prices: tuple[float, float, float] | None
    uncorrected: float | None


def replay(file: Path, mapping: Path | str, registry: Path, model: str, start: str, output: Path) -> list[Served]:
    """Values the sales of a file in the order of time, as they would have been served, from a day on."""
    how = ("--map", str(mapping), "--registry", str(registry), "--model", model)
    run(output, "model", "replay", file, *how, "--known-after", KNOWN_AFTER, "--from", start)
    with output.open(newline="", encoding="utf-8") as lines:
        return [_served(row) for row in csv.DictReader(lines)]


def _served(row: dict[str, str]) -> Served:
    prices = (float(row["p10"]), float(row["p50"]), float(row["p90"])) if row["p50"] else None
    uncorrected = float(row["p50_uncorrected"]) if row["p50_uncorrected"] else None
    return Served(row["listing_id"], row["close_date"], float(row["close_price"]), prices, uncorrected)
