"""Trains a bundle of `mttc compile` with ONNX Runtime, numpy and Pillow alone, as compiler/bundle/CONTRACT.md
says: what a tensor is for stands in manifest.json, and no name is taken apart. Writes the trained state:

    mttc compile spec.yml -o bundle && python train.py bundle train.csv trained.safetensors
    mttc adopt spec.yml trained.safetensors
"""
import csv, json, math, sys
from collections import Counter
from pathlib import Path
import numpy as np
from onnxruntime import InferenceSession, __version__ as runtime
from PIL import Image
from formulas import average_factors, random_factors, scheduled
from labels import groups_of, label_column
from state import SUMS, check_states, read_state, write_state
from streams import shuffled, task_orders, uniforms, words

def draw_columns(operation, stream, height, width):
    """The parameters of one operation of augmentation for one image."""
    q, numbers = operation["strength"], iter(uniforms(256, *stream))
    uniform = lambda: float(next(numbers))
    chance = lambda: uniform() < q
    between = lambda start, end: start + uniform() * (end - start)
    integer = lambda start, end: start + math.floor(uniform() * max(end - start, 0))
    factor = lambda delta: between(max(0, 1 - delta), 1 + delta)
    def crop():
        aspect, most = between(3 / 4, 4 / 3) * (width / height), height * width
        across = lambda rows: math.floor(rows * aspect + 0.5)
        tall = math.floor(math.sqrt(most / aspect) + 0.5)
        tall = math.floor((width + 0.5) / aspect) if across(tall) > width else tall
        tall = min(tall - (across(tall) > width), height)
        rows = integer(min(math.floor(math.sqrt(q * most / aspect) + 0.5), tall), tall + 1)
        rows += across(rows) * rows < q * most
        rows -= across(rows) * rows > most
        if 1 <= rows <= height and 1 <= across(rows) <= width and q * most <= across(rows) * rows <= most:
            return [integer(0, height - rows), integer(0, width - across(rows)), rows, across(rows)]
    def jitter():
        order = [0, 1, 2, 3]
        for last in (3, 2, 1):
            chosen = integer(0, last + 1)
            order[last], order[chosen] = order[chosen], order[last]
        return order + [factor(0.8 * q) for _ in range(3)] + [between(-0.2 * q, 0.2 * q)]
    def noise(deviation):
        rows, angle = [integer(0, math.ceil(2**19 / width)) for _ in range(2)], between(0, 2 * math.pi)
        return [*rows, deviation * math.cos(angle), deviation * math.sin(angle)]
    def rectangle():
        rows, columns = (integer(height // 20, side // 2) for side in (height, width))
        column = integer(0, width - columns)
        return [integer(0, height - rows), column, rows, columns]
    return {
        **dict.fromkeys(("flip_left_right", "flip_up_down"), lambda: [uniform() < 0.5]),
        "rot90": lambda: [(turns := integer(0, 4)) % 2, turns in (1, 2), turns >= 2],
        "shear": lambda: [between(-q, q), between(-q, q)], "hue_delta": lambda: [between(-q, q)],
        "zoom_scale": lambda: next(filter(None, (crop() for _ in range(100))), [0, 0, height, width]),
        "center_zoom_scale": lambda: [between(0, (1 - q) / 2)], "jitter": jitter,
        "solarize": lambda: [uniform() if chance() else 1e9],
        **dict.fromkeys(("brightness_delta", "contrast_delta", "saturation_delta"), lambda: [factor(q)]),
        "gaussian_blur": lambda: [between(0.1, 2) if chance() else 0.01],
        "gaussian_noise": lambda: noise(0.1) if chance() else [0, 0, 0, 0],
        **dict.fromkeys(("autocontrast", "drop_color", "sobel_prob"), lambda: [chance()]),
        "jpeg_degrade": lambda: [1, chance()] if chance() else [0, 0],
        "mask": lambda: rectangle() if chance() else [0, 0, 0, 0],
        "pixel_mask": lambda: [*noise(1), 0.5244005127080407] if chance() else [0, 0, 0, 0, -1],
    }[operation["name"]]()

def read_image(path, form):
    """uint8 [H,W,C] of an image that needs no conversion but to repeat grey; any other is refused."""
    size, modes = (form["width"], form["height"]), ["L"] if form["greyscale"] else ["L", "RGB"]
    with Image.open(path) as image:
        is_plain = image.getexif().get(0x0112, 1) == 1 and not {"transparency", "icc_profile"} & {*image.info}
        if image.mode not in modes or image.size != size or not is_plain:
            raise SystemExit(f"{path}: expected a plain image of mode {' or '.join(modes)} and size {size}")
        return np.broadcast_to(np.asarray(image).reshape(*size[::-1], -1), (*size[::-1], form["channels"]))

OUTPUTS = {"state", "figure", "prediction", "gram", "gradient_weights", *SUMS}

class Trainer:
    """A bundle's graphs and state, and the rows that it trains on."""
    def __init__(self, folder, table):
        self.manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        self.spec, graphs = self.manifest["spec"], self.manifest["graphs"].values()
        tasks = {task["name"]: task for task in self.manifest["tasks"]}
        if self.manifest["version"] != 2 or {t["kind"] for t in tasks.values()} - {"classes", "number", "tags"}:
            raise SystemExit(f"{folder}: expected a bundle of version 2 with tasks of classes, numbers or tags")
        self.inputs = {tensor["name"]: tensor for graph in graphs for tensor in graph["inputs"]}
        reads_features = lambda graph: any(tensor["role"] == "features" for tensor in graph["inputs"])
        parts = self.manifest["accumulate"]
        self.rounds = [("grad", parts), ("apply", 1)] if parts > 1 else [("train", 1)]
        if "losses" in (t["role"] for g in graphs if g["purpose"] == "grad" for t in g["inputs"]):
            self.rounds = [("losses", parts), *self.rounds, ("losses", parts), ("factors", 1)]
        used = [g for g in graphs if g["purpose"] in dict(self.rounds) and not reads_features(g)]
        for lacking in (p for p, _ in self.rounds if p not in {graph["purpose"] for graph in used}):
            raise SystemExit(f"{folder}: expected a graph of the purpose {lacking}")
        for strange in {tensor["role"] for graph in used for tensor in graph["outputs"]} - OUTPUTS:
            raise SystemExit(f"this driver does not know outputs of the role {strange}")
        self.graphs = {g["purpose"]: (g, InferenceSession(str(folder / g["file"]))) for g in used}
        self.header, self.state = read_state(folder / "state.safetensors")
        check_states(used, self.state)
        rows = list(csv.DictReader(table.open(newline="", encoding="utf-8-sig")))
        absent, form = {"", *map(str, self.spec["missing"])}, self.manifest["preprocessing"]
        missing = {t["task"]: float(t["missing"]) for t in self.inputs.values() if t["role"] == "label"}
        self.labels = {n: label_column(task, rows, absent, missing[n]) for n, task in tasks.items()}
        self.groups = {n: groups_of(column, missing[n]) for n, column in self.labels.items()}
        self.images = [read_image(table.parent / row[self.spec["filepaths"]], form) for row in rows]
        self.steps, self.losses = -(-len(rows) // self.manifest["batchSize"]), []
    def epoch_order(self, epoch, places):
        """Row numbers: balanced draws with replacement, or a permutation, wrapped round."""
        rows, stream = len(self.images), (self.spec["seed"], "epoch order", epoch)
        if not self.spec["balance_probs"]:
            return np.resize(shuffled(list(range(rows)), iter(uniforms(rows, *stream))), places)
        weights = np.zeros(rows)
        for column in self.groups.values():
            keys = column if self.spec["balance_classes"] else np.minimum(column, 0)
            groups, which, counts = np.unique(keys, return_inverse=True, return_counts=True)
            weights += np.where(groups < 0, 0, 1 / (len(self.labels) * (groups >= 0).sum() * counts))[which]
        sums = np.cumsum(weights / np.cumsum(weights)[-1])
        drawn = np.searchsorted(sums, uniforms(places, *stream) * sums[-1], side="right")
        return np.minimum(drawn, np.flatnonzero(weights)[-1])
    def task_factor(self, task, value, rows, step):
        """What a task's weight is multiplied with."""
        if value["formula"] == "constant": return 1
        weights = [each for each in self.inputs.values() if each.get("scalar") == "task_weight"]
        idle = {each["task"] for each in weights if each["value"]["value"] == 0}
        if value["formula"] == "random_softmax":
            present = [t not in idle and (groups[rows] >= 0).any() for t, groups in self.groups.items()]
            factors = random_factors(present, self.spec["seed"], value["stream"], step)
        elif value["formula"] == "dynamic_average":
            known = self.losses if len(self.losses) > 1 else [dict.fromkeys(self.groups, math.nan)] * 2
            pairs = [(math.nan if t in idle else known[-1][t], known[-2][t]) for t in self.groups]
            factors = average_factors(pairs, value["temperature"])
        else: sys.exit(f"this driver does not know the formula {value['formula']}")
        return factors[list(self.groups).index(task)]
    def scalar(self, tensor, rows, step):
        """A number of a logical batch, by its formula."""
        value, labels = tensor["value"], self.groups.get(tensor.get("task"))
        if value["formula"] == "balanced_positives":
            have, lack = ((self.labels[tensor["task"]] == flag).sum(axis=0) for flag in (1, 0))
            return np.where(have * lack > 0, lack / np.maximum(have, 1), 1)
        if value["formula"] == "balanced":
            counts = np.bincount(labels[labels >= 0], minlength=tensor["shape"][0])
            return np.where(counts > 0, counts.sum() / ((counts > 0).sum() * np.maximum(counts, 1)), 1)
        if tensor["scalar"] == "task_weight":
            return value["value"] * self.task_factor(tensor["task"], value, rows, step)
        if value["formula"] not in ("inverse_labelled", "inverse_weight"):
            return scheduled(value, step, self.spec["epochs"] * self.steps)
        present = labels[rows][labels[rows] >= 0]
        weights = lambda: np.float32(self.scalar(self.inputs[value["weights"]], rows, step))
        total = weights()[present].sum(dtype=float) if "weights" in value else len(present)
        return 1 / total if total > 0 else 0
    def value(self, tensor, epoch, step, place, rows, part):
        """An input, for micro-batch `part` of a logical batch: `rows`, at `place` of the epoch."""
        role, shape, seed = tensor["role"], tensor["shape"], self.spec["seed"]
        if role in {"state", *SUMS}: return self.state[tensor["name"]]
        if role == "scalar": return self.scalar(tensor, rows, step)
        if role == "draw" and tensor["draw"] == "task_orders":
            return task_orders(len(self.labels), seed, tensor["stream"], step)
        mine = np.arange(part * shape[0], (part + 1) * shape[0])
        if role == "image": return [self.images[row] for row in rows[mine]]
        if role == "label": return self.labels[tensor["task"]][rows[mine]]
        if role == "mask":
            drawn = words(len(rows) * math.prod(shape[1:]), seed, tensor["stream"], step)
            drops = drawn.reshape(-1, *shape[1:])[mine] < tensor["rate"] * 2**32
            return np.where(drops, 0, 1 / (1 - tensor["rate"]))
        if role != "augment": sys.exit(f"this driver does not know the role {role} of {tensor['name']}")
        size = [self.manifest["preprocessing"][side] for side in ("height", "width")]
        columns = lambda drawn, i: draw_columns(drawn, (seed, drawn["stream"], epoch, place + i), *size)
        return [sum((columns(operation, i) for operation in tensor["operations"]), []) for i in mine]
    def run(self, purpose, *at):
        """Runs a graph, takes its next state over, and gives its figures."""
        graph, session = self.graphs[purpose]
        value = lambda tensor: np.asarray(self.value(tensor, *at), tensor["dtype"]).reshape(tensor["shape"])
        feeds = {tensor["name"]: value(tensor) for tensor in graph["inputs"]}
        results = list(zip(graph["outputs"], session.run([t["name"] for t in graph["outputs"]], feeds)))
        self.state.update((tensor["replaces"], result) for tensor, result in results if "replaces" in tensor)
        return {(t["task"], t["figure"]): float(result) for t, result in results if t["role"] == "figure"}
    def round(self, purpose, parts, *at):
        """Runs a graph on each of so many parts, what it sums up from zeros on, and gives their figures."""
        sums = (tensor for tensor in self.graphs[purpose][0]["outputs"] if tensor["role"] in SUMS)
        self.state.update((tensor["replaces"], np.zeros(tensor["shape"])) for tensor in sums)
        return [self.run(purpose, *at, part) for part in range(parts)]
    def train(self, epochs):
        size = self.manifest["batchSize"]
        for epoch in range(1, epochs + 1):
            order, sums = self.epoch_order(epoch, self.steps * size), Counter()
            for place in range(0, len(order), size):
                at = epoch, (epoch - 1) * self.steps + place // size, place, order[place:][:size]
                figures, *_ = [self.round(*each, *at) for each in self.rounds]
                for part in figures: sums.update(part)
            print(f"epoch {epoch}:", {" ".join(key): sum for key, sum in sums.items()})
            mean = lambda task: sums[task, "loss_sum"] / (sums[task, "count"] or math.nan)
            self.losses.append({task: mean(task) for task in self.groups})

if __name__ == "__main__":
    bundle, table, output = map(Path, sys.argv[1:])
    trainer = Trainer(bundle, table)
    trainer.train(trainer.spec["epochs"])
    trained = {"steps": trainer.spec["epochs"] * trainer.steps, "steps_per_epoch": trainer.steps}
    about = {**trained, "driver": f"train.py, ONNX Runtime {runtime}"}
    metadata = {**trainer.manifest.get("checkpoint", {}), **{key: str(value) for key, value in about.items()}}
    write_state(output, trainer.header, trainer.state, metadata)
