"""What it costs to look: the same training with each preset of the probes, beside the bare one.

    python benchmarks/probes.py [--epochs 5] [--rounds 7] [--json FILE]

A 784-256-128-10 ReLU network on MNIST (random pictures of its shape where THALWEG_DATA names no folder), batches of
128, Adam, float32. In each round all presets train in turn with their usual cadence, from the same weights; `light` and
`standard` before every single step too, with one epoch. Timed is `training.fit` from its first step to its last, and
the fetching of the records. A ratio is taken within a round; the median and the extremes over the rounds are printed.
The first round compiles and is left out.

PyTorch stands beside them: its usual loop, bare and with hooks that record what `light` does (by layer the moments of
the outputs, root mean square and maximum of delta, norms of gradient and weights, distance, update ratio, dead units)
at the same cadence. The final weights of all of Thalweg's trainings are compared: they are the same to the bit.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from thalweg.core.arrays import arrays_of
from thalweg.data import RowSource, Shuffled
from thalweg.parts.losses import CrossEntropy
from thalweg.parts.optimizers import Adam
from thalweg.parts.settings import Full, Light, Off, Probes, Standard, Training
from thalweg.probes.recorder import ProbeCallback
from thalweg.training.callbacks import Progress
from thalweg.training.fit import fit
from thalweg.training.session import course_of
from training_speed import CASES, RATE, SEED, Case, load, machine

Round = Callable[[], tuple[float, bytes]]


def ours(case: Case, data: RowSource, probes: Probes) -> Round:
    """Seconds and final weights of one training with these probes."""
    training = Training(epochs=case.epochs, batch_size=case.batch_size, seed=SEED)
    course = course_of(case.network, Adam(RATE), training, data, Shuffled())
    start = case.network.initialize(SEED, case.sizes[:1]).params

    def run() -> tuple[float, bytes]:
        began: list[float] = []

        def watch(progress: Progress) -> None:
            began.append(time.perf_counter() - progress.seconds)

        recorders = [ProbeCallback(probes, course, start)] if isinstance(probes, Light) else []
        done = fit(case.network, CrossEntropy(), Adam(RATE), training, data, watch=watch, onlookers=recorders)
        for recorder in recorders:
            assert recorder.records
        seconds = time.perf_counter() - began[0]
        return seconds, b"".join(np.asarray(array).tobytes() for _, array in arrays_of(done.state.params))

    return run


def theirs(case: Case, data: RowSource, every: int) -> Round:
    """Seconds of PyTorch's loop; it records before every so many steps, and never where `every` is 0."""
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y.astype(np.int64))

    def run() -> tuple[float, bytes]:
        linear = [torch.nn.Linear(*shape) for shape in pairwise(case.sizes)]
        modules = [m for layer in linear for m in (layer, torch.nn.ReLU())][:-1]
        network, criterion = torch.nn.Sequential(*modules), torch.nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(network.parameters(), RATE, fused=True)
        start, records, outputs = [m.weight.detach().clone() for m in linear], [], []

        def keep(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
            output.retain_grad()
            outputs.append(output)

        began, step = time.perf_counter(), 0
        for _ in range(case.epochs):
            for rows in torch.split(torch.randperm(len(x)), case.batch_size):
                looking = every and step % every == 0
                hooks = [module.register_forward_hook(keep) for module in modules] if looking else []
                optimizer.zero_grad()
                loss = criterion(network(x[rows]), y[rows])
                loss.backward()
                before = [m.weight.detach().clone() for m in linear] if looking else []
                optimizer.step()
                step += 1
                if looking:
                    records.append(_recorded(linear, outputs, before, start))
                    for hook in hooks:
                        hook.remove()
                    outputs.clear()
        return time.perf_counter() - began, b""

    return run


def _recorded(
    linear: list[torch.nn.Linear], outputs: list[torch.Tensor], before: list[torch.Tensor], start: list[torch.Tensor]
) -> list[float]:
    with torch.no_grad():
        found = []
        for y in outputs:
            found += [y.mean(), y.std(), y.square().mean().sqrt(), y.grad.square().mean().sqrt(), y.grad.abs().max()]
            found.append((y == 0).all(dim=0).float().mean())
        for module, weight, begin in zip(linear, before, start, strict=True):
            norm = weight.norm()
            found += [module.weight.grad.norm(), norm, (module.weight - weight).norm() / norm, (weight - begin).norm()]
        return torch.stack(found).tolist()


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    """Train all in turn, round after round; print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    mnist = next(case for case in CASES if case.name == "mnist")
    case, once = (dataclasses.replace(mnist, epochs=epochs) for epochs in (asked.epochs, 1))
    data, name = load(case)
    every = Light().cadence(case.steps)
    groups = {
        f"{asked.epochs} epochs, before every {every} steps": {
            "bare": ours(case, data, Off()),
            "light": ours(case, data, Light()),
            "standard": ours(case, data, Standard()),
            "full": ours(case, data, Full()),
        },
        "1 epoch, before every step": {
            "bare": ours(once, data, Off()),
            "light": ours(once, data, Light(1)),
            "standard": ours(once, data, Standard(1)),
        },
        f"PyTorch, {asked.epochs} epochs, before every {every} steps": {
            "bare": theirs(case, data, 0),
            "light by hooks": theirs(case, data, every),
        },
    }
    found: dict[str, dict[str, list[float]]] = {}
    print(f"{name}, {every} steps between two looks", flush=True)
    for number in range(asked.rounds + 1):
        for group, rounds in groups.items():
            results = {preset: run() for preset, run in rounds.items()}
            assert len({weights for _, weights in results.values()}) == 1, "probes changed the training"
            for preset, (seconds, _) in results.items():
                if number:
                    found.setdefault(group, {}).setdefault(preset, []).append(seconds)
    for group, times in found.items():
        print(group)
        for preset, seconds in times.items():
            ratios = [one / bare for one, bare in zip(seconds, times["bare"], strict=True)]
            print(f"  {preset:15} {statistics.median(seconds):7.3f} s   times the bare one: {spread(ratios)}")
    if asked.json:
        asked.json.write_text(json.dumps({"machine": machine(), "data": name, "seconds": found}, indent=1))


if __name__ == "__main__":
    main()
