"""PyTorch's side of `npm run bench -- epochs`: whole epochs as a training script of torchvision has them. Its one argument
is JSON:

    {"net": {...}, "models": DIR, "train": CSV, "val": CSV, "checkpoints": DIR, "epochs": N, "lr": 0.001,
     "augment": true, "keep_features": false, "rows": null | first rows of the table alone,
     "layout": "contiguous" | "channels_last", "threads": 2, "fused": false, "workers": 0}

After each epoch (training, evaluation, checkpoint) it prints a line: {"epoch", "trainLoss": [...], "accuracy": [...]}.
JPEGs are decoded by torchvision.io; v2 crops and resizes, mirrors; what a batch holds is bytes, normalised by the network.
`keep_features`: a frozen trunk's features are computed once, before the first epoch, and kept in memory.
"""

import csv
import json
import os
import sys

import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
import peer_nets  # noqa: E402


class Photos(Dataset):
    def __init__(self, table, classes, transform, rows):
        with open(table, newline="") as stream:
            lines = list(csv.reader(stream))[1:][:rows]
        self.paths = [line[0] for line in lines]
        self.labels = torch.tensor([[int(cell[5:]) if cell else -1 for cell in line[1:]] for line in lines])
        assert all(self.labels[:, task].max() < count for task, count in enumerate(classes))
        self.transform = transform

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, row):
        return self.transform(decode_image(self.paths[row], ImageReadMode.RGB)), self.labels[row]


def transforms(side, augment):
    """As mttc's `augment: {flip_left_right: true, zoom_scale: 0.9}` and its resizing."""
    plain = v2.Resize((side, side), antialias=True)
    crop = v2.RandomResizedCrop((side, side), scale=(0.9, 1.0), antialias=True)
    return v2.Compose([crop, v2.RandomHorizontalFlip()]) if augment else plain, plain


class Epochs:
    def __init__(self, request):
        self.request = request
        net = request["net"]
        torch.set_num_threads(request["threads"])
        torch.set_flush_denormal(True)
        torch.manual_seed(0)
        self.layout = torch.channels_last if request["layout"] == "channels_last" else torch.contiguous_format
        self.network = peer_nets.MultiTask(net).to(memory_format=self.layout)
        if net["trunk"]:
            file = os.path.join(request["models"], net["trunk"] + ".pt")
            self.network.trunk.load_state_dict(torch.load(file, weights_only=True))
        trained = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(trained, lr=request["lr"], eps=1e-7, fused=request["fused"])
        for_train, for_val = transforms(net["side"], request["augment"])
        rows = request["rows"]
        train = Photos(request["train"], net["classes"], for_train, rows)
        val = Photos(request["val"], net["classes"], for_val, rows)
        if request["keep_features"]:
            train, val = (TensorDataset(*self.features(photos)) for photos in (train, val))
        self.train, self.val = self.loader(train, True), self.loader(val, False)

    def loader(self, photos, shuffle):
        workers = 0 if self.request["keep_features"] else self.request["workers"]
        return DataLoader(
            photos,
            batch_size=self.request["net"]["batch"],
            shuffle=shuffle,
            num_workers=workers,
            persistent_workers=workers > 0,
        )

    @torch.inference_mode()
    def features(self, photos):
        self.network.eval()
        found = [(self.network.features(self.laid_out(x)), labels) for x, labels in self.loader(photos, False)]
        return [torch.cat(parts).clone() for parts in zip(*found)]

    def laid_out(self, x):
        return x.contiguous(memory_format=self.layout)

    def logits(self, x):
        return self.network.heads_of(x) if self.request["keep_features"] else self.network(self.laid_out(x))

    def epoch(self):
        self.network.train()
        sums = torch.zeros(len(self.request["net"]["classes"]), 2)
        for x, labels in self.train:
            self.optimizer.zero_grad(set_to_none=True)
            losses = self.network.losses_of(self.logits(x), labels.unbind(1))
            self.network.objective(losses).backward()
            self.optimizer.step()
            counts = (labels >= 0).sum(0)
            sums += torch.tensor([[loss.item() * count, count] for loss, count in zip(losses, counts.tolist())])
        return (sums[:, 0] / sums[:, 1]).tolist()

    @torch.inference_mode()
    def evaluate(self):
        self.network.eval()
        right = torch.zeros(len(self.request["net"]["classes"]), 2)
        for x, labels in self.val:
            for task, logits in enumerate(self.logits(x)):
                known = labels[:, task] >= 0
                hits = (logits.argmax(1) == labels[:, task])[known]
                right[task] += torch.tensor([hits.sum().item(), known.sum().item()])
        return (right[:, 0] / right[:, 1]).tolist()

    def save(self, epoch):
        file = os.path.join(self.request["checkpoints"], f"{epoch}.pt")
        state = dict(network=self.network.state_dict(), optimizer=self.optimizer.state_dict(), epoch=epoch)
        torch.save(state, file + ".part")
        os.replace(file + ".part", file)


def main():
    request = json.loads(sys.argv[1])
    epochs = Epochs(request)
    for epoch in range(1, request["epochs"] + 1):
        losses = epochs.epoch()
        accuracy = epochs.evaluate()
        epochs.save(epoch)
        print(json.dumps(dict(epoch=epoch, trainLoss=losses, accuracy=accuracy)), flush=True)


if __name__ == "__main__":
    main()
