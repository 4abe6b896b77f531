"""The networks of `npm run bench -- peers` in PyTorch: trunks of torchvision or of a spec's layer entries, the heads of a
spec's, and the sum of the tasks' losses, as mttc has them. A network is described by the JSON that peerNets.ts writes:

    trunk     name of a torchvision network, or null: then `fcn` holds layer entries as a spec has them
    frozen    whether the trunk stays as it is, statistics included
    shared, head, classes, batchnorm    as in the spec; batchnorm is that of the layers of the spec
"""

import torch
import torchvision
from torch import nn
from torch.nn import functional as F

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def torchvision_trunk(name):
    """(the network up to its last feature map, channels of that). Without stochastic depth, which exports do not have."""
    depth = {} if name.startswith(("resnet", "mobilenet")) else {"stochastic_depth_prob": 0.0}
    network = torchvision.models.get_model(name, weights=None, **depth)
    if name.startswith("resnet"):
        return nn.Sequential(*list(network.children())[:-2]), network.fc.in_features
    linear = [layer for layer in network.classifier if isinstance(layer, nn.Linear)][0]
    return network.features, linear.in_features


class Convolution(nn.Module):
    """3x3, then a batch norm in place of its bias where the spec has them, then ReLU."""

    def __init__(self, inputs, outputs, batchnorm):
        super().__init__()
        self.kernel = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=not batchnorm)
        self.norm = norm(outputs) if batchnorm else nn.Identity()

    def forward(self, x):
        return F.relu(self.norm(self.kernel(x)), inplace=True)

    def named(self):
        return [("", self.kernel), ("norm", self.norm)]


class Residual(nn.Module):
    """relu(x + conv2(relu(norm2(conv1(relu(norm1(x)))))))"""

    def __init__(self, channels, batchnorm):
        super().__init__()
        self.norm1, self.norm2 = (norm(channels) if batchnorm else nn.Identity() for _ in range(2))
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=not batchnorm)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x):
        inner = F.relu(self.norm2(self.conv1(F.relu(self.norm1(x)))))
        return F.relu(x + self.conv2(inner), inplace=True)

    def named(self):
        return [(name, getattr(self, name)) for name in ("norm1", "conv1", "norm2", "conv2")]


def norm(channels):
    """Keras's epsilon and momentum, as mttc has them."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def spec_layers(entries, channels, batchnorm):
    layers = []
    for entry in entries:
        if entry == "p":
            layers.append(nn.MaxPool2d(2, 2))
        elif entry == "d":
            layers.append(nn.Dropout2d(0.5))
        elif entry == "r":
            layers.append(Residual(channels, batchnorm))
        else:
            layers.append(Convolution(channels, entry, batchnorm))
            channels = entry
    return nn.Sequential(*layers), channels


class MultiTask(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.is_frozen = net["frozen"]
        if net["trunk"]:
            self.trunk, channels = torchvision_trunk(net["trunk"])
        else:
            self.trunk, channels = spec_layers(net["fcn"], 3, net["batchnorm"])
        if self.is_frozen:
            self.trunk.requires_grad_(False)
        self.shared, channels = spec_layers(net["shared"], channels, net["batchnorm"])
        heads = [spec_layers(net["head"], channels, net["batchnorm"]) for _ in net["classes"]]
        self.heads = nn.ModuleList(head for head, _ in heads)
        self.dense = nn.ModuleList(nn.Linear(width, count) for (_, width), count in zip(heads, net["classes"]))
        # Learned weights of the tasks: log sigma^2, which begins at 1.
        self.log_variance = nn.Parameter(torch.ones(len(net["classes"])))
        self.has_statistics = bool(net["trunk"])
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).reshape(1, 3, 1, 1), persistent=False)

    def train(self, mode=True):
        super().train(mode)
        if self.is_frozen:
            self.trunk.eval()
        return self

    def features(self, pixels):
        """uint8 [N,3,H,W] -> the trunk's last map."""
        x = pixels.float().div_(255)
        if self.has_statistics:
            x = x.sub_(self.mean).div_(self.std)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_frozen):
            return self.trunk(x)

    def heads_of(self, features):
        """Logits of each task."""
        x = self.shared(features)
        return [dense(torch.amax(head(x), (2, 3))) for head, dense in zip(self.heads, self.dense)]

    def forward(self, pixels):
        return self.heads_of(self.features(pixels))

    def losses_of(self, logits, labels):
        """Mean loss of each task over its labelled rows; a label of -1 is none."""
        return [F.cross_entropy(y, label, ignore_index=-1) for y, label in zip(logits, labels)]

    def objective(self, losses):
        weighted = [loss * torch.exp(-s) + s / 2 for loss, s in zip(losses, self.log_variance)]
        return torch.stack(weighted).sum()

    def load(self, trunk, state):
        """Weights of a torchvision trunk (a state_dict, or None), and of all else as mttc's bundle begins with them."""
        if trunk is not None:
            self.trunk.load_state_dict(trunk)
        else:
            load_layers(self.trunk, state, "fcn.layers")
        load_layers(self.shared, state, "shared_layers")
        for i, (head, dense) in enumerate(zip(self.heads, self.dense)):
            load_layers(head, state, f"tasks.task{i}.task_layers")
            kernel = state[f"tasks.task{i}.dense.kernel"].reshape(dense.in_features, dense.out_features)
            copy(dense.weight, kernel.T)
            copy(dense.bias, state[f"tasks.task{i}.dense.bias"])


def load_layers(layers, state, prefix):
    for i, layer in enumerate(layers):
        for name, part in layer.named() if hasattr(layer, "named") else []:
            load_part(part, state, f"{prefix}[{i}].{name}.".replace("..", "."))


def load_part(part, state, prefix):
    if isinstance(part, nn.Conv2d):
        copy(part.weight, state[f"{prefix}kernel"])
    elif isinstance(part, nn.BatchNorm2d):
        copy(part.weight, state[f"{prefix}scale"])
        # Running statistics begin with 0 and 1 on both sides.
    if getattr(part, "bias", None) is not None:
        copy(part.bias, state[f"{prefix}bias"])


def copy(tensor, values):
    with torch.no_grad():
        tensor.copy_(values.reshape(tensor.shape))
