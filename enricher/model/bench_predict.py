"""LightGBM's own predict on the trees of a model that roost ships: one line of the table of `bench trees`.

    bench_predict.py DIRECTORY BATCH...

The registry has no LightGBM files, so the network's trees are written in LightGBM's text format first, a booster for
each quantile, and must say of the golden rows what the manifest says. As `predict` is called in Python, one thread.
"""

import json
import sys
import time
from pathlib import Path

import lightgbm
import numpy as np
import onnx

ROUNDS, SECONDS = 5, 0.3
# The bits of LightGBM's decision_type: missing numbers are NaN, and go left.
MISSING_IS_NAN, DEFAULT_LEFT = 8, 2


def attributes(path):
    """What the ensemble's node says, by name, as arrays."""
    (node,) = [node for node in onnx.load(path).graph.node if node.op_type == "TreeEnsembleRegressor"]
    values = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {name: np.array(value) if isinstance(value, list) else value for name, value in values.items()}


def tree_text(trees, number, position):
    """One tree: splits and leaves are numbered apart, a leaf i as a child is -1 - i."""
    rows = np.flatnonzero(trees["nodes_treeids"] == number)
    is_leaf = trees["nodes_modes"][rows] == b"LEAF"
    splits, leaves = rows[~is_leaf], rows[is_leaf]
    child = {int(trees["nodes_nodeids"][row]): i for i, row in enumerate(splits)}
    child |= {int(trees["nodes_nodeids"][row]): -1 - i for i, row in enumerate(leaves)}
    weights = {
        int(trees["target_nodeids"][row]): trees["target_weights"][row]
        for row in np.flatnonzero(trees["target_treeids"] == number)
    }
    lists = {
        "split_feature": trees["nodes_featureids"][splits],
        "split_gain": np.zeros(len(splits), int),
        "threshold": [repr(float(value)) for value in trees["nodes_values"][splits]],
        "decision_type": MISSING_IS_NAN + DEFAULT_LEFT * trees["nodes_missing_value_tracks_true"][splits],
        "left_child": [child[int(node)] for node in trees["nodes_truenodeids"][splits]],
        "right_child": [child[int(node)] for node in trees["nodes_falsenodeids"][splits]],
        "leaf_value": [repr(float(weights[int(trees["nodes_nodeids"][row])])) for row in leaves],
    }
    lines = [f"{name}={' '.join(map(str, values))}" for name, values in lists.items()]
    head = [f"Tree={position}", f"num_leaves={len(leaves)}", "num_cat=0"]
    return "\n".join([*head, *lines, "is_linear=0", "shrinkage=1"])


def boosters(trees, columns):
    """A booster for each target."""
    target_of = dict(zip(trees["target_treeids"].tolist(), trees["target_ids"].tolist(), strict=True))
    head = [
        "tree", "version=v4", "num_class=1", "num_tree_per_iteration=1", "label_index=0",
        f"max_feature_idx={columns - 1}", "objective=quantile",
        f"feature_names={' '.join(f'f{i}' for i in range(columns))}",
        f"feature_infos={' '.join(['[-1e300:1e300]'] * columns)}",
    ]  # fmt: skip
    for target in range(len(trees["base_values"])):
        numbers = [number for number, of in target_of.items() if of == target]
        texts = [tree_text(trees, number, position) + "\n\n" for position, number in enumerate(numbers)]
        sizes = f"tree_sizes={' '.join(str(len(text) + 1) for text in texts)}"
        text = "\n".join([*head, sizes, "", *texts, "end of trees", ""])
        yield lightgbm.Booster(model_str=text)


def main():
    """Check, measure, print."""
    directory, batches = Path(sys.argv[1]), [int(batch) for batch in sys.argv[2:]]
    golden = json.loads((directory / "manifest.json").read_text())["golden"]
    rows = np.array([[np.nan if v is None else v for v in row["features"]] for row in golden], np.float32)
    trees = attributes(directory / "model.onnx")
    ours = list(boosters(trees, rows.shape[1]))

    def predict(batch):
        return np.exp(np.column_stack([b.predict(batch, num_threads=1) for b in ours]) + trees["base_values"])

    expected = [[row["p10"], row["p50"], row["p90"]] for row in golden]
    np.testing.assert_allclose(np.sort(predict(rows), axis=1), expected, rtol=1e-4)
    rows = np.tile(rows, (max(batches) // len(rows) + 1, 1))
    rows *= np.random.default_rng(1).uniform(0.9, 1.1, rows.shape).astype(np.float32)
    cells = " | ".join(measure(predict, rows, batch) for batch in batches)
    print(f"| LightGBM {lightgbm.__version__}, Python | {cells} | – |")


def measure(predict, rows, batch):
    """Rows per second of CPU, the best round."""
    best = 0.0
    for _ in range(ROUNDS):
        begun, cpu, done = time.monotonic(), time.thread_time(), 0
        while time.monotonic() - begun < SECONDS:
            start = done % (len(rows) - batch + 1)
            predict(rows[start : start + batch])
            done += batch
        best = max(best, done / (time.thread_time() - cpu))
    return f"{best:.0f}"


if __name__ == "__main__":
    main()
