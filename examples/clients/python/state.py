"""The state of a bundle as a safetensors file, both ways, as compiler/bundle/CONTRACT.md says."""
import json
import numpy as np

STORED = {"F32": np.float32, "I64": np.int64}
# Roles of what graphs carry from one to the next, beside the state.
SUMS = {"accumulator", "losses"}

def check_states(graphs, state):
    """Ends the program where a graph reads or replaces a state that is not there, or a sum that none makes."""
    inputs = [tensor for graph in graphs for tensor in graph["inputs"]]
    outputs = [tensor for graph in graphs for tensor in graph["outputs"] if "replaces" in tensor]
    made = {tensor["replaces"] for tensor in outputs if tensor["role"] in SUMS}
    read = {tensor["name"] for tensor in inputs if tensor["role"] in {"state", *SUMS}}
    replaced = {tensor["replaces"] for tensor in outputs if tensor["role"] == "state"}
    for strange in (read | replaced) - {*state, *made}:
        raise SystemExit(f"this driver does not know the state {strange}")

def read_state(file):
    """The header (name -> dtype, shape, place), and a dict of arrays in its order."""
    data = file.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8:start]), memoryview(data)[start:]
    header.pop("__metadata__", None)
    read = lambda at: np.frombuffer(body[slice(*at["data_offsets"])], STORED[at["dtype"]]).reshape(at["shape"])
    return header, {name: read(at) for name, at in header.items()}

def write_state(file, header, state, metadata):
    """The same tensors in the same order, and strings about them, which `mttc adopt` reads."""
    text = json.dumps({"__metadata__": metadata, **header})
    size = len(text) + -len(text) % 8
    numbers = b"".join(state[name].tobytes() for name in header)
    file.write_bytes(size.to_bytes(8, "little") + text.ljust(size).encode() + numbers)
