"""PyTorch's side of `npm run bench -- peers`: training steps on command, one JSON object a line on stdin and stdout.

    {"command": "open", "net": {...}, "models": DIR, "state": FILE, "layout": "contiguous" | "channels_last",
     "threads": 1, "fused": false, "dropout": true}                 -> {"losses": [...]} of the first step
    {"command": "steps", "count": N}                                -> {"milliseconds": [...], "losses": [[...], ...]}
    {"command": "memory"}                                           -> {"peakBytes": ...} since the process began

A step is what a training loop does with a batch in memory: bytes to floats, normalised; forward; the tasks' losses, of
labelled rows, by learned weights; backward; Adam; the losses as numbers. Numbers under 1.2e-38 count as zero.
"""

import ctypes
import json
import os
import sys
import time

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # What libraries print is no answer.


def answer(value):
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def hashed(torch, count):
    """`count` bytes, those of stepData.ts."""
    mask = 0xFFFFFFFF
    x = torch.arange(count, dtype=torch.int64) * 2654435761 & mask
    x = (x ^ (x >> 15)) * 0x85EBCA6B & mask
    x = x ^ (x >> 13)
    return (x & 255).to(torch.uint8)


def read_state(torch, file):
    """Tensors of a safetensors file of flat float32."""
    with open(file, "rb") as stream:
        data = bytearray(stream.read())
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)

    numbers = torch.frombuffer(data, dtype=torch.uint8)[8 + size :].clone().view(torch.float32)
    places = {name: [offset // 4 for offset in entry["data_offsets"]] for name, entry in header.items()}
    return {name: numbers[begin:end] for name, (begin, end) in places.items()}


class Steps:
    def __init__(self, request):
        import torch

        import peer_nets

        net = request["net"]
        torch.set_num_threads(request["threads"])
        torch.set_flush_denormal(True)
        torch.manual_seed(0)
        trunk = None
        self.network = peer_nets.MultiTask(net)
        if net["trunk"]:
            trunk = torch.load(os.path.join(request["models"], net["trunk"] + ".pt"), weights_only=True)
        self.network.load(trunk, read_state(torch, request["state"]))
        layout = torch.channels_last if request["layout"] == "channels_last" else torch.contiguous_format
        self.network = self.network.to(memory_format=layout).train()
        if not request["dropout"]:
            for layer in self.network.modules():
                if isinstance(layer, torch.nn.Dropout2d):
                    layer.eval()
        batch, side = net["batch"], net["side"]
        pixels = hashed(torch, batch * side * side * 3).reshape(batch, side, side, 3)
        # Each layout is given the bytes in its own order.
        self.pixels = pixels.permute(0, 3, 1, 2).contiguous(memory_format=layout)
        rows = torch.arange(batch)
        self.labels = [
            torch.where(rows % 5 == 4, -1, (rows * 7 + task) % count) for task, count in enumerate(net["classes"])
        ]
        trained = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(trained, lr=request["lr"], eps=1e-7, fused=request["fused"])

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.network.losses_of(self.network(self.pixels), self.labels)
        self.network.objective(losses).backward()
        self.optimizer.step()
        return [loss.item() for loss in losses]


def peak_bytes():
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main():
    # A parent that dies takes this process along, stopped or not.
    ctypes.CDLL(None).prctl(1, 9)
    steps = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["command"] == "open":
            steps = Steps(request)
            answer({"losses": steps.step()})
        elif request["command"] == "steps":
            times, losses = [], []
            for _ in range(request["count"]):
                began = time.perf_counter()
                losses.append(steps.step())
                times.append(1000 * (time.perf_counter() - began))
            answer({"milliseconds": times, "losses": losses})
        elif request["command"] == "memory":
            answer({"peakBytes": peak_bytes()})


if __name__ == "__main__":
    main()
