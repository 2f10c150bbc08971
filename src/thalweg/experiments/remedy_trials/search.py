"""How remedies are proven: each alone, paired by seed, then together, one after another."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...core.errors import InputError
from ...core.intervals import Difference
from ...core.progress import ProgressMessage
from ...doctor.findings import Remedy
from ...parts.settings import Off
from ...spec.spec import Spec
from ..compare import held, tried
from ..comparison import paired
from ..experiment import Trial, trial_of
from ..results import Result
from ..variation import Setting
from .arms import Bench, Candidate, merged, setting_of
from .result import MARGIN, ArmTried, Combination, Effect, Proof
from .score import Score, score_for

# With so many seeds everything is tried first: what gains nothing by them comes last.
_LOOK = 2
# Processes take seconds to start: what is done in so many seconds by this one is not worth any.
_WORTH_PROCESSES = 20.0
# More places of one remedy are counted, not listed.
_PLACES_TOLD = 3
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
    watch: Callable[[ProgressMessage], None] = lambda now: None,
    loading: Callable[[int, int], None] = lambda done, total: None,
) -> Proof:
    """Try remedies of a spec, the most likely first, in trials paired by seed, and repair the spec by those that help.

    First the unchanged spec, each remedy, and for each remedy a random change of as many settings and no more updates,
    with the seeds `seed`, `seed + 1`, ...; then the remedies together: the best one that helps, and the others added in
    their order, each kept where it improves on what there was before. Where none helps alone, the first two, the first
    three, and so on. What gains by two seeds is tried with all before anything else is. The changes of a remedy are
    places of the completed spec, as `Run.spec` has it; of two remedies that want the same place the earlier has it.

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
    _check(remedies)
    check_bounds(seeds, minutes, jobs)
    began = time.monotonic()
    bench = Bench(spec, loading)
    until = math.inf if minutes is None else began + 60 * minutes
    path = Path(folder) if folder is not None else None
    with held(path) if path else nullcontext():
        numbers = range(seed, seed + seeds)
        course = _Course(bench, numbers, jobs, path, until, watch, score_for([bench.unchanged.split]))
        combinations, best, repair = course.whole(remedies)
        proof = Proof(
            bench.spec,
            course.score,
            numbers,
            course.came(bench.unchanged),
            course.effects,
            tuple(combinations),
            best.names if best else (),
            repair,
            best.candidate.spec if best else None,
            course.remarked(),
            time.monotonic() - began,
            path,
        )
        if path:
            watch(ProgressMessage("writing the report"))
            proof.save(path)
    return proof


def _check(remedies: Sequence[Remedy]) -> None:
    if not remedies:
        raise InputError("remedies", "expected at least one, received none; there is nothing to prove")
    labels = Counter(remedy.label for remedy in remedies)
    if twice := [label for label, count in labels.items() if count > 1]:
        raise InputError("remedies", f"expected a label of its own for each, received {twice[0]!r} twice")


def check_bounds(seeds: int | None, minutes: float | None, jobs: int | None) -> None:
    """Raise InputError for numbers of seeds, minutes or processes that no proof can have; None is none of them."""
    for name, value in (("seeds", seeds), ("jobs", jobs)):
        if value is not None and value < 1:
            raise InputError(name, f"expected a whole number of at least 1, received {value}")
    if minutes is not None and not minutes > 0:
        raise InputError("minutes", f"expected a number above 0, received {minutes}")


class _Rivals(NamedTuple):
    """A remedy, its arm (None: it makes no spec), and the arm of a random change in its place (None: there is none)."""

    remedy: Remedy
    arm: Candidate | None
    control: Candidate | None


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
    watch: Callable[[ProgressMessage], None]
    score: Score
    results: dict[str, Result] = field(default_factory=dict)
    rivals: list[_Rivals] = field(default_factory=list)
    alternatives: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    failed: dict[str, InputError] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def whole(self, remedies: Sequence[Remedy]) -> tuple[list[Combination], _Standing | None, Effect | None]:
        """All of it: the combinations that were tried, the best of all that was, and what it does."""
        self.prepare(remedies)
        self.alone()
        combinations, best = self.together()
        if best:
            # Its random change comes before what is left.
            self.repair(best)
        self.rest()
        if best is None and any(effect.verdict == "helps" for effect in self.effects):
            # What a first look did not show, all seeds do.
            combinations, best = self.together()
        repair = self.repair(best) if best else None
        if repair is None or repair.verdict != "helps":
            return combinations, None, None
        return combinations, best, repair

    # Each remedy alone ------------------------------------------------------------------------------------------------

    def prepare(self, remedies: Sequence[Remedy]) -> None:
        """Make the arms of all remedies, and a random change for each."""
        for remedy in remedies:
            arm = self._candidate(remedy.label, [setting_of(remedy)])
            self.rivals.append(_Rivals(remedy, arm, self._control(arm) if arm else None))
        self.score = score_for([arm.split for arm in self._arms])

    @property
    def _arms(self) -> list[Candidate]:
        """The unchanged spec, the remedies, and their random changes."""
        arms = [*(each.arm for each in self.rivals), *(each.control for each in self.rivals)]
        return [self.bench.unchanged, *(arm for arm in arms if arm)]

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What each remedy does, as far as it was tried."""
        unchanged = self.came(self.bench.unchanged)
        return tuple(
            Effect(
                self.came(arm) if arm else ArmTried(remedy.label, remedy.changes, self._unknown, problem=_NO_SPEC),
                unchanged,
                self.came(control) if control else None,
            )
            for remedy, arm, control in self.rivals
        )

    def alone(self) -> None:
        """Try every remedy with two seeds, and those that gain by it with all: the best one first, and its control."""
        now, unchanged = time.monotonic(), self.bench.unchanged
        look = self.seeds[:_LOOK]
        arms = [unchanged, *(each.arm for each in self.rivals if each.arm)]
        if self.jobs is None:
            # The first training compiles its program, the second tells how long one takes.
            self._run([(unchanged, seed) for seed in look], self.until, "unchanged", jobs=1)
        self._run([(arm, seed) for seed in look for arm in arms], now + (self.until - now) / 3, "a first look")
        gains = [effect.difference.mean if effect.difference else -math.inf for effect in self.effects]
        ranked = sorted(range(len(gains)), key=lambda place: -gains[place])
        better = [self.rivals[place] for place in ranked if gains[place] >= MARGIN]
        pairs = [
            (arm, seed)
            for each in better
            for arms in ((unchanged, each.arm), (each.control,))
            for seed in self.seeds
            for arm in arms
            if arm
        ]
        self._run(pairs, now + (self.until - now) * 2 / 3, "alone")

    def rest(self) -> None:
        """Try what is left of the remedies and the random changes, one seed after another."""
        self._run([(arm, seed) for seed in self.seeds for arm in self._arms], self.until, "alone")

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

    def together(self) -> tuple[list[Combination], _Standing | None]:
        """The combinations that were tried, and the best of all that was; None where nothing helps."""
        effects = self.effects
        plausible = [each for each, effect in zip(self.rivals, effects, strict=True) if _plausible(effect)]
        # Of equal ones the first: causes come root first.
        gains = {e.arm.label: e.difference.mean for e in effects if e.verdict == "helps" and e.difference}
        tried: list[Combination] = []
        if gains:
            root = next(each for each in plausible if gains.get(each.remedy.label) == max(gains.values()))
            best = self._standing(self.bench.candidate(root.remedy.label, [setting_of(root.remedy)]))
            rest = [each.remedy for each in plausible if each is not root]
        else:
            found, rest = self._first_that_help([each.remedy for each in plausible], tried)
            if found is None:
                return tried, None
            best = found
        for remedy in rest:
            if self._over or self._full(best):
                break
            if added := self._with(best.settings, remedy):
                standing, combination = self._set_against(best, added)
                tried.append(combination)
                best = standing if combination.kept else best
            elif not merged(best.settings, remedy).setting.changes:
                self.alternatives.append(f"`{remedy.label}`")
        return tried, best

    def _first_that_help(
        self, remedies: Sequence[Remedy], tried: list[Combination]
    ) -> tuple[_Standing | None, list[Remedy]]:
        """Remedies that help together though none does alone, and those that are left then.

        The first two, the first three, ...; then the first one with each that had to leave its place to another.
        """
        unchanged = self._standing(self.bench.unchanged)
        for added in self._starts(remedies):
            if self._over:
                break
            standing, combination = self._set_against(unchanged, added)
            helps = combination.effect.verdict == "helps"
            tried.append(combination._replace(kept=helps))
            if helps:
                return standing, [remedy for remedy in remedies if remedy.label not in standing.names]
        return None, []

    def _starts(self, remedies: Sequence[Remedy]) -> Iterator[Candidate]:
        settings: tuple[Setting, ...] = ()
        alternatives = []
        for remedy in remedies:
            added = self._with(settings, remedy)
            if added is None:
                alternatives.append(remedy)
                continue
            settings = added.arm.settings
            if len(settings) > 1:
                yield added
        for remedy in alternatives:
            if added := self._with(settings[:1], remedy):
                yield added

    def _with(self, settings: Sequence[Setting], remedy: Remedy) -> Candidate | None:
        """A remedy added to settings that stand; None where it adds nothing, or makes no spec."""
        setting, given_up = merged(settings, remedy)
        if not setting.changes:
            return None
        if given_up:
            more = f" and {len(given_up) - _PLACES_TOLD} more" if len(given_up) > _PLACES_TOLD else ""
            places = ", ".join(given_up[:_PLACES_TOLD]) + more
            self.remarks.append(f"`{remedy.label}` leaves {places} to an earlier remedy: what is left of it is tried.")
        both = [*settings, setting]
        return self._candidate(" + ".join(each.label for each in both), both)

    def _set_against(self, base: _Standing, added: Candidate) -> tuple[_Standing, Combination]:
        """Try an arm, and say whether it is better than what there was before; with all seeds where two show a gain."""
        words = f"together, {len(added.arm.settings)} remedies"
        for seeds in (self.seeds[:_LOOK], self.seeds):
            arms = (self.bench.unchanged, base.candidate, added)
            self._run([(arm, seed) for seed in seeds for arm in arms], self.until, words)
            base, standing = self._standing(base.candidate), self._standing(added)
            gain = paired(standing.arm.values, base.arm.values)
            if gain is None or gain.mean <= 0:
                break
        effect = Effect(standing.arm, self.came(self.bench.unchanged))
        return standing, Combination(standing.names, effect, base.names, gain, improves(gain))

    def _full(self, best: _Standing) -> bool:
        full = 1 - best.arm.mean < MARGIN
        if full:
            names = " + ".join(best.names)
            self.remarks.append(f"`{names}` leaves less than {MARGIN:g} to gain: nothing more was added to it.")
        return full

    def repair(self, best: _Standing) -> Effect:
        """What the best of all does; where it is a combination, beside a random change of its own."""
        alone = [effect for effect in self.effects if best.names == (effect.arm.label,)]
        if alone:
            return alone[0]
        control = self._control(best.candidate)
        if control:
            words = "a random change in the place of the repair"
            self._run([(control, seed) for seed in self.seeds], self.until, words)
        return Effect(best.arm, self.came(self.bench.unchanged), self.came(control) if control else None)

    # Trials -----------------------------------------------------------------------------------------------------------

    def _run(self, pairs: Iterable[tuple[Candidate, int]], until: float, words: str, jobs: int | None = None) -> None:
        """Run those trials of arms and seeds that are not known yet, in this order."""
        trials = {trial.key: trial for trial in (_trial(arm, seed) for arm, seed in pairs)}
        missing = [trial for key, trial in trials.items() if key not in self.results and key not in self.failed]
        watch = self.watch

        def told(now: ProgressMessage) -> None:
            watch(ProgressMessage(f"{words}: {now.text}", now.fraction))

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
        others = ", ".join(dict.fromkeys(self.alternatives))
        left = [f"Not added to others, for these change the same places: {others}."] if others else []
        return (*over, *dict.fromkeys(self.remarks), *left)

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
    def _unknown(self) -> np.ndarray:
        return np.full(len(self.seeds), math.nan)

    @property
    def _over(self) -> bool:
        return time.monotonic() >= self.until


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
