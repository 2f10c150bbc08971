"""The cost of `thalweg.watch`: the same PyTorch training without a watch, with one, and with hooks on every step.

    python benchmarks/watching.py [--steps 500] [--rounds 7] [--json FILE]

A small convolutional network on 28 x 28 pictures and a 784-256-128-10 network of ReLU units train on random rows in
batches of 64 with Adam, on one thread. Times are those of the processor, which other programs on the machine change
least. In each round all kinds train from the same weights, step by step in turn. `watched` includes attaching the watch
and closing it; `none due` compares the median times of those steps that are not looked at, and have no look right
before or behind them. `hooks` is what trackers of experiments do, here on every step: histograms of all outputs and
gradients. A ratio is computed within a round; the median and the extremes are printed. The final weights of all
trainings must be identical to the bit. `memory` is the highest sum of live tensors in a step with a look, less that of
the same step of the bare loop, in units of the activations of one batch (the outputs of all modules).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import nn

import thalweg
from training_speed import machine

BATCH = 64
KINDS = ("bare", "watched", "hooks")
# A step that is looked at, with the effective ranks.
LOOKED_AT = 3


def dense() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


MODELS: dict[str, Callable[[], nn.Module]] = {"784-256-128-10": dense, "small CNN": convolutional}


def histograms(model: nn.Module) -> list[Any]:
    """Hooks that count all outputs and gradients into 64 bins on every step."""
    kept: dict[str, torch.Tensor] = {}

    def forward(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: object, output: torch.Tensor) -> None:
            kept[name] = torch.histc(output.detach().float(), 64)

        return hook

    def backward(name: str) -> Callable[[torch.Tensor], None]:
        def hook(gradient: torch.Tensor) -> None:
            kept[name] = torch.histc(gradient.detach().float(), 64)

        return hook

    handles = [module.register_forward_hook(forward(name)) for name, module in model.named_modules() if name]
    return [*handles, *(p.register_hook(backward(name)) for name, p in model.named_parameters())]


class Training:
    """A training that goes on step by step, and the time that it takes."""

    def __init__(self, make: Callable[[], nn.Module], kind: str) -> None:
        torch.manual_seed(0)
        self.model, self.loss_fn = make(), nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), 1e-3)
        self.times: list[float] = []
        begin = time.process_time()
        self.watch = thalweg.watch(self.model, self.optimizer, self.loss_fn, quiet=True) if kind == "watched" else None
        self.attach = time.process_time() - begin
        self.handles = histograms(self.model) if kind == "hooks" else []

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        begin = time.process_time()
        self.optimizer.zero_grad()
        loss = self.loss_fn(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        self.times.append(time.process_time() - begin)

    def close(self) -> None:
        begin = time.process_time()
        if self.watch:
            self.watch.close()
            assert not self.watch.training.faults, self.watch.training.faults
        self.total = self.attach + math.fsum(self.times) + time.process_time() - begin
        for handle in self.handles:
            handle.remove()

    @property
    def weights(self) -> bytes:
        return b"".join(parameter.detach().numpy().tobytes() for parameter in self.model.parameters())


def trainings(make: Callable[[], nn.Module], steps: int) -> dict[str, Training]:
    """All kinds of trainings, step by step in turn."""
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(BATCH, 1, 28, 28, generator=generator) for _ in range(16)]
    labels = [torch.randint(0, 10, (BATCH,), generator=generator) for _ in range(16)]
    found = {kind: Training(make, kind) for kind in KINDS}
    for number in range(steps):
        for training in found.values():
            training.step(rows[number % 16], labels[number % 16])
    for training in found.values():
        training.close()
    return found


def peak(training: Training, x: torch.Tensor, y: torch.Tensor) -> int:
    """The highest number of bytes that a step allocates and has not yet freed."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        training.step(x, y)
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events))


def memory(make: Callable[[], nn.Module]) -> float:
    """The peak of a step with a look over that of the bare loop, in activations of one batch."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, 1, 28, 28, generator=generator)
    y = torch.randint(0, 10, (BATCH,), generator=generator)
    bare, watched = Training(make, "bare"), Training(make, "watched")
    for training in (bare, watched):
        for _ in range(LOOKED_AT):
            training.step(x, y)
    more = peak(watched, x, y) - peak(bare, x, y)
    watched.close()
    assert watched.watch is not None
    assert LOOKED_AT in {look.step for look in watched.watch.training.looks}
    activations: list[int] = []
    model = make()
    for module in model.children():
        module.register_forward_hook(lambda module, args, output: activations.append(4 * output.numel()))
    model(x)
    return more / sum(activations)


def quiet_ratio(watched: Training, bare: Training) -> float:
    """Median time of the steps far from looks, by that of the same steps without a watch."""
    assert watched.watch is not None
    near = {look.step + shift for look in watched.watch.training.looks for shift in (-1, 0, 1)}
    far = [number for number in range(len(bare.times)) if number not in near]
    return statistics.median(watched.times[step] for step in far) / statistics.median(bare.times[step] for step in far)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    report: dict[str, object] = {"machine": machine(), "steps": options.steps}
    for name, make in MODELS.items():
        ratios: dict[str, list[float]] = {"watched": [], "none due": [], "hooks": []}
        attach = []
        bare_times = []
        for number in range(options.rounds + 1):
            found = trainings(make, options.steps)
            assert len({training.weights for training in found.values()}) == 1, "the watch changed the training"
            if not number:
                continue
            bare_times.append(found["bare"].total)
            attach.append(found["watched"].attach)
            ratios["none due"].append(quiet_ratio(found["watched"], found["bare"]))
            for kind in ("watched", "hooks"):
                ratios[kind].append(found[kind].total / found["bare"].total)
        print(f"{name}: {options.steps} steps, bare {statistics.median(bare_times):.3f} s", flush=True)
        print(f"  attach {1000 * statistics.median(attach):.1f} ms")
        more = memory(make)
        print(f"  memory {more:.2f} activations of a batch")
        for kind, values in ratios.items():
            print(f"  {kind:9} ratio to bare: {spread(values)}")
        report[name] = {"bare": bare_times, "attach": attach, "memory": more, "ratios": ratios}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
