"""What examples/clients/python/train.py draws for the cases of drawCases.ts, as JSON."""
import json, math, sys
from types import SimpleNamespace

import numpy as np
import train

cases = json.load(open(sys.argv[1], encoding="utf-8"))


def stream(case):
    at = case["seed"], case["purpose"], case["time"], case["index"]
    numbers = train.uniforms(case["numbers"], *at).tolist()
    return {"words": train.words(case["words"], *at).tolist(), "numbers": numbers}


def rows(case):
    images = range(case["first"], case["first"] + case["samples"])
    stream, size = (case["seed"], case["stream"], case["epoch"]), (case["height"], case["width"])
    drawn = [train.draw_columns(case, (*stream, i), *size) for i in images]
    return np.float32(drawn).reshape(-1).tolist()


def mask(case):
    driver = SimpleNamespace(spec={"seed": case["seed"]})
    batch = np.arange(case["shape"][0])
    drawn = train.Trainer.value(driver, {**case, "role": "mask"}, 1, case["step"], 0, batch, 0)
    return np.float32(drawn).reshape(-1).tolist()


def order(case):
    columns = dict(enumerate(map(np.array, case["groups"])))
    images = case["groups"][0]
    driver = SimpleNamespace(spec=case, images=images, groups=columns, labels=columns)
    places = math.ceil(len(images) / case["batchSize"]) * case["batchSize"]
    return train.Trainer.epoch_order(driver, case["epoch"], places).tolist()


print(json.dumps({
    "streams": [stream(case) for case in cases["streams"]],
    "augment": [rows(case) for case in cases["augment"]],
    "schedules": [[train.scheduled(case["value"], step, case["run"]) for step in range(case["steps"])]
                  for case in cases["schedules"]],
    "masks": [mask(case) for case in cases["masks"]],
    "orders": [order(case) for case in cases["orders"]],
}))
