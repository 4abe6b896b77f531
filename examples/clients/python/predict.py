"""Answers of a model that `mttc export` wrote.

    python predict.py [--pixels DIR] [--heatmap DIR] MODEL IMAGE...

A line of JSON for each image. In a program: Model("species.onnx").predict("fox.jpg").
"""

import argparse
import json
import os
import re
import sys
import warnings

# ONNX Runtime's telemetry stays off unless somebody asks for it; it is read when the package is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime
from PIL import Image

from fault import Fault
from metadata import read_metadata, shown
from reader import read_image

# What float16 and other providers round away.
SLACK = 0.01
QUIET = 4
# Overlays are drawn enlarged until their longer side is about so many pixels.
SHOWN_SIDE = 256


class Model:
    """An exported model. A Fault, here and below, for whatever is not usable."""

    def __init__(self, path):
        self.session = open_session(path)
        self.metadata = read_metadata(own_text(self.session))
        self.batch = check_session(self.session, self.metadata)

    def read(self, path):
        """Pixels of an image file as the model takes them: uint8 [height, width, channels]."""
        return read_image(path, self.metadata)

    def predict(self, path):
        """A dict for each task: task, kind, answer, numbers; unsure or within where the model says so."""
        return self.answers(self.read(path))

    def answers(self, pixels):
        outputs = self.run(pixels, [task.output for task in self.metadata.tasks])
        return [answer_of(task, numbers) for task, numbers in zip(self.metadata.tasks, outputs)]

    def heatmaps(self, pixels):
        """Of each task: float32 [height, width], from 0 to 1, where its answer comes from."""
        maps = self.run(pixels, [task.heatmap.output for task in self.metadata.tasks])
        for task, heat in zip(self.metadata.tasks, maps):
            promised = (task.heatmap.height, task.heatmap.width)
            if heat.shape != promised or not np.all((heat >= 0) & (heat <= 1 + SLACK)):
                raise Fault("E_MODEL_META", f"{shown(task.heatmap.output)} gives no map from 0 to 1")
        return maps

    def require_heatmaps(self):
        missing = [task.name for task in self.metadata.tasks if not task.heatmap]
        if missing:
            raise Fault("E_MODEL_META", f"no heat map of {missing[0]}: mttc export --heatmap adds them")

    def run(self, pixels, outputs):
        try:
            # A file of a fixed batch takes the image as often as it must.
            return [rows[0] for rows in self.session.run(outputs, {"image": np.stack([pixels] * self.batch)})]
        except Exception as error:  # ONNX Runtime has no common class of its own.
            raise Fault("E_ORT", f"the model does not run: {first_line(error)}") from None


def open_session(path):
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (OSError, ValueError) as error:
        raise Fault("E_FILE", f"cannot read the model: {getattr(error, 'strerror', None) or error}") from None
    onnxruntime.set_default_logger_severity(QUIET)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise Fault("E_MODEL_PARSE", f"ONNX Runtime does not open the file: {first_line(error)}") from None


def own_text(session):
    try:
        return session.get_modelmeta().custom_metadata_map.get("mttc")
    except UnicodeDecodeError:
        raise Fault("E_MODEL_META", "the metadata are not text") from None


def check_session(session, metadata):
    """Whether the graph has what the metadata promise; gives its batch size, 1 where that is free."""
    inputs, outputs = session.get_inputs(), {output.name: output for output in session.get_outputs()}
    size = [metadata.height, metadata.width, metadata.channels]
    image = inputs[0] if len(inputs) == 1 and inputs[0].name == "image" else None
    good = image is not None and image.type == "tensor(uint8)" and len(image.shape) == 4
    if good and metadata.resizes:
        good = image.shape[3] == 3 and not any(isinstance(side, int) for side in image.shape[1:3])
    elif good:
        good = list(image.shape[1:]) == size
    if not good:
        raise Fault("E_MODEL_META", f"the graph takes no image [N, {str(size)[1:-1]}] of uint8")
    for task in metadata.tasks:
        check_output(outputs, task.output, [len(task.names)])
        if task.heatmap:
            check_output(outputs, task.heatmap.output, [task.heatmap.height, task.heatmap.width])
    batch = image.shape[0]
    return batch if isinstance(batch, int) and batch > 0 else 1


def check_output(outputs, name, shape):
    output = outputs.get(name)
    if output is None or output.type != "tensor(float)" or list(output.shape[1:]) != shape:
        promised = f"{shown(name)} of float32 [N, {str(shape)[1:-1]}]"
        raise Fault("E_MODEL_META", f"the graph has no output {promised}")


def answer_of(task, numbers):
    """What the numbers of a task mean."""
    check_numbers(task, numbers)
    row = {"task": task.name, "kind": task.kind}
    if task.kind == "classes":
        best = int(numbers.argmax())
        row["answer"] = task.names[best]
        if not float(numbers[best]) >= task.unsure_below:
            row["unsure"] = True
    elif task.kind == "tags":
        order = sorted(range(len(numbers)), key=lambda i: -numbers[i])
        row["answer"] = [task.names[i] for i in order if float(numbers[i]) >= task.thresholds[i]]
    else:
        row["answer"] = numbers.tolist()
        if task.within:
            row["within"] = list(task.within)
    row["numbers"] = numbers.tolist()
    return row


def check_numbers(task, numbers):
    good = numbers.shape == (len(task.names),) and bool(np.isfinite(numbers).all())
    if good and task.kind != "number":
        good = -SLACK <= numbers.min() and numbers.max() <= 1 + SLACK
    if good and task.kind == "classes":
        good = abs(numbers.sum(dtype=np.float64) - 1) <= SLACK
    if not good:
        raise Fault("E_MODEL_META", f"output {shown(task.output)} gives no {task.kind} of {len(task.names)}")


def overlay(pixels, heat):
    """The picture in muted colours, a glow from yellow to red where the map is high: uint8 [h, w, 3]."""
    factor = max(1, round(SHOWN_SIDE / max(pixels.shape[:2])))
    height, width = (side * factor for side in pixels.shape[:2])
    picture = pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, 2)
    rgb = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    large = Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR)
    value = np.clip(np.asarray(large), 0, 1)[..., None]
    muted = 0.6 * rgb + 0.4 * (rgb @ [[0.299], [0.587], [0.114]])
    stops, glow = [0, 1 / 3, 2 / 3, 1], [(255, 237, 160), (254, 178, 76), (240, 59, 32), (160, 0, 38)]
    colour = np.concatenate([np.interp(value, stops, channel) for channel in zip(*glow)], axis=2)
    cover = 0.75 * np.sqrt(value)
    return np.rint(muted + (colour - muted) * cover).astype(np.uint8)


def save_heatmaps(model, pixels, folder, number):
    for place, (task, heat) in enumerate(zip(model.metadata.tasks, model.heatmaps(pixels))):
        name = re.sub(r"\W", "_", task.name)[:60]
        Image.fromarray(overlay(pixels, heat)).save(os.path.join(folder, f"{number}-{place}-{name}.png"))


def first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def report(fault, path):
    print(f"error {fault.code}: {path}: {fault}", file=sys.stderr)


def predict_all(model, args):
    """A line for each image that is read; gives how many are not."""
    faults = 0
    for number, path in enumerate(args.images):
        try:
            pixels = model.read(path)
            answers = model.answers(pixels)
        except Fault as fault:
            report(fault, path)
            faults += 1
            continue
        if args.pixels:
            pixels.tofile(os.path.join(args.pixels, f"{number}.raw"))
        if args.heatmap:
            save_heatmaps(model, pixels, args.heatmap, number)
        print(json.dumps({"image": path, "tasks": answers}), flush=True)
    return faults


def main(args):
    """The exit code: 0, 2 where something was refused, 130 after Ctrl-C."""
    try:
        model = Model(args.model)
        if args.heatmap:
            model.require_heatmaps()
        for folder in filter(None, (args.pixels, args.heatmap)):
            os.makedirs(folder, exist_ok=True)
        return 2 if predict_all(model, args) else 0
    except Fault as fault:
        report(fault, args.model)
    except BrokenPipeError:
        # Whoever read the lines has gone: nothing is left to be flushed at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        report(Fault("E_FILE", f"cannot be written: {error.strerror}"), error.filename or "stdout")
    except KeyboardInterrupt:
        return 130
    return 2


def parse_arguments():
    parser = argparse.ArgumentParser(description="Answers of a model of mttc export, a JSON line an image.")
    parser.add_argument("model", help="model.onnx or a task's file")
    parser.add_argument("images", nargs="+", metavar="image", help="JPEG, PNG or WebP")
    parser.add_argument("--pixels", metavar="DIR", help="write the pixels of image i as DIR/i.raw")
    parser.add_argument("--heatmap", metavar="DIR", help="write pictures of where answers come from")
    return parser.parse_args()


if __name__ == "__main__":
    # Pillow warns of what it reads all the same.
    warnings.simplefilter("ignore")
    sys.exit(main(parse_arguments()))
