"""Writes ONNX's own backend suite as files: `python generate.py OUT`, with PyPI's onnx.

OUT/<kind>/<case>/: model.onnx; data.onnx, whose initializers are the tensors of the first data set, named
inputs/<name> and outputs/<name>; case.json: {rtol, atol, inputs: [name or null], outputs: [name or null]}, null
where it is no tensor. The package makes the node cases; the others lie in it as data.
"""

import json
import pathlib
import shutil
import sys

import numpy
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests


def tensor(value, name):
    """A TensorProto named `name`, or None for sequences, optionals and maps."""
    if isinstance(value, onnx.TensorProto):
        value.name = name
        return value
    if isinstance(value, (numpy.ndarray, numpy.generic)):
        return numpy_helper.from_array(numpy.asarray(value), name)
    return None


def write_case(folder, case, model, inputs, outputs):
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)
    sides = {"inputs": inputs, "outputs": outputs}
    listed = {side: [value and value.name for value in values] for side, values in sides.items()}
    listed |= {"rtol": case.rtol, "atol": case.atol}
    (folder / "case.json").write_text(json.dumps(listed))
    # The tensors as initializers of a model: whoever reads ONNX files can read them.
    data = onnx.ModelProto()
    data.graph.name = "data"
    for side, values in sides.items():
        for value in values:
            if value is not None:
                data.graph.initializer.add().CopyFrom(value)
                data.graph.initializer[-1].name = f"{side}/{value.name}"
    (folder / "data.onnx").write_bytes(data.SerializeToString())


def read_stored(path):
    """The tensor of a stored data set; None where the file holds something else."""
    proto = onnx.TensorProto()
    try:
        proto.ParseFromString(path.read_bytes())
    except Exception:  # a SequenceProto or OptionalProto
        return None
    return proto if proto.data_type else None


def node_case(case):
    graph = case.model.graph
    inputs, outputs = case.data_sets[0]
    named = [tensor(value, graph.input[i].name) for i, value in enumerate(inputs)]
    return case.model.SerializeToString(), named, [
        tensor(value, graph.output[i].name) for i, value in enumerate(outputs)
    ]


def stored_case(case):
    folder = pathlib.Path(case.model_dir)
    model = (folder / "model.onnx").read_bytes()
    graph = onnx.load_from_string(model).graph
    initialized = {each.name for each in graph.initializer}
    given = [each for each in graph.input if each.name not in initialized]
    data = folder / "test_data_set_0"
    sides = []
    for side, values in (("input", given), ("output", graph.output)):
        tensors = [read_stored(data / f"{side}_{i}.pb") for i in range(len(values))]
        for value, proto in zip(values, tensors):
            if proto is not None:
                proto.name = value.name
        sides.append(tensors)
    return model, *sides


def main():
    out = pathlib.Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    count = 0
    for kind in ("node", "simple", "pytorch-converted", "pytorch-operator"):
        for case in load_model_tests(kind=kind):
            parts = node_case(case) if kind == "node" else stored_case(case)
            write_case(out / kind / case.name, case, *parts)
            count += 1
    print(f"{count} cases of onnx {onnx.__version__} in {out}")


main()
