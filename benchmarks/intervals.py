"""What the intervals and verdicts of experiments hold: coverage, family-wise error and power, by simulation.

    python benchmarks/intervals.py [--repeats 20000] [--seed 0]

prints three tables as Markdown. All figures are those of `thalweg.core.intervals.differences`, which experiments,
`thalweg.compare` and proofs use. Beside it are percentile bootstrap intervals and Holm's step-down t tests.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from scipy import stats

from thalweg.core.intervals import differences

SEEDS = (3, 5, 10, 20)
NOISE = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "exponential": lambda rng, size: rng.exponential(size=size) - 1,
    "log-normal": lambda rng, size: rng.lognormal(size=size) - math.exp(0.5),
    "accuracy on 30 rows": lambda rng, size: rng.binomial(30, 0.9, size) / 30 - 0.9,
}


def coverage(changed: np.ndarray, base: np.ndarray) -> float:
    """The part of the intervals that hold the true difference, 0, among those that exist."""
    found = differences(changed, base, comparisons=1)
    return float(np.mean([each.low <= 0 <= each.high for each in found if each and not each.all_equal]))


def bootstrap_coverage(values: np.ndarray, rng: np.random.Generator) -> float:
    """The same for percentile bootstrap intervals of 999 resamples."""
    seeds = values.shape[1]
    held = 0
    for sample in values:
        means = sample[rng.integers(seeds, size=(999, seeds))].mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        held += low <= 0 <= high
    return held / len(values)


def print_coverage(rng: np.random.Generator, repeats: int) -> None:
    """The coverage by noise and number of seeds."""
    print("| noise |", " | ".join(f"{seeds} seeds" for seeds in SEEDS), "|")
    print("| --- |", " | ".join("---" for _ in SEEDS), "|")
    for name, draw in NOISE.items():
        shares = [coverage(draw(rng, (repeats, seeds)), draw(rng, (repeats, seeds))) for seeds in SEEDS]
        print(f"| {name}, both arms |", " | ".join(f"{share:.1%}" for share in shares), "|")
    for name in ("exponential", "log-normal"):
        shares = [coverage(NOISE[name](rng, (repeats, seeds)), np.zeros((repeats, seeds))) for seeds in SEEDS]
        print(f"| {name}, one arm alone |", " | ".join(f"{share:.1%}" for share in shares), "|")
    few = min(repeats, 4000)
    shares = [bootstrap_coverage(rng.standard_normal((few, seeds)), rng) for seeds in SEEDS]
    print("| normal, percentile bootstrap instead |", " | ".join(f"{share:.1%}" for share in shares), "|")


def verdicts(changed: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Which (repeats, comparisons) have a verdict: values (repeats, comparisons, seeds), base (repeats, seeds)."""
    repeats, comparisons, seeds = changed.shape
    bases = np.repeat(base, comparisons, axis=0)
    found = differences(changed.reshape(-1, seeds), bases, comparisons)
    return np.array([each is not None and each.verdict != "undecided" for each in found]).reshape(repeats, comparisons)


def holm(changed: np.ndarray, base: np.ndarray) -> np.ndarray:
    """The same for Holm's step-down method with paired t tests."""
    p = stats.ttest_rel(changed, base[:, None, :], axis=-1).pvalue
    order = np.argsort(p, axis=1)
    rejected = np.cumprod(np.take_along_axis(p, order, 1) * (p.shape[1] - np.arange(p.shape[1])) <= 0.05, axis=1)
    found = np.zeros(p.shape, bool)
    np.put_along_axis(found, order, rejected.astype(bool), 1)
    return found


def print_errors_and_power(rng: np.random.Generator, repeats: int) -> None:
    """Family-wise error and power with 5 seeds, by the number of arms."""
    print(
        "| arms | any of equal arms called better or worse | one effect found | by Holm | all effects found | by Holm |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for arms in (2, 3, 5, 10, 20, 30):
        base = rng.standard_normal((repeats, 5))
        equal = rng.standard_normal((repeats, arms - 1, 5))
        # The deviation of a paired difference is √2.
        one, every = equal.copy(), equal + 2 * 2**0.5
        one[:, 0] += 2 * 2**0.5
        shares = (
            verdicts(equal, base).any(axis=1).mean(),
            verdicts(one, base)[:, 0].mean(),
            holm(one, base)[:, 0].mean(),
            verdicts(every, base).mean(),
            holm(every, base).mean(),
        )
        print(f"| {arms} |", " | ".join(f"{share:.1%}" for share in shares), "|")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what the intervals and verdicts of experiments hold.")
    parser.add_argument("--repeats", type=int, default=20_000, help="simulated experiments of each figure")
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulation")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    print("How often a 95 % interval of a paired difference holds the true difference:\n")
    print_coverage(rng, given.repeats)
    print("\nVerdicts of an experiment with 5 seeds; an effect is 2 standard deviations of the paired differences:\n")
    print_errors_and_power(rng, given.repeats)


if __name__ == "__main__":
    main()
