"""Cells of a label table -> the labels of a task as the graphs of a bundle take them (compiler/bundle/CONTRACT.md,
"Labels")."""
import json

import numpy as np

FLAGS = {"false": 0, "true": 1}

def label_column(task, rows, absent, missing):
    """Class numbers [R], or numbers or flags [R,W], of the rows: `missing` where a cell is one of `absent`."""
    cells = [[row[name].strip() for name in task.get("columns", [task["name"]])] for row in rows]
    if task["kind"] == "classes":
        numbers = {**dict.fromkeys(absent, missing), **{name: i for i, name in enumerate(task["classes"])}}
        return np.array([numbers[cell] for cell, in cells])
    if task["kind"] == "number" or "columns" in task:
        read = lambda cell: missing if cell in absent else float(FLAGS.get(cell.lower(), cell))
        return np.array([[read(cell) for cell in row] for row in cells])
    return np.array([flags_of(task, cell, missing) if cell not in absent else [missing] * len(task["tags"])
                     for cell, in cells], dtype=float)

def flags_of(task, cell, missing):
    """1 for each tag that a cell names, 0 for the others."""
    is_list = cell.startswith("[")
    names = map(str, json.loads(cell)) if is_list else map(str.strip, cell.split(task["separator"]))
    places = [task["tags"].index(name) for name in names]
    return [i in places for i in range(len(task["tags"]))]

def groups_of(column, missing):
    """What balancing goes by: class numbers, of other kinds 0; -1 of rows without a label."""
    if column.ndim == 1:
        return column.astype(int)
    # NaN differs from itself.
    return np.where(((column == column) & (column != missing)).any(axis=1), 0, -1)
