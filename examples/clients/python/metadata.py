"""What an ONNX file of `mttc export` says of itself, checked: the text may come from anybody."""

import base64
import json
import math
from dataclasses import dataclass

from fault import Fault

VERSIONS = (1, 2, 3)
READING_VERSION = 1
MOST_TASKS = 1000
MOST_NUMBERS = 2**28
MOST_SIDE = 65_536
CMYK_SHAPE = (5, 5, 5, 5, 3)


@dataclass(frozen=True)
class Heatmap:
    """An output [N, height, width], from 0 to 1: where an answer comes from."""

    output: str
    height: int
    width: int


@dataclass(frozen=True)
class Task:
    name: str
    kind: str
    """classes, tags or number"""
    output: str
    names: tuple
    """of the numbers of its output, in order: classes, tags, or columns"""
    thresholds: tuple
    """of tags: the probability from which each is answered"""
    unsure_below: float
    """of classes: below this probability the answer is better left open"""
    within: tuple
    """of numbers: how far the truth lies from each at most, nine times of ten; else empty"""
    heatmap: Heatmap = None


@dataclass(frozen=True)
class Metadata:
    tasks: tuple
    height: int
    width: int
    channels: int
    greyscale: bool
    resizes: bool
    """the graph resizes by itself: it takes a picture of any size"""
    cmyk: bytes
    """RGB of a grid of 5 steps of each ink (uint8 [C, M, Y, K, RGB]); empty where the file has none"""


def refuse(what):
    raise Fault("E_MODEL_META", what)


def need(holds, what):
    if not holds:
        refuse(what)


def read_metadata(text):
    """The metadata of a file from its JSON text; E_MODEL_META for anything that is not as mttc writes it."""
    need(isinstance(text, str), 'the file has no metadata "mttc": it was not written by mttc export')
    try:
        meta = json.loads(text, parse_constant=lambda name: refuse(f"a number is {name}"))
    except (ValueError, RecursionError) as error:
        raise Fault("E_MODEL_META", f"the metadata are not JSON: {str(error)[:80]}") from None
    need(isinstance(meta, dict) and meta.get("format") == "mttc-model", 'format is not "mttc-model"')
    one_of(meta, "version", VERSIONS)
    need(meta.get("kind") in ("model", "task"), f"kind is {shown(meta.get('kind'))}: not a model or a task")
    return Metadata(tasks=tasks_of(meta), **preprocessing_of(meta))


def tasks_of(meta):
    entries = meta.get("tasks")
    need(isinstance(entries, list) and 1 <= len(entries) <= MOST_TASKS, f"not 1 to {MOST_TASKS} tasks")
    tasks = tuple(task_of(entry) for entry in entries)
    texts([task.name for task in tasks], "names of tasks")
    return tasks


def task_of(entry):
    need(isinstance(entry, dict), "a task is no object")
    kind = entry.get("kind", "classes")
    need(isinstance(kind, str) and kind in NAMES, f"no kind of tasks: {shown(kind)}")
    name, output = (one_text(entry.get(key), f"{key} of a task") for key in ("name", "output"))
    names = NAMES[kind](entry)
    count = len(names)
    below = part(entry, "unsure").get("below", 0)
    thresholds = entry.get("thresholds", [0.5] * count)
    radius = part(entry, "interval").get("radius", [])
    return Task(
        name=name,
        kind=kind,
        output=output,
        names=names,
        thresholds=numbers(thresholds, count, "thresholds") if kind == "tags" else (),
        unsure_below=numbers([below], 1, "unsure.below")[0] if kind == "classes" else 0,
        within=numbers(radius, count, "interval.radius") if kind == "number" and radius != [] else (),
        heatmap=heatmap_of(part(entry, "heatmap")),
    )


def columns_of(entry):
    """Names of a task's numbers: its columns, else one after the other."""
    mean, name = entry.get("mean"), entry.get("name")
    need(isinstance(mean, list) and 1 <= len(mean) <= 1000, "mean is not 1 to 1000 numbers")
    columns = entry.get("columns", [f"{name} {i}" for i in range(len(mean))])
    need(isinstance(columns, list) and len(columns) == len(mean), "not a column for each mean")
    return texts(columns, "columns")


NAMES = {
    "classes": lambda entry: texts(entry.get("classes"), "classes"),
    "tags": lambda entry: texts(entry.get("tags"), "tags"),
    "number": columns_of,
}


def heatmap_of(entry):
    if not entry:
        return None
    output = one_text(entry.get("output"), "heatmap.output")
    return Heatmap(output, side(entry, "height"), side(entry, "width"))


def preprocessing_of(meta):
    entry, reading = part(meta, "preprocessing"), part(meta, "reading")
    height, width = side(entry, "height"), side(entry, "width")
    channels, greyscale = entry.get("channels"), entry.get("greyscale")
    need(type(channels) is int and 1 <= channels <= 16, f"channels: {shown(channels)} is not 1 to 16")
    need(isinstance(greyscale, bool), f"greyscale: {shown(greyscale)} is neither true nor false")
    need(height * width * channels <= MOST_NUMBERS, f"a picture of {height}x{width}x{channels} is too large")
    one_of(entry, "layout", ("NHWC",))
    one_of(entry, "dtype", ("uint8",))
    resizes = "resize" in entry
    one_of({"resize": "graph", **entry}, "resize", ("graph",))
    need(greyscale or channels == 3, f"{channels} channels that are not grey: this client reads RGB alone")
    one_of({"version": 1, **reading}, "version", (READING_VERSION,))
    return {
        **dict(height=height, width=width, channels=channels),
        **dict(greyscale=greyscale, resizes=resizes, cmyk=grid_of(reading)),
    }


def grid_of(reading):
    try:
        grid = base64.b64decode(reading.get("cmyk", ""), validate=True)
    except (TypeError, ValueError):
        return refuse("reading.cmyk is not base64")
    need(len(grid) in (0, math.prod(CMYK_SHAPE)), "reading.cmyk is no grid of 5x5x5x5 colours")
    return grid


def part(entry, key):
    """An object in an object; empty where there is none."""
    value = entry.get(key, {})
    need(isinstance(value, dict), f"{key} is no object")
    return value


def one_of(entry, key, known):
    value = entry.get(key)
    is_known = any(type(value) is type(each) and value == each for each in known)
    need(is_known, f"{key} {shown(value)} is not known")


def side(entry, key):
    value = entry.get(key)
    need(type(value) is int and 1 <= value <= MOST_SIDE, f"{key}: {shown(value)} is not 1 to {MOST_SIDE}")
    return value


def one_text(value, what):
    need(isinstance(value, str) and value != "", f"{what}: {shown(value)} is no text")
    return value


def texts(values, what):
    need(isinstance(values, list) and len(values) > 0, f"{what}: no list")
    need(all(isinstance(value, str) and value != "" for value in values), f"{what}: not all are texts")
    need(len(set(values)) == len(values), f"{what}: two are the same")
    return tuple(values)


def numbers(values, count, what):
    good = isinstance(values, list) and len(values) == count and all(type(v) in (int, float) for v in values)
    need(good and all(abs(value) < 1e300 for value in values), f"{what}: not {count} numbers")
    return tuple(values)


def shown(value):
    return repr(value)[:40]
