"""How remedies are proven: each alone, paired by seed, then together, one after another."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..doctor.findings import Remedy
from ..errors import InputError
from ..experiments.comparison import paired
from ..experiments.conduct import held, tried
from ..experiments.experiment import Trial, trial_of
from ..experiments.results import Result
from ..experiments.variation import Setting
from ..intervals import Difference
from ..probes import Off
from ..spec import Spec
from ..worksheet import Working
from .arms import Bench, Candidate, merged, setting_of
from .result import ArmTried, Combination, Effect, Proof
from .score import Score, score_for

# Where time is short, the remedies alone have this share of it, their combinations the rest.
_ALONE = 2 / 3
# A gain of less than this is kept only where its interval lies above 0; where less is left to gain, nothing is added.
MARGIN = 0.01
# Processes take seconds to start: what is done in so many seconds by this one is not worth any.
_WORTH_PROCESSES = 20.0
_NO_SPEC = "it makes no spec that suits the data"


def prove(
    spec: Spec,
    remedies: Sequence[Remedy],
    *,
    seeds: int = 5,
    seed: int = 0,
    jobs: int | None = None,
    minutes: float | None = None,
    folder: str | Path | None = None,
    watch: Callable[[Working], None] = lambda now: None,
    loading: Callable[[int, int], None] = lambda done, total: None,
) -> Proof:
    """Try remedies of a spec, the most likely first, in trials paired by seed, and repair the spec by those that help.

    First the unchanged spec, each remedy, and for each remedy a random change of as many settings and no more updates,
    with the seeds `seed`, `seed + 1`, ...; then the remedies together: the best one that helps, and the others added in
    their order, each kept where it improves on what there was before. Where none helps alone, the first two, the first
    three, and so on. The changes of a remedy are places of the completed spec, as `Run.spec` has it; of two remedies
    that want the same place the earlier has it.

    After `minutes` no trial is waited for; what was found by then is told. With a folder it holds the trials, which are
    not run again, and the proof (`Proof.save`). `jobs` is the number of processes (None: one for each core, where there
    is enough to do; 1: this one). Raises InputError where the spec does not suit its data, and KeyboardInterrupt at
    Ctrl-C; what is finished then lies in the folder, and the same call goes on.

    >>> spec = Spec.of({"data": "xor", "network": ["dense 4", "tanh", "dense 2"], "optimizer": "adam 1e-6",
    ...                 "training": {"epochs": 100, "engine": "eager"}})
    >>> proof = prove(spec, [Remedy("rate 0.1", (("optimizer.learning_rate", 0.1),))], seeds=3, jobs=1)
    >>> proof.effects[0].verdict, proof.repaired.optimizer
    ('helps', Adam(learning_rate=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-08))
    """
    _check(remedies, seeds, minutes, jobs)
    began = time.monotonic()
    bench = Bench(spec, loading)
    until = math.inf if minutes is None else began + 60 * minutes
    path = Path(folder) if folder is not None else None
    with held(path) if path else nullcontext():
        numbers = range(seed, seed + seeds)
        course = _Course(bench, numbers, jobs, path, until, watch, score_for([bench.unchanged.split]))
        effects = course.alone(remedies)
        combinations, best = course.together(remedies, effects)
        proof = Proof(
            bench.spec,
            course.score,
            numbers,
            course.came(bench.unchanged),
            effects,
            tuple(combinations),
            best.names if best else (),
            course.repair(best, effects) if best else None,
            best.candidate.spec if best else None,
            course.remarked(),
            time.monotonic() - began,
            path,
        )
        if path:
            watch(Working("writing the report"))
            proof.save(path)
    return proof


def _check(remedies: Sequence[Remedy], seeds: int, minutes: float | None, jobs: int | None) -> None:
    if not remedies:
        raise InputError("remedies", "expected at least one, received none; there is nothing to prove")
    labels = Counter(remedy.label for remedy in remedies)
    if twice := [label for label, count in labels.items() if count > 1]:
        raise InputError("remedies", f"expected a label of its own for each, received {twice[0]!r} twice")
    for name, value in (("seeds", seeds), ("jobs", jobs)):
        if value is not None and value < 1:
            raise InputError(name, f"expected a whole number of at least 1, received {value}")
    if minutes is not None and not minutes > 0:
        raise InputError("minutes", f"expected a number above 0, received {minutes}")


class _Standing(NamedTuple):
    """Settings that stand together, the arm that they make, and what it came to."""

    candidate: Candidate
    arm: ArmTried

    @property
    def settings(self) -> tuple[Setting, ...]:
        return self.candidate.arm.settings

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(setting.label for setting in self.settings)


@dataclass(eq=False)
class _Course:
    """The course of a proof: what was tried so far, and what there is to remark."""

    bench: Bench
    seeds: range
    jobs: int | None
    folder: Path | None
    until: float
    watch: Callable[[Working], None]
    score: Score
    results: dict[str, Result] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    failed: dict[str, InputError] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    # Each remedy alone ------------------------------------------------------------------------------------------------

    def alone(self, remedies: Sequence[Remedy]) -> tuple[Effect, ...]:
        """What each remedy does, and the random change that it is set against."""
        arms = [self._candidate(remedy.label, [setting_of(remedy)]) for remedy in remedies]
        controls = [arm and self._control(arm) for arm in arms]
        candidates = [arm for arm in (self.bench.unchanged, *arms, *controls) if arm]
        self.score = score_for([arm.split for arm in candidates])

        def found() -> tuple[Effect, ...]:
            unchanged = self.came(self.bench.unchanged)
            return tuple(
                Effect(
                    self.came(arm) if arm else ArmTried(remedy.label, remedy.changes, self._unknown, problem=_NO_SPEC),
                    unchanged,
                    self.came(control) if control else None,
                )
                for remedy, arm, control in zip(remedies, arms, controls, strict=True)
            )

        now = time.monotonic()
        self._set_pace()
        self._run(candidates, self.seeds, now + _ALONE * (self.until - now), "alone")
        if not self._adds(found()):
            self._run(candidates, self.seeds, self.until, "alone")
        return found()

    def _set_pace(self) -> None:
        """See how long a training takes: the first compiles its program, the second tells."""
        if self.jobs is None:
            self._run([self.bench.unchanged], self.seeds[:2], self.until, "unchanged", jobs=1)

    def _adds(self, effects: Sequence[Effect]) -> bool:
        """Whether anything may be gained by remedies together."""
        plausible = [effect for effect in effects if _plausible(effect)]
        best = max((effect.arm.mean for effect in plausible if effect.verdict == "helps"), default=0.0)
        return len(plausible) > 1 and 1 - best >= MARGIN

    def _candidate(self, label: str, settings: Sequence[Setting]) -> Candidate | None:
        """The arm; None, and a remark, where there can be none."""
        try:
            found = self.bench.candidate(label, settings)
        except InputError as error:
            told = [str(each if each.place else each.below(error.subject)) for each in error.problems]
            self.remarks.append(f"`{label}` can not be tried: {'; '.join(told)}.")
            return None
        if found.other_rows(self.bench.unchanged):
            self.remarks.append(f"`{label}` chooses other rows than the unchanged spec, and is scored on these.")
        return found

    def _control(self, arm: Candidate) -> Candidate | None:
        found = self.bench.control(arm, self.seeds.start)
        if found is None:
            self.remarks.append(f"No random change was found that costs as little as `{arm.arm.label}`.")
        return found

    # Together ---------------------------------------------------------------------------------------------------------

    def together(
        self, remedies: Sequence[Remedy], effects: Sequence[Effect]
    ) -> tuple[list[Combination], _Standing | None]:
        """The combinations that were tried, and the best of all that was; None where nothing helps."""
        pairs = list(zip(remedies, effects, strict=True))
        plausible = [remedy for remedy, effect in pairs if _plausible(effect)]
        # Of equal ones the first: causes come root first.
        gains = {e.arm.label: e.difference.mean for e in effects if e.verdict == "helps" and e.difference}
        tried: list[Combination] = []
        if not gains and len(self._tried_seeds) < 2:
            return tried, None
        if not gains:
            best, rest = self._first_few(plausible, tried)
        else:
            root = next(remedy for remedy in plausible if gains.get(remedy.label) == max(gains.values()))
            best = self._standing(self.bench.candidate(root.label, [setting_of(root)]))
            rest = [remedy for remedy in plausible if remedy is not root]
        for remedy in rest:
            if best is None or self._over(f"`{remedy.label}` was not tried beside others.") or self._full(best):
                break
            if added := self._with(best.settings, remedy):
                standing, combination = self._set_against(best, added)
                tried.append(combination)
                best = standing if combination.kept else best
        return tried, best

    def _first_few(
        self, remedies: Sequence[Remedy], tried: list[Combination]
    ) -> tuple[_Standing | None, Sequence[Remedy]]:
        """The first two remedies, the first three, ..., until they help together; and those that are left then."""
        unchanged = self._standing(self.bench.unchanged)
        settings: tuple[Setting, ...] = ()
        for place, remedy in enumerate(remedies, 1):
            added = self._with(settings, remedy)
            if added is None:
                continue
            settings = added.arm.settings
            if len(settings) == 1:
                continue
            if self._over(f"The first {place} remedies together were not tried."):
                break
            standing, combination = self._set_against(unchanged, added)
            helps = combination.effect.verdict == "helps"
            tried.append(combination._replace(kept=helps))
            if helps:
                return standing, remedies[place:]
        return None, ()

    def _with(self, settings: Sequence[Setting], remedy: Remedy) -> Candidate | None:
        """A remedy added to settings that stand; None where it adds nothing, or makes no spec."""
        setting, given_up = merged(settings, remedy)
        if given_up:
            left = "what is left of it is tried" if setting.changes else "nothing is left of it"
            self.remarks.append(f"`{remedy.label}` leaves {', '.join(given_up)} to an earlier remedy: {left}.")
        if not setting.changes:
            return None
        both = [*settings, setting]
        return self._candidate(" + ".join(each.label for each in both), both)

    def _set_against(self, base: _Standing, added: Candidate) -> tuple[_Standing, Combination]:
        """Try an arm, and say whether it is better than what there was before."""
        self._run([added], self._tried_seeds, self.until, f"together, {len(added.arm.settings)} remedies")
        standing, unchanged = self._standing(added), self.came(self.bench.unchanged)
        gain = paired(standing.arm.values, base.arm.values)
        effect = Effect(standing.arm, unchanged)
        return standing, Combination(standing.names, effect, base.names, gain, improves(gain))

    def _full(self, best: _Standing) -> bool:
        full = 1 - best.arm.mean < MARGIN
        if full:
            names = " + ".join(best.names)
            self.remarks.append(f"`{names}` leaves less than {MARGIN:g} to gain: nothing more was added to it.")
        return full

    def repair(self, best: _Standing, effects: Sequence[Effect]) -> Effect:
        """What the best of all does; where it is a combination, beside a random change of its own."""
        alone = [effect for effect in effects if best.names == (effect.arm.label,)]
        if alone:
            return alone[0]
        control = self._control(best.candidate)
        if control:
            self._run([control], self._tried_seeds, self.until, "a random change in the place of the repair")
        return Effect(best.arm, self.came(self.bench.unchanged), self.came(control) if control else None)

    # Trials -----------------------------------------------------------------------------------------------------------

    def _run(
        self, arms: Sequence[Candidate], seeds: Iterable[int], until: float, words: str, jobs: int | None = None
    ) -> None:
        """Run those trials of the arms that are not known yet, all arms of one seed after another."""
        trials = {trial.key: trial for seed in seeds for trial in (_trial(arm, seed) for arm in arms)}
        missing = [trial for key, trial in trials.items() if key not in self.results and key not in self.failed]
        watch = self.watch

        def told(now: Working) -> None:
            watch(Working(f"{words}: {now.text}", now.share))

        results, failed = tried(missing, self.folder, jobs or self._processes(len(missing)), None, told, until)
        self.asked |= trials.keys()
        self.results |= results
        self.failed |= failed

    def _processes(self, trials: int) -> int | None:
        """How many processes so many trials are worth; None: one for each core."""
        pace = min((result.seconds for result in self.results.values()), default=math.inf)
        return self.jobs or (1 if pace * trials < _WORTH_PROCESSES else None)

    def remarked(self) -> tuple[str, ...]:
        """What could not be tried, and why."""
        lost = len(self.asked - self.results.keys() - self.failed.keys())
        over = [f"The time was over: {lost} of {len(self.asked)} trials were not run."] if lost else []
        return (*over, *dict.fromkeys(self.remarks))

    def came(self, arm: Candidate) -> ArmTried:
        """What an arm came to."""
        trials = [_trial(arm, seed) for seed in self.seeds]
        results = [self.results.get(trial.key) for trial in trials]
        errors = [str(self.failed[trial.key]) for trial in trials if trial.key in self.failed]
        return ArmTried(
            arm.arm.label,
            arm.arm.changes,
            np.array([self.score.of(result) if result else math.nan for result in results]),
            sum(bool(result and result.diverged) for result in results),
            arm.updates,
            errors[0] if errors else "",
        )

    def _standing(self, arm: Candidate) -> _Standing:
        return _Standing(arm, self.came(arm))

    @property
    def _tried_seeds(self) -> list[int]:
        """The seeds that the unchanged spec was tried with: only they make pairs."""
        values = self.came(self.bench.unchanged).values
        return [seed for seed, value in zip(self.seeds, values, strict=True) if math.isfinite(value)]

    @property
    def _unknown(self) -> np.ndarray:
        return np.full(len(self.seeds), math.nan)

    def _over(self, remark: str) -> bool:
        over = time.monotonic() >= self.until
        if over:
            self.remarks.append(f"The time was over: {remark}")
        return over


def _plausible(effect: Effect) -> bool:
    """Whether a remedy may be of use beside others, whatever it does alone."""
    return not effect.arm.problem and effect.verdict != "harms"


def _trial(arm: Candidate, seed: int) -> Trial:
    # What a trial looks like inside is seen when it is trained alone.
    return trial_of(arm.arm, dataclasses.replace(arm.spec, probes=Off()), arm.prints, seed)


def improves(gain: Difference | None) -> bool:
    """Whether an addition is kept: its interval lies above 0, or it harms no seed and gains at least MARGIN.

    Where only some seeds need the addition the interval begins at 0.

    >>> improves(Difference(0.2, 0.1, 0.3)), improves(Difference(0.08, 0.0, 0.2)), improves(Difference(0.2, -0.1, 0.4))
    (True, True, False)
    """
    return gain is not None and (gain.low > 0 or (gain.low >= 0 and gain.mean >= MARGIN))
