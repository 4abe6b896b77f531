"""Training rates of ResNet-50 in PyTorch on the CUDA device that mttc was measured on: eager and compiled,
contiguous and channels last, TF32 and AMP. Prints JSON; needs torch alone (the network is written out here,
since torchvision need not be installed). Called by test/gpu/rates.ts."""
import argparse
import json
import time

import torch
from torch import nn


class Bottleneck(nn.Module):
    """ResNet v1.5: the stride is in the 3x3 convolution."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        outputs = 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.skip = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.skip = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.body(x) + self.skip(x))


def resnet50(classes):
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, blocks in enumerate([3, 4, 6, 3]):
        for block in range(blocks):
            layers.append(Bottleneck(inputs, 64 * 2**stage, 2 if stage > 0 and block == 0 else 1))
            inputs = 256 * 2**stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def rate(batch, side, steps, warm_up, amp, channels_last, compiled, frozen):
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = resnet50(4).cuda().to(memory_format=layout)
    if frozen:
        net.requires_grad_(False)
        net[-1].requires_grad_(True)
        net.eval()
    step_net = torch.compile(net) if compiled else net
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=1e-3, momentum=0.9)
    scaler = torch.amp.GradScaler("cuda", enabled=amp)
    bytes_ = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8).pin_memory()
    labels = torch.randint(0, 4, (batch,)).cuda()

    def step():
        # As in mttc, the images come from the host as bytes at every step.
        images = bytes_.to("cuda", non_blocking=True).to(memory_format=layout).float() / 255
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.float16, enabled=amp):
            loss = nn.functional.cross_entropy(step_net(images), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    for _ in range(warm_up):
        step()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    torch.cuda.synchronize()
    return steps * batch / (time.perf_counter() - began)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", default="64,128,256")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--warm-up", type=int, default=10)
    parser.add_argument("--side", type=int, default=224)
    options = parser.parse_args()
    rows = []
    for precision in ["fp32", "tf32", "fp16"]:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "fp32"
        for frozen in [False, True]:
            for compiled in [False, True]:
                for channels_last in [False, True]:
                    for batch in map(int, options.batches.split(",")):
                        row = dict(precision=precision, frozen=frozen, compiled=compiled,
                                   channels_last=channels_last, batch=batch)
                        try:
                            row["imagesPerSecond"] = rate(batch, options.side, options.steps, options.warm_up,
                                                          precision == "fp16", channels_last, compiled, frozen)
                        except Exception as error:  # Out of memory, or no compiler on the machine.
                            row["failure"] = str(error).split("\n")[0]
                        torch.cuda.empty_cache()
                        rows.append(row)
    print(json.dumps(dict(torch=torch.__version__, cuda=torch.version.cuda,
                          device=torch.cuda.get_device_name(), rows=rows)))


if __name__ == "__main__":
    main()
