"""What examples/clients/python/train.py draws for the cases of drawCases.ts, as JSON."""
import json, math, sys
from types import SimpleNamespace

import formulas
import numpy as np
import streams
import train

cases = json.load(open(sys.argv[1], encoding="utf-8"))


def opened(case):
    at = case["seed"], case["purpose"], case["time"], case["index"]
    numbers = streams.uniforms(case["numbers"], *at).tolist()
    return {"words": streams.words(case["words"], *at).tolist(), "numbers": numbers}


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


def at(case):
    return case["seed"], case["stream"], case["step"]


def averages(case):
    losses = [[math.nan if loss is None else loss for loss in pair] for pair in case["losses"]]
    return formulas.average_factors(losses, case["temperature"])


print(json.dumps({
    "streams": [opened(case) for case in cases["streams"]],
    "augment": [rows(case) for case in cases["augment"]],
    "schedules": [[formulas.scheduled(case["value"], step, case["run"]) for step in range(case["steps"])]
                  for case in cases["schedules"]],
    "masks": [mask(case) for case in cases["masks"]],
    "orders": [order(case) for case in cases["orders"]],
    "taskOrders": [sum(streams.task_orders(case["tasks"], *at(case)), []) for case in cases["taskOrders"]],
    "averages": [averages(case) for case in cases["averages"]],
    "randomFactors": [formulas.random_factors(case["present"], *at(case)) for case in cases["randomFactors"]],
}))
