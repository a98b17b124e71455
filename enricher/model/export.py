"""Writes LightGBM boosters as one ONNX network that decides every split exactly as LightGBM does.

Several boosters become one TreeEnsembleRegressor with one target each, followed by Exp and a sort: a row of features
in, a row of ascending prices out. Knows nothing of listings or calibration (train.py does).

Two things make the 32-bit network follow the 64-bit original:

* LightGBM compares a feature with a 64-bit threshold, ONNX with a 32-bit one. The features are 32-bit in both, so
  rounding the threshold down to the next 32-bit number leaves every decision as it was.
* The sum over the trees is taken in 32 bits. The boosters predict the distance from a constant, which is added last
  (`base_values`): small numbers have small rounding errors.

How many rows of the training went through each node is written too (`nodes_hitrates`): prices are explained by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import lightgbm
import numpy as np
import onnx
from onnx import TensorProto, helper

INPUT = "features"
OUTPUT = "price"

# The smallest operator sets that have what is used; every runtime of the last years reads them.
ONNX_OPSET = 17
ML_OPSET = 3
IR_VERSION = 8


@dataclass
class Ensemble:
    """The attributes of a TreeEnsembleRegressor, one entry per node or leaf."""

    nodes: dict[str, list[Any]] = field(
        default_factory=lambda: {
            "nodes_treeids": [],
            "nodes_nodeids": [],
            "nodes_featureids": [],
            "nodes_modes": [],
            "nodes_values": [],
            "nodes_truenodeids": [],
            "nodes_falsenodeids": [],
            "nodes_missing_value_tracks_true": [],
            "nodes_hitrates": [],
        }
    )
    leaves: dict[str, list[Any]] = field(
        default_factory=lambda: {"target_treeids": [], "target_nodeids": [], "target_ids": [], "target_weights": []}
    )
    trees: int = 0

    def add_booster(self, booster: lightgbm.Booster, target: int, share: float) -> None:
        """Adds all trees of a booster; their sum, times `share`, is added to `target`."""
        for tree in booster.dump_model()["tree_info"]:
            _Tree(self, self.trees, target, share).add(tree["tree_structure"])
            self.trees += 1


class _Tree:
    """Numbers the nodes of one tree while they are added."""

    def __init__(self, ensemble: Ensemble, tree: int, target: int, share: float) -> None:
        self.ensemble = ensemble
        self.tree = tree
        self.target = target
        self.share = share
        self.count = 0

    def add(self, node: dict[str, Any]) -> int:
        """Adds a node and what is below it; returns its number."""
        number = self.count
        self.count += 1
        if "leaf_value" in node:
            self._node(number, "LEAF", rows=node.get("leaf_count", 1))
            self._leaf(number, node["leaf_value"] * self.share)
            return number
        if node["decision_type"] != "<=":
            raise ValueError(f"a split of type {node['decision_type']}: only numerical features can be exported")
        position = self._node(
            number,
            "BRANCH_LEQ",
            feature=int(node["split_feature"]),
            value=round_down_to_f32(node["threshold"]),
            missing_goes_left=missing_goes_left(node),
            rows=node["internal_count"],
        )
        left = self.add(node["left_child"])
        right = self.add(node["right_child"])
        self.ensemble.nodes["nodes_truenodeids"][position] = left
        self.ensemble.nodes["nodes_falsenodeids"][position] = right
        return number

    def _node(
        self,
        number: int,
        mode: str,
        rows: int,
        feature: int = 0,
        value: float = 0.0,
        missing_goes_left: bool = False,
    ) -> int:
        row = {
            "nodes_treeids": self.tree,
            "nodes_nodeids": number,
            "nodes_featureids": feature,
            "nodes_modes": mode,
            "nodes_values": value,
            "nodes_truenodeids": 0,
            "nodes_falsenodeids": 0,
            "nodes_missing_value_tracks_true": int(missing_goes_left),
            "nodes_hitrates": float(rows),
        }
        for name, entry in row.items():
            self.ensemble.nodes[name].append(entry)
        return len(self.ensemble.nodes["nodes_treeids"]) - 1

    def _leaf(self, number: int, value: float) -> None:
        row = {
            "target_treeids": self.tree,
            "target_nodeids": number,
            "target_ids": self.target,
            "target_weights": value,
        }
        for name, entry in row.items():
            self.ensemble.leaves[name].append(entry)


def round_down_to_f32(threshold: float) -> float:
    """The greatest 32-bit number that is not above the threshold: no 32-bit feature lies between the two."""
    # LightGBM parts what is missing from the rest at the greatest 64-bit number.
    with np.errstate(over="ignore"):
        rounded = np.float32(threshold)
    if float(rounded) > threshold:
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return float(rounded)


def missing_goes_left(node: dict[str, Any]) -> bool:
    """Where LightGBM sends a missing value. A split that saw none in training takes it for a zero."""
    if node["missing_type"] == "NaN":
        return bool(node["default_left"])
    return bool(node["threshold"] >= 0.0)


def network(
    ensembles: Sequence[list[lightgbm.Booster]], base_values: list[float], features: int, about: dict[str, str]
) -> onnx.ModelProto:
    """One network: `features` [N, features] in, `price` [N, ensembles] out: exp(base value + trees), ascending.

    An ensemble says the mean of its boosters. Ensembles that are trained each on its own quantile cross now and then;
    sorting what they say is never worse than not to (Chernozhukov, Fernández-Val, Galichon, *Quantile and Probability
    Curves without Crossing*, 2010).
    """
    ensemble = Ensemble()
    for target, boosters in enumerate(ensembles):
        for booster in boosters:
            ensemble.add_booster(booster, target, 1.0 / len(boosters))
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        ["log_price"],
        domain="ai.onnx.ml",
        n_targets=len(ensembles),
        aggregate_function="SUM",
        post_transform="NONE",
        base_values=[float(np.float32(value)) for value in base_values],
        **ensemble.nodes,
        **ensemble.leaves,
    )
    exp = helper.make_node("Exp", ["log_price"], ["any_order"])
    sort = helper.make_node("TopK", ["any_order", "targets"], [OUTPUT, "order"], axis=1, largest=0, sorted=1)
    graph = helper.make_graph(
        [trees, exp, sort],
        "price",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", features])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", len(ensembles)])],
        [helper.make_tensor("targets", TensorProto.INT64, [1], [len(ensembles)])],
    )
    opsets = [helper.make_opsetid("", ONNX_OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="roost")
    model.ir_version = IR_VERSION
    helper.set_model_props(model, about)
    onnx.checker.check_model(model)
    return model
