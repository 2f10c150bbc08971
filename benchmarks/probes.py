"""The cost of probes: the same training without probes and with each preset.

    python benchmarks/probes.py [--epochs 5] [--rounds 7] [--json FILE]

A 784-256-128-10 ReLU network is trained on MNIST (on random pictures of its shape if THALWEG_DATA names no folder) in
batches of 128 with Adam, in float32. In each round all presets train in turn at their usual cadence, from the same
weights; `light` and `standard` also record before every single step, for one epoch. The time is that of `fit` from the
first step to the last, and of fetching the records. A ratio is computed within a round; the median and the extremes
are printed. The first round compiles and is left out.

PyTorch's usual loop is measured too, without and with hooks that record what `light` records (for each layer the
moments of the outputs, root mean square and maximum of delta, norms of gradient and weights, distance, update ratio,
dead units) at the same cadence. The final weights of all of Thalweg's trainings must be identical to the bit.
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
from thalweg.data import Dataset
from thalweg.parts.settings import Full, Light, Off, Probes, Standard
from thalweg.probes.recorder import ProbeCallback
from thalweg.training.fit import fit
from training_speed import CASES, RATE, Case, Clock, load, machine, session_of

Round = Callable[[], tuple[float, bytes]]


def ours(case: Case, data: Dataset, probes: Probes) -> Round:
    """Seconds and final weights of one training with these probes."""
    session = session_of(case, data)

    def run() -> tuple[float, bytes]:
        clock = Clock()
        recorders = []
        if isinstance(probes, Light):
            recorders.append(ProbeCallback(probes, session.batches, session.start.params))
        trained = fit(session, [clock, *recorders])
        for recorder in recorders:
            assert recorder.records
        seconds = clock.seconds
        return seconds, b"".join(np.asarray(array).tobytes() for _, array in arrays_of(trained.state.params))

    return run


def theirs(case: Case, data: Dataset, every: int) -> Round:
    """Seconds of PyTorch's loop, which records before every `every`-th step (0: never)."""
    x = torch.from_numpy(data.x)
    y = torch.from_numpy(data.y.astype(np.int64))

    def run() -> tuple[float, bytes]:
        linear = [torch.nn.Linear(*shape) for shape in pairwise(case.sizes)]
        modules = [m for layer in linear for m in (layer, torch.nn.ReLU())][:-1]
        network = torch.nn.Sequential(*modules)
        criterion = torch.nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(network.parameters(), RATE, fused=True)
        start = [m.weight.detach().clone() for m in linear]
        records = []
        outputs = []

        def keep(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
            output.retain_grad()
            outputs.append(output)

        step = 0
        began = time.perf_counter()
        for _ in range(case.epochs):
            for rows in torch.split(torch.randperm(len(x)), case.batch_size):
                records_step = every and step % every == 0
                hooks = [module.register_forward_hook(keep) for module in modules] if records_step else []
                optimizer.zero_grad()
                loss = criterion(network(x[rows]), y[rows])
                loss.backward()
                before = [m.weight.detach().clone() for m in linear] if records_step else []
                optimizer.step()
                step += 1
                if records_step:
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
        values = []
        for y in outputs:
            values += [y.mean(), y.std(), y.square().mean().sqrt(), y.grad.square().mean().sqrt(), y.grad.abs().max()]
            values.append((y == 0).all(dim=0).float().mean())
        for module, weight, begin in zip(linear, before, start, strict=True):
            norm = weight.norm()
            values += [module.weight.grad.norm(), norm, (module.weight - weight).norm() / norm, (weight - begin).norm()]
        return torch.stack(values).tolist()


def spread(values: list[float]) -> str:
    """Median, lowest and highest value."""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    mnist = next(case for case in CASES if case.name == "mnist")
    case, once = (dataclasses.replace(mnist, epochs=epochs) for epochs in (options.epochs, 1))
    data, name = load(case)
    every = Light().cadence(case.steps)
    groups = {
        f"{options.epochs} epochs, before every {every} steps": {
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
        f"PyTorch, {options.epochs} epochs, before every {every} steps": {
            "bare": theirs(case, data, 0),
            "light by hooks": theirs(case, data, every),
        },
    }
    times_by_group: dict[str, dict[str, list[float]]] = {}
    print(f"{name}, one record every {every} steps", flush=True)
    for number in range(options.rounds + 1):
        for group, rounds in groups.items():
            results = {preset: run() for preset, run in rounds.items()}
            assert len({weights for _, weights in results.values()}) == 1, "probes changed the training"
            for preset, (seconds, _) in results.items():
                if number:
                    times_by_group.setdefault(group, {}).setdefault(preset, []).append(seconds)
    for group, times in times_by_group.items():
        print(group)
        for preset, seconds in times.items():
            ratios = [one / bare for one, bare in zip(seconds, times["bare"], strict=True)]
            print(f"  {preset:15} {statistics.median(seconds):7.3f} s   ratio to bare: {spread(ratios)}")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "data": name, "seconds": times_by_group}, indent=1))


if __name__ == "__main__":
    main()
