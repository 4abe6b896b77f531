"""Writes torchvision's networks, up to their last feature map, as users export them, for `npm run bench -- peers`:

    <folder>/<name>.onnx    the graph with its batch norms, batch and size left open or fixed as the exporter has it
    <folder>/<name>.pt      the same weights for PyTorch

Weights are torchvision's initial ones; running statistics are those of a batch, so that features stay of order 1.

    python export_trunks.py FOLDER NAME:SIDE ...
"""

import pathlib
import sys
import warnings

import onnx
import torch
from torch import nn

from peer_nets import torchvision_trunk

warnings.filterwarnings("ignore")


def settle(trunk, image):
    """Running statistics of the batch `image`."""
    norms = [layer for layer in trunk.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in norms:
        layer.momentum = 1.0
    with torch.no_grad():
        trunk.train()(image)
    for layer in norms:
        layer.momentum = 0.1


def main(folder, *wanted):
    for each in wanted:
        name, side = each.split(":")
        torch.manual_seed(0)
        trunk, _ = torchvision_trunk(name)
        settle(trunk, torch.randn(8, 3, int(side), int(side)))
        trunk.eval()
        torch.save(trunk.state_dict(), folder / f"{name}.pt")
        program = torch.onnx.export(
            trunk,
            (torch.zeros(2, 3, int(side), int(side)),),
            dynamo=True,
            optimize=False,  # Keeps the batch norms.
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["image"],
            output_names=["features"],
            verbose=False,
        )
        # Written last, and under its name once whole: the file says that the pair is there.
        part = folder / f"{name}.part"
        onnx.save(program.model_proto, part)
        part.rename(folder / f"{name}.onnx")
        print(name, flush=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), *sys.argv[2:])
