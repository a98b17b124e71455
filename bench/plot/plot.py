"""Draws bench/peers/measured.jsonl: changes a second and memory against size, every engine beside the others.

Of several runs of one engine at one size the median counts. Says nothing that is not in that file.
"""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

SIZES = {"S": 10_000, "M": 100_000, "L": 1_000_000}
STYLES = {
    "roost avx512": ("#0b6e4f", "o"),
    "roost scalar": ("#5aa17f", "s"),
    "brute": ("#444444", "D"),
    "flink keyed": ("#d1495b", "^"),
    "dbsp": ("#2e6db4", "v"),
    "pg": ("#8a5a9e", "P"),
    "flink sql": ("#e39a2d", "X"),
}
NAMES = {"brute": "brute force, packed", "pg": "PostgreSQL", "flink keyed": "Flink, by hand", "flink sql": "Flink SQL"}


def medians(rows, field):
    """Engine and batched or not -> size -> the best batch's median."""
    runs = defaultdict(list)
    for row in rows:
        if row["size"] in SIZES and row.get(field) and not row.get("mismatches"):
            runs[row["engine"], row["batch"], row["size"]].append(row[field])
    lines = defaultdict(dict)
    for (engine, batch, size), values in runs.items():
        line = lines[engine, batch > 1]
        line[SIZES[size]] = max(line.get(SIZES[size], 0), statistics.median(values))
    return lines


def draw(axes, lines, label):
    for engine, (color, marker) in STYLES.items():
        for batched in (False, True):
            line = sorted(lines.get((engine, batched), {}).items())
            if line:
                name = NAMES.get(engine, engine) + (", batched" if batched else "")
                style = {"linestyle": "--" if batched else "-", "fillstyle": "none" if batched else "full"}
                axes.plot(*zip(*line), color=color, marker=marker, label=name, **style)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(list(SIZES.values()), ["S\n10k × 10k", "M\n100k × 100k", "L\n1M × 1M"])
    axes.minorticks_off()
    axes.set_xlabel("listings × sessions")
    axes.set_ylabel(label)
    axes.grid(True, alpha=0.3)


def main(source, target):
    rows = [json.loads(line) for line in Path(source).read_text().splitlines() if line]
    figure, (rate, memory) = plt.subplots(1, 2, figsize=(12, 5.2), layout="constrained")
    draw(rate, medians(rows, "changes_per_s"), "listing changes per second")
    draw(memory, medians(rows, "rss_mib"), "resident memory with the harness, MiB")
    handles, labels = rate.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.suptitle("ListingMark: the exact top three of every session, one worker")
    plt.rcParams["svg.hashsalt"] = "roost"
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
