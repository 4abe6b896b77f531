"""Exports the networks of network_list.py as users do, with what PyTorch computes in float64, for networks.ts:

    <folder>/<network>.<form>.onnx         the whole network with its classifier
    <folder>/<network>.<form>.safetensors  image [2,3,H,W], cotangent and features [2,C,h,w], "gradient" of
                                           sum(features * cotangent) by all parameters, one after the other (metadata:
                                           their names, shapes, and which of them the features depend on), and for each
                                           float tensor of the file "index/<name>": which of those numbers its own are
                                           (-1: none), "factor/<name>": by what they are multiplied where an exporter
                                           folded a batch norm into them

    python3 -m venv venv && venv/bin/pip install torch torchvision timm onnx onnxscript safetensors
    venv/bin/python export_networks.py FOLDER [--form script --form dynamo ...] [--batch 2] [network ...]

Weights are random numbers with noise on everything, biases and running statistics too, so that no exporter merges equal
tensors and every number is found again in the file: the numbers of one tensor are all different.
"""

import argparse
import io
import json
import math
import pathlib
import time
import warnings
import zlib

import numpy as np
import onnx
import torch
from safetensors.numpy import save_file
from torch import nn

from network_list import FIXTURES, NETWORKS

warnings.filterwarnings("ignore")
torch.set_num_threads(1)

BATCH = 2
# Images are drawn anew until PyTorch's own float32 gradients stay this near to float64 (kinks of relu and pooling).
LARGEST_GAP = 2e-5
DRAWS = 5
# Numbers of a tensor that are looked up to find which parameter it was made of.
PROBES = 8

FORMS = {
    "script": dict(dynamo=False, opset_version=17, dynamic_axes={"image": {0: "batch"}}),
    "script-fixed": dict(dynamo=False, opset_version=17),
    "dynamo": dict(dynamo=True),
    # A batch that torch.export follows must not be 1.
    "dynamo-norms": dict(dynamo=True, optimize=False, dynamic_shapes=({0: torch.export.Dim("batch")},)),
}


def without_traces(model):
    """The model without the exporter's stack traces, which name folders of the machine that it ran on."""
    for holder in (model.graph, *model.functions):
        for each in (holder, *holder.node, *getattr(holder, "value_info", [])):
            kept = [entry for entry in each.metadata_props if entry.key != "pkg.torch.onnx.stack_trace"]
            del each.metadata_props[:]
            each.metadata_props.extend(kept)
    return model


def draw(name, shape):
    """Distinct float32 numbers for the tensor `name`: a permutation of an even grid of [-1, 1), scaled."""
    count = max(1, math.prod(shape))
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    u = ((generator.permutation(count) + 0.5) / count * 2 - 1 + generator.uniform(-0.4, 0.4) / count).reshape(shape)
    last = name.rsplit(".", 1)[-1]
    if last == "running_var":
        return 1 + u / 2
    if last == "running_mean":
        return u / 2
    is_scale = last in ("gamma", "weight", "scale", "alpha", "layer_scale") or "layer_scale" in name or ".ls" in name
    if len(shape) <= 1 or math.prod(shape) == max(shape):
        return 0.75 + u / 4 if is_scale or len(shape) == 0 else u / 8
    if "attention_biases" in last or "bias_table" in last:
        return 2 * u
    if any(part in last for part in ("pos_embed", "token", "rel_", "position")):
        return u / 2
    return u * math.sqrt(3 / math.prod(shape[1:]))


def set_weights(network):
    learned = {name for name, _ in network.named_parameters()}
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            is_statistic = name.endswith(("running_mean", "running_var"))
            if tensor.is_floating_point() and (name in learned or is_statistic):
                tensor.copy_(torch.from_numpy(np.asarray(draw(name, tuple(tensor.shape)), dtype=np.float32)))


def export(network, image, form):
    forget(network)
    settings = dict(input_names=["image"], output_names=["logits"], **FORMS[form])
    if settings["dynamo"]:
        return torch.onnx.export(network, (image,), verbose=False, **settings).model_proto
    buffer = io.BytesIO()
    torch.onnx.export(network, (image,), buffer, **settings)
    return onnx.load_from_string(buffer.getvalue())


def settle(network, image):
    """Running statistics as training would have left them, with noise: else activations grow from block to block until
    softmax and sigmoid saturate, and what is left of the gradients is rounding."""
    norms = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    for layer in norms:
        layer.momentum_before, layer.momentum = layer.momentum, 1.0
        layer.train()
    with torch.no_grad():
        network(image)
        generator = torch.Generator().manual_seed(0)
        for layer in norms:
            layer.eval()
            layer.momentum = layer.momentum_before
            if layer.running_var is None:
                continue
            noise = torch.rand(2, *layer.running_var.shape, generator=generator) - 0.5
            layer.running_mean += noise[0] * layer.running_var.sqrt()
            layer.running_var *= 1 + noise[1]
            layer.running_var.clamp_(min=0.2 * float(layer.running_var.mean()) + 0.2)


def forget(network):
    """Some networks keep attention biases that they computed once: from weights of another dtype, or as constants."""
    for layer in network.modules():
        if hasattr(layer, "attention_bias_cache"):
            layer.attention_bias_cache.clear()


def gradients(network, features, image, cotangent, dtype):
    """Features and the gradient by each parameter that they depend on, as float64 arrays."""
    network.to(dtype).zero_grad()
    forget(network)
    found = features(network, image.to(dtype))
    (found * cotangent.to(dtype)).sum().backward()
    named = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    arrays = {name: grad.double().numpy().copy() for name, grad in named.items()}
    result = found.detach().double().numpy().copy()
    network.to(torch.float32).zero_grad(set_to_none=True)
    return result, arrays


def reference(name, network, side, features):
    """Image, cotangent, features and gradients of the draw whose float32 is nearest to float64, and that distance."""
    best = None
    start = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    for number in range(DRAWS):
        generator = torch.Generator().manual_seed(zlib.crc32(f"{name} {number}".encode()))
        image = torch.randn(BATCH, 3, side, side, generator=generator)
        with torch.no_grad():
            shape = features(network, image).shape
        cotangent = torch.randn(shape, generator=generator)
        double, exact = gradients(network, features, image, cotangent, torch.float64)
        _, single = gradients(network, features, image, cotangent, torch.float32)
        network.load_state_dict(start)
        mean = np.mean([np.linalg.norm(each) for each in exact.values()])
        # A gradient this small beside the others is zero but for rounding: a bias before a softmax or a norm.
        sizes = {key: np.linalg.norm(each) for key, each in exact.items()}
        scale = {key: size if size > 1e-9 * mean else mean for key, size in sizes.items()}
        gap = max(np.linalg.norm(single[key] - each) / scale[key] for key, each in exact.items())
        if best is None or gap < best[0]:
            best = (gap, image, cotangent, double, exact)
        if gap < LARGEST_GAP:
            break
    return best


def folded_pairs(network, image):
    """(convolution or linear layer, batch norm) where the norm takes what the layer gives."""
    made, pairs, keep = {}, [], []

    def after_layer(layer, _, output):
        keep.append(output)
        made[output.untyped_storage().data_ptr()] = layer

    def before_norm(norm, inputs):
        layer = made.get(inputs[0].untyped_storage().data_ptr())
        if layer is not None:
            pairs.append((layer, norm))

    hooks = []
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            hooks.append(layer.register_forward_hook(after_layer))
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            hooks.append(layer.register_forward_pre_hook(before_norm))
    with torch.no_grad():
        network(image)
    for hook in hooks:
        hook.remove()
    return pairs


class Places:
    """Finds for the numbers of a file's tensor which numbers of the parameters they are."""

    def __init__(self, network, image):
        self.arrays = {name: p.detach().numpy() for name, p in network.named_parameters()}
        self.starts, position = {}, 0
        for name, array in self.arrays.items():
            self.starts[name] = position
            position += array.size
        self.count = position
        values = np.concatenate([array.reshape(-1) for array in self.arrays.values()])
        self.order = np.argsort(values, kind="stable")
        self.sorted = values[self.order]
        self.names = {id(p): name for name, p in network.named_parameters()}
        self.begins = np.asarray(list(self.starts.values()))
        self.ends = np.asarray([self.starts[name] + array.size for name, array in self.arrays.items()])
        self.folded = list(self.folds(folded_pairs(network, image)))
        # Parameters that an exporter worked into others: the norms' scales, and biases before norms.
        self.worked_in = set()

    def folds(self, pairs):
        """(numbers as folded, index, factor, names worked in) of each kernel and bias that a norm may have been folded
        into."""
        for layer, norm in pairs:
            if norm.weight is None:
                continue
            scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach().numpy()
            weight = layer.weight.detach().numpy()
            wide = scale.reshape(-1, *([1] * (weight.ndim - 1)))
            index = self.starts[self.names[id(layer.weight)]] + np.arange(weight.size).reshape(weight.shape)
            factor = np.broadcast_to(wide, weight.shape)
            yield weight * wide, index, factor, [self.names[id(norm.weight)]]
            bias = 0 if layer.bias is None else layer.bias.detach().numpy()
            shift = norm.bias.detach().numpy() + (bias - norm.running_mean.detach().numpy()) * scale
            biases = [] if layer.bias is None else [self.names[id(layer.bias)]]
            yield shift, self.starts[self.names[id(norm.bias)]] + np.arange(shift.size), np.ones(shift.size), biases

    def find(self, name, array):
        """index and factor for the tensor `name` of a file; None where it was made of no parameter."""
        own = self.arrays.get(name)
        if own is not None and own.size == array.size and np.array_equal(own.reshape(-1), array.reshape(-1)):
            return self.starts[name] + np.arange(array.size), None
        looked_up = self.by_value(array)
        if looked_up is not None:
            return looked_up, None
        for folded, index, factor, names in self.folded:
            if folded.size != array.size:
                continue
            for turned in {0: None, 1: None} if folded.ndim == 2 else {0: None}:
                numbers = folded.T if turned else folded
                if np.allclose(numbers.reshape(-1), array.reshape(-1), rtol=1e-4, atol=1e-6):
                    self.worked_in.update(names)
                    places, factors = (index.T, factor.T) if turned else (index, factor)
                    return places.reshape(-1), factors.reshape(-1)
        return None

    def by_value(self, array):
        """Every number is that of one parameter (the same one for all where several have it)."""
        flat = array.reshape(-1)
        if flat.size == 0:
            return None
        first = np.searchsorted(self.sorted, flat, "left")
        last = np.searchsorted(self.sorted, flat, "right")
        if np.any(first == last):
            return None
        index = self.order[first].copy()
        owners = None
        for i in range(0, flat.size, max(1, flat.size // PROBES)):
            here = {self.owner(place) for place in self.order[first[i] : last[i]]}
            owners = here if owners is None else owners & here
        if owners:
            # One parameter has them all: take its own places.
            begin, end = self.begins[min(owners)], self.ends[min(owners)]
            for i in np.nonzero((index < begin) | (index >= end))[0]:
                inside = [place for place in self.order[first[i] : last[i]] if begin <= place < end]
                if not inside:
                    return None
                index[i] = inside[0]
        return index

    def owner(self, place):
        return int(np.searchsorted(self.begins, place, "right")) - 1


def write(folder, name, form, network, spec, exact, batch):
    gap, image, cotangent, features, grads = exact
    batch = BATCH if "dynamic_shapes" in FORMS[form] else batch
    model = export(network, image[:batch], form)
    places = Places(network, image)
    gradient = np.zeros(places.count)
    shapes = []
    for parameter, array in places.arrays.items():
        start = places.starts[parameter]
        shapes.append([parameter, list(array.shape), parameter in grads])
        if parameter in grads:
            gradient[start : start + array.size] = grads[parameter].reshape(-1)
    tensors = dict(image=image.numpy(), cotangent=cotangent.numpy(), features=features, gradient=gradient)
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        array = onnx.numpy_helper.to_array(tensor)
        found = places.find(tensor.name, array)
        if found is None:
            continue
        index, factor = found
        tensors[f"index/{tensor.name}"] = np.ascontiguousarray(index, dtype=np.int32)
        if factor is not None:
            tensors[f"factor/{tensor.name}"] = np.ascontiguousarray(factor, dtype=np.float64)
    facts = dict(
        network=name, form=form, side=spec.side, batch=batch, gap=gap, parameters=shapes, transformer=spec.is_transformer
    )
    facts["folded"] = sorted(places.worked_in)
    save_file(tensors, folder / f"{name}.{form}.safetensors", metadata={"facts": json.dumps(facts)})
    onnx.save(without_traces(model), folder / f"{name}.{form}.onnx")


def make(folder, name, forms, batch, log):
    spec = NETWORKS[name]
    torch.manual_seed(0)
    network = spec.build().eval()
    set_weights(network)
    settle(network, torch.randn(8, 3, spec.side, spec.side, generator=torch.Generator().manual_seed(1)))
    exact = reference(name, network, spec.side, spec.features)
    count = sum(p.numel() for p in network.parameters())
    print(f"{name}: {count} parameters, features {list(exact[3].shape)}, gap {exact[0]:.1e}", flush=True)
    for form in forms:
        started = time.time()
        try:
            write(folder, name, form, network, spec, exact, batch)
            print(f"  {form}: {time.time() - started:.1f} s", flush=True)
        except Exception as error:
            log.append((name, form, summary(error)))
            print(f"  {form}: {log[-1][2]}", flush=True)


def summary(error):
    """The first line that says something: PyTorch's exporter puts the cause under "Exception summary"."""
    lines = [line for line in str(error).split("\n") if line.startswith("<class")]
    return " ".join(lines[:1] or [f"{type(error).__name__}: {error}".split("\n")[0]])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--form", action="append", choices=list(FORMS))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--missing", action="store_true", help="only what is not in the folder yet")
    parser.add_argument("networks", nargs="*")
    options = parser.parse_intermixed_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    forms = options.form or ["script", "dynamo"]
    log = []
    for name in options.networks or [name for name in NETWORKS if name not in FIXTURES]:
        wanted = [f for f in forms if not options.missing or not (options.folder / f"{name}.{f}.onnx").exists()]
        if not wanted:
            continue
        try:
            make(options.folder, name, wanted, options.batch, log)
        except Exception as error:
            log += [(name, form, summary(error)) for form in wanted]
            print(f"{name}: {log[-1][2]}", flush=True)
    for name, form, message in log:
        print(f"not exported: {name} {form}: {message}")


if __name__ == "__main__":
    main()
