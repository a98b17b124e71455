"""Runs the `roost` binary: the one implementation of the features, of the fair-housing guard and of how prices are served."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# How long after it closed a sale is known: what a feed needs to tell it. Live, the feed itself decides; in a replay this does.
KNOWN_AFTER = "7d"
KNOWN_AFTER_DAYS = 7


class RoostError(Exception):
    """What roost said when it refused."""


def binary() -> str:
    """`ROOST`, else the build nearest at hand: release before debug."""
    if "ROOST" in os.environ:
        return os.environ["ROOST"]
    target = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parents[2] / "target"))
    for profile in ("release", "debug"):
        if (target / profile / "roost").is_file():
            return str(target / profile / "roost")
    sys.exit("no roost binary: `cargo build --release --bin roost`, or set ROOST to it")


def run(*arguments: str | Path) -> None:
    """Runs roost; its own words are the error."""
    done = subprocess.run([binary(), *map(str, arguments)], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RoostError(done.stderr.strip() or f"roost {arguments[0]} ended with {done.returncode}")


def features(file: Path, mapping: Path | None, names: Sequence[str], output: Path) -> None:
    """Writes the matrix of a file. Refuses a feature that speaks of people before it reads a row."""
    how = ["--map", mapping, "--known-after", KNOWN_AFTER] if mapping else ["--known-after", KNOWN_AFTER]
    run("features", file, *how, "--names", ",".join(names), "--output", output)


def replay(file: Path, mapping: Path, registry: Path, model: str, start: str, output: Path) -> None:
    """Values the sales of a file in the order of time, as they would have been served, and writes the predictions."""
    run(
        *("model", "replay", file, "--map", mapping, "--registry", registry, "--model", model),
        *("--known-after", KNOWN_AFTER, "--from", start, "--output", output),
    )
