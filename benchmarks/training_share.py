"""How much of an epoch is the network's own forward and backward pass? Budget: 90 % (DESIGN section 8).

Both sides in one run: the whole epoch as `fit` does it, and forward and backward alone on the same batches.

Run: ``python benchmarks/training_share.py``
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from tailscope.core import ExperimentData
from tailscope.data import DATASETS, DataSettings, prepare
from tailscope.models import MODELS, Network
from tailscope.training import Job, TrainingSettings, batches, epoch_draws, fit
from tailscope.treatments import TREATMENTS

EPOCHS, BATCH = 2, 32


def network(name: str, data: ExperimentData) -> Network:
    torch.manual_seed(0)
    args = {"output_stride": 8} if name == "test_resnet" else {}
    return MODELS.build("timm", name=name, args=args)(len(data.classes), data.pixels.shape[-1])


def whole_epochs(name: str, data: ExperimentData, folder: Path) -> float:
    plan = TREATMENTS.build("control")(data.counts)
    job = Job(network(name, data), plan, data, TrainingSettings(epochs=EPOCHS, batch_size=BATCH), seed=0)
    begin = time.perf_counter()
    fit(job, folder)
    return time.perf_counter() - begin


def passes_alone(name: str, data: ExperimentData) -> float:
    """Forward and backward in training mode on all batches, and the forward pass of the validation images."""
    net = network(name, data)
    module = net.module.to(memory_format=torch.channels_last)
    loss = TREATMENTS.build("control")(data.counts).loss
    rows, spent = data.rows("train"), 0.0
    for epoch in range(EPOCHS):
        for batch in batches(epoch_draws(rows.size, 0, epoch), BATCH):
            images = net.preprocessing(data.pixels[rows[batch]]).contiguous(memory_format=torch.channels_last)
            targets = torch.from_numpy(data.targets[rows[batch]])
            begin = time.perf_counter()
            loss(module.train()(images), targets).backward()
            spent += time.perf_counter() - begin
        images = net.preprocessing(data.pixels[data.rows("val")]).contiguous(memory_format=torch.channels_last)
        begin = time.perf_counter()
        with torch.no_grad():
            for part in images.split(4 * BATCH):
                module.eval()(part)
        spent += time.perf_counter() - begin
    return spent


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = DATASETS.build("phantom", train=960, val=160, test=64)(None)
        for name, size in (("test_resnet", 64), ("resnet18", 64), ("resnet18", 96)):
            data = prepare(source, DataSettings(image_size=(size, size)), Path(folder))
            passes_alone(name, data)  # warm up
            alone = passes_alone(name, data)
            whole = whole_epochs(name, data, Path(folder) / f"{name}{size}")
            print(f"{name} at {size} px: passes {alone:.2f} s, epochs {whole:.2f} s, share {100 * alone / whole:.0f} %")


if __name__ == "__main__":
    main()
