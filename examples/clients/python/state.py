"""The state of a bundle as a safetensors file, both ways, as compiler/bundle/CONTRACT.md says."""
import json
import numpy as np

STORED = {"F32": np.float32, "I64": np.int64}

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
