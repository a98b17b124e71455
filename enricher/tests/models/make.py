"""Makes the models of the tests: price = area * rate + 10 * Oddity, missing numbers count as 0.

    python -m venv .venv && .venv/bin/pip install onnx && .venv/bin/python enricher/tests/models/make.py

`tiny/1` and `tiny/2` differ in their rates; `broken/1` says something else than its golden row, `wide/1` and `fixed/1` have signatures
that roost does not take.
"""
import hashlib
import json
import pathlib

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
FEATURES = ["living_area_sqft", "attributes.Oddity"]


def network(rates, outputs=3, rows="N"):
    weights = numpy.array([rates[:outputs], [10.0] * outputs], dtype=numpy.float32)
    nodes = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "features"], ["known"]),
        helper.make_node("MatMul", ["known", "weights"], ["price"]),
    ]
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [rows, len(FEATURES)])],
        [helper.make_tensor_value_info("price", TensorProto.FLOAT, [rows, outputs])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(numpy.float32(0), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def write(name, version, rates, golden, outputs=3, rows="N"):
    directory = HERE / name / version
    directory.mkdir(parents=True, exist_ok=True)
    onnx_bytes = network(rates, outputs, rows)
    (directory / "model.onnx").write_bytes(onnx_bytes)
    manifest = {
        "name": name, "version": version, "sha256": hashlib.sha256(onnx_bytes).hexdigest(),
        "features": FEATURES, "required": ["living_area_sqft"],
        "countries": ["us"], "transactions": ["sale"], "currency": "USD",
        "trained_through": "2026-01-31", "metrics": {}, "golden": golden,
    }
    (directory / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def golden(rates):
    return [
        {"features": [1000, None], **dict(zip(["p10", "p50", "p90"], [1000 * r for r in rates]))},
        {"features": [1234, 5], **dict(zip(["p10", "p50", "p90"], [1234 * r + 50 for r in rates]))},
    ]


ONE, TWO = [200.0, 250.0, 300.0], [300.0, 350.0, 400.0]
write("tiny", "1", ONE, golden(ONE))
write("tiny", "2", TWO, golden(TWO))
write("broken", "1", TWO, golden(ONE))
write("wide", "1", ONE, golden(ONE), outputs=2)
write("fixed", "1", ONE, golden(ONE), rows=2)
