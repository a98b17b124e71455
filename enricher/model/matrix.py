"""The matrix that `roost features` writes, as arrays. Knows columns and rows; knows nothing of models."""

import csv
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from files import Finding
from recipe import Task
from roost import RoostError

Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]
Texts = npt.NDArray[np.str_]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sales:
    """Closed sales in the order of time: features, closing prices, and which home, where and when."""

    features: Features
    price: Floats
    day: npt.NDArray[np.datetime64]
    market: Texts
    home: Texts

    def part(self, rows: Mask | slice | npt.NDArray[np.int64]) -> "Sales":
        """Some of the rows."""
        return Sales(self.features[rows], self.price[rows], self.day[rows], self.market[rows], self.home[rows])

    def before(self, day: np.datetime64) -> "Sales":
        """The sales that closed before a day."""
        return self.part(self.day < day)

    def since(self, day: np.datetime64) -> "Sales":
        """The sales that closed on that day or later."""
        return self.part(self.day >= day)

    def __len__(self) -> int:
        return len(self.price)

    def fingerprint(self) -> str:
        """SHA-256 of what a model learns from: the same for the same rows, whatever file they came in."""
        digest = hashlib.sha256()
        for texts in (self.home, self.day.astype(str)):
            digest.update("\n".join(texts.tolist()).encode())
        digest.update(self.price.tobytes())
        digest.update(np.nan_to_num(self.features, nan=-1e30).tobytes())
        return digest.hexdigest()


def read(path: Path, task: Task) -> tuple[Sales, list[Finding]]:
    """The closed sales that have every required feature, by date; and which lines lacked one."""
    findings: list[Finding] = []
    rows: list[dict[str, str]] = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in task.features if name not in (reader.fieldnames or [])]
        if missing:
            raise RoostError(f"`roost features` wrote no column {', '.join(missing)} (take a roost of the same version)")
        for row in reader:
            if row["transaction"] != task.transaction or row["currency"] != task.currency:
                continue
            if not row["close_price"] or not row["close_date"]:
                continue
            lacks = [name for name in task.required if not row[name]]
            if lacks:
                findings.append(Finding("required_missing", reader.line_num, row["listing_id"], ", ".join(lacks)))
            else:
                rows.append(row)
    rows.sort(key=lambda row: (row["close_date"], row["listing_id"]))
    values = [[float(row[name]) if row[name] else math.nan for name in task.features] for row in rows]
    sales = Sales(
        features=np.array(values, dtype=np.float32).reshape(len(rows), len(task.features)),
        price=np.array([float(row["close_price"]) for row in rows]),
        day=np.array([row["close_date"] for row in rows], dtype="datetime64[D]"),
        market=np.array([row["market"] for row in rows], dtype=np.str_),
        home=np.array([row["listing_id"] for row in rows], dtype=np.str_),
    )
    return sales, findings
