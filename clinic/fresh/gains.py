"""How much better than a constant answer a run is on the test rows, and which runs count."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import balanced_accuracy_score, r2_score

from learns import SHARE
from thalweg.runs.run_folder import read_result

from .bases import Base, split_of
from .kinds import Case

RESULTS = Path(__file__).parent / "counts.json"
# A case counts where it has less than this part of its base's gain, and a healthy spec where it has at least that.
WORSE = 0.8


def gain_of(folder: Path) -> float:
    """The score of a run on its test rows above that of a constant answer; 0 if it diverged or is no better.

    The score is R² for numbers, as the mean of several targets. For classes it is the balanced accuracy: the mean over
    the classes of the part of their rows that is right; of several labels, the mean over the labels.
    """
    result = read_result(folder)
    if result["diverged"]:
        return 0.0
    measures = result["measures"]["test"]
    if "r2" in measures:
        return max(float(measures["r2"]), 0.0)
    # A class without test rows counts for nothing; of several labels each has two classes.
    counts = result["confusion"]
    classes = 2 if counts is None else int(np.count_nonzero(np.sum(counts, axis=1)))
    return max(float(measures["balanced_accuracy"]) - 1 / classes, 0.0)


def attainable_gain(base: Base) -> float:
    """The gain of a random forest."""
    x, y = base.rows()
    x = x.reshape(len(x), -1)
    split = split_of(len(x))
    if base.numbers:
        forest = RandomForestRegressor(random_state=0).fit(x[split.train], y[split.train])
        return float(r2_score(y[split.test], forest.predict(x[split.test])))
    # Leaves of a few rows, weighted by class: a forest of single rows does not find rare classes.
    forest = RandomForestClassifier(random_state=0, class_weight="balanced", min_samples_leaf=3)
    answers = forest.fit(x[split.train], y[split.train]).predict(x[split.test])
    labels = zip(y[split.test].reshape(len(answers), -1).T, answers.reshape(len(answers), -1).T, strict=True)
    return float(np.mean([balanced_accuracy_score(*of_label) for of_label in labels])) - 1 / len(np.unique(y))


class Count(NamedTuple):
    """A run, and whether it counts."""

    seed: int
    gain: float
    share: float
    """Part of the gain of its base with the same seed; of a base, part of the gain of a forest."""
    counts: bool
    """A base or a healthy spec: whether it learns; a case: whether its base learns and it does worse."""


def counts_of_base(base: Base, folders: Mapping[int, Path]) -> list[Count]:
    """The runs of a base by seed: it learns if it closes three quarters of the gap that a forest closes."""
    attainable = attainable_gain(base)
    gains = {seed: gain_of(folder) for seed, folder in folders.items()}
    return [Count(seed, gain, gain / attainable, gain >= SHARE * attainable) for seed, gain in gains.items()]


def counts_of_case(case: Case, folders: Mapping[int, Path], of_base: list[Count], ill: bool) -> list[Count]:
    """The runs of a faulty (`ill`) or an unusual spec by seed."""
    counts = []
    for base in of_base:
        gain = gain_of(folders[base.seed])
        share = gain / base.gain if base.gain else 0.0
        worse = share < WORSE or case.kind.shows == "always"
        counts.append(Count(base.seed, gain, share, base.counts and worse == ill))
    return counts


def read_counts(file: Path = RESULTS) -> dict[str, dict[str, list[Count]]]:
    """The kept counts by part (the bases, the parts of faults, those of unusual specs) and name."""
    content: dict[str, Any] = json.loads(file.read_text())
    return {
        part: {name: [Count(**count) for count in counts] for name, counts in by_name.items()}
        for part, by_name in content.items()
    }


def write_counts(counts: Mapping[str, Mapping[str, list[Count]]], file: Path = RESULTS) -> None:
    """Write counts by part and name."""
    content = {
        part: {
            name: [{**one._asdict(), "gain": round(one.gain, 4), "share": round(one.share, 4)} for one in by_seed]
            for name, by_seed in by_name.items()
        }
        for part, by_name in counts.items()
    }
    file.write_text(json.dumps(content, indent=1) + "\n")
