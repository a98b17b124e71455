"""The two files of a model: the network, and the manifest that vouches for it. Writes them; decides nothing."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import onnxruntime

import export
import learn
from files import Finding
from matrix import Features, Floats, Sales
from recipe import Task
from roost import Meaning
from rows import RULES

GOLDEN_ROWS = 8
# Largest relative difference between the network and LightGBM that is accepted.
PARITY = 1e-5
# Most findings of one rule that are named one by one; all are counted.
NAMED_FINDINGS = 50


@dataclass(frozen=True)
class About:
    """What a model is called and what it learnt from."""

    name: str
    version: str
    source: str
    # Covered whole; the markets of the sales are covered in any case.
    countries: tuple[str, ...] = ()


def network(model: learn.Model, about: About, features: int) -> bytes:
    """The model as one ONNX network."""
    offsets = model.trees.centre + model.offsets()
    base_values = [float(np.float32(value)) for value in offsets]
    made = export.network(model.trees.boosters, base_values, features, {"name": about.name, "version": about.version})
    return bytes(made.SerializeToString(deterministic=True))


def disagreement(made: bytes, model: learn.Model, sales: Sales) -> float:
    """The largest relative difference between what ONNX Runtime and LightGBM say of some sales."""
    return float(np.max(np.abs(_run(made, sales.features) / np.exp(model.log_prices(sales)) - 1.0)))


def _run(made: bytes, features: Features) -> Floats:
    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    (price,) = session.run([export.OUTPUT], {export.INPUT: features})
    return np.asarray(price, dtype=np.float64)


def golden_rows(features: Features, expected: Floats) -> list[dict[str, Any]]:
    """Rows from the cheapest to the dearest, and before them the row that misses most."""
    by_price = np.argsort(expected[:, 1], kind="stable")
    spread = by_price[np.linspace(0, len(by_price) - 1, GOLDEN_ROWS - 1).astype(int)]
    chosen = [int(np.argmax(np.isnan(features).sum(axis=1))), *spread.tolist()]
    return [
        {
            "features": [None if math.isnan(value) else value for value in features[row].tolist()],
            "p10": float(expected[row, 0]),
            "p50": float(expected[row, 1]),
            "p90": float(expected[row, 2]),
        }
        for row in chosen
    ]


def inputs(features: list[str], meanings: list[Meaning], columns: Features) -> list[dict[str, Any]]:
    """Of every feature its unit, and where its values lay in training: what a later row is compared with."""
    result = []
    for name, what, column in zip(features, meanings, columns.T, strict=True):
        there = column[~np.isnan(column)].astype(np.float64)
        facts: dict[str, Any] = {"feature": name, "unit": what.unit, "meaning": what.meaning}
        facts["missing"] = round(1.0 - len(there) / len(column), 4)
        if len(there):
            facts["least"], facts["greatest"] = float(there.min()), float(there.max())
            facts["deciles"] = [round(float(q), 5) for q in np.quantile(there, np.arange(1, 10) / 10)]
        result.append(facts)
    return result


def rules_applied(findings: list[Finding]) -> list[dict[str, Any]]:
    """Every rule that found something, what it did, how often and where."""
    result = []
    for rule, does in RULES.items():
        lines = [finding.line for finding in findings if finding.rule == rule]
        if lines:
            result.append({"rule": rule, "does": does, "rows": len(lines), "lines": lines[:NAMED_FINDINGS]})
    return result


def write(directory: Path, made: bytes, manifest: dict[str, Any]) -> None:
    """Both files; the manifest last, since it vouches for the network."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.onnx").write_bytes(made)
    members = [f" {json.dumps(name)}: {_in_lines(value)}" for name, value in manifest.items()]
    (directory / "manifest.json").write_text("{\n" + ",\n".join(members) + "\n}\n", encoding="utf-8")
    onnx.load(directory / "model.onnx")


def _in_lines(value: Any) -> str:
    """JSON with a line for each element of a list of objects: thousands of them are read by people, too."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n  " + ",\n  ".join(json.dumps(v, ensure_ascii=False, allow_nan=False) for v in value) + "\n ]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def manifest(
    about: About,
    task: Task,
    meanings: list[Meaning],
    model: learn.Model,
    sales: Sales,
    made: bytes,
    judged: dict[str, Any],
    findings: list[Finding],
) -> dict[str, Any]:
    """What the model says of itself. `judged` are members that say how good it is, and since when."""
    golden = golden_rows(sales.features, np.exp(model.log_prices(sales)))
    return {
        "name": about.name,
        "version": about.version,
        "sha256": hashlib.sha256(made).hexdigest(),
        "features": task.features,
        "required": task.required,
        "countries": list(about.countries),
        "markets": sorted(set(sales.market.tolist())),
        "transactions": [task.transaction],
        "currency": task.currency,
        "trained_through": str(sales.day[-1]),
        **judged,
        "golden": golden,
        "trained_on": about.source,
        "trained_from": str(sales.day[0]),
        "rows": len(sales),
        "data_sha256": sales.fingerprint(),
        "rules": rules_applied(findings),
        "algorithm": f"LightGBM {lightgbm.__version__}: Huber loss on the log price, quantiles calibrated conformally",
        "recipe": task.recipe.as_dict(),
        "interval_widened_by": {"low": model.widening.low, "high": model.widening.high},
        "gain": model.trees.gain(task.features),
        "inputs": inputs(task.features, meanings, sales.features),
        "level_seed": learn.level_seed(model.twin),
    }
