"""Trains with artifacts of ONNX Runtime Training: FOLDER holds them, and plan.json, which says what is fed and when.

Of each step the losses are printed; after half of the steps everything is saved, and a new session goes on
from the file. What is left at the end: `half` and `saved`, checkpoints with the optimizer's state, and
`served.onnx`, which the runtime exports, with what it answers and what the evaluation model does.
"""
import json
import os
import sys
import types
from pathlib import Path

import numpy as np
import onnxruntime

# The package's own __init__ imports PyTorch, which training itself does not need.
package = types.ModuleType("onnxruntime.training")
package.__path__ = [os.path.join(os.path.dirname(onnxruntime.__file__), "training")]
sys.modules["onnxruntime.training"] = package
from onnxruntime.training.api import CheckpointState, Module, Optimizer  # noqa: E402

folder = Path(sys.argv[1])
manifest = json.loads((folder / "ort-training.json").read_text())
plan = json.loads((folder / "plan.json").read_text())
path = lambda name: str(folder / name)


def fed(step, kind):
    """The tensors of a step, in the order of the manifest."""
    return [
        np.array(plan["steps"][step][entry["name"]], np.float64)
        .reshape([plan["rows"] if size == "N" else size for size in entry["shape"]])
        .astype(entry["dtype"])
        for entry in manifest["inputs"][kind]
    ]


def opened(checkpoint):
    state = CheckpointState.load_checkpoint(path(checkpoint))
    module = Module(path("training_model.onnx"), state, path("eval_model.onnx"))
    return state, module, Optimizer(path("optimizer_model.onnx"), module)


result = {"version": onnxruntime.__version__, "steps": []}
state, module, optimizer = opened("checkpoint")
result["rate"] = optimizer.get_learning_rate()
result["inputs"], result["outputs"] = module.input_names(), module.output_names()
count = len(plan["steps"])
for step in range(count):
    if step == count // 2:
        CheckpointState.save_checkpoint(state, path("half"), True)
        state, module, optimizer = opened("half")
    if plan["rates"][step] is not None:
        optimizer.set_learning_rate(plan["rates"][step])
    module.train()
    given = module(*fed(step, "training"))
    result["steps"].append([float(value) for value in given if value.size == 1])
    if (step + 1) % manifest["accumulate"] == 0:
        optimizer.step()
        module.lazy_reset_grad()

CheckpointState.save_checkpoint(state, path("saved"), True)
module.eval()
evaluated = module(*fed(0, "evaluation"))
result["evaluated"] = [value.ravel().tolist() for value in evaluated]
served = [output["name"] for output in manifest["outputs"] if output["is"] == "served"]
module.export_model_for_inferencing(path("served.onnx"), served)
session = onnxruntime.InferenceSession(path("served.onnx"))
answers = session.run(served, {"image": fed(0, "evaluation")[0]})
result["served"] = [value.ravel().tolist() for value in answers]
(folder / "result.json").write_text(json.dumps(result))
