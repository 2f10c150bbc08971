"""A PyTorch training, described by the user's own factories."""

from __future__ import annotations

import importlib.util
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from ...core.errors import InputError, Problem
from ...core.files import Json
from ...core.printable import received

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from ...doctor.diagnosis import Diagnosis
    from .loop import TrainedRecipe
    from .parts import TrainingParts
    from .rows import RecipeRows


FACTORIES = ("model", "data", "loss", "optimizer", "schedule", "score")
"""The options of a recipe that are, or may be, functions of the user."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Recipe:
    """A PyTorch training in the user's own parts, so that it can be trained again and again with small changes.

    Attributes:
        model: model() gives a new module, with initial weights of PyTorch's current random state.
        data: data() gives (training rows, held-out rows). Rows are (x, y), two tensors or arrays with a row for each
            sample; or a Dataset or DataLoader of such pairs, all of which is read into memory.
        loss: loss(outputs, targets) gives a scalar: a module such as nn.CrossEntropyLoss(), its class, a function, or a
            function without arguments that makes one.
        optimizer: optimizer(parameters) gives a torch.optim.Optimizer.
        epochs: number of passes through the training rows.
        batch_size: rows of a batch; None: that of the DataLoader of the training rows, else 32.
        shuffle: whether rows come in a new order in each epoch; None: as in that DataLoader, else True.
        score: how well held-out rows are answered: "accuracy", "r2", or a function score(outputs, targets) of two
            tensors that gives a number, 1 for perfect answers. None: "accuracy" for targets that are whole numbers, or
            0 and 1 alone, or of two values for a loss on labels, else "r2".
        schedule: schedule(optimizer) gives a learning-rate scheduler, which steps once after each epoch.
        clip: largest norm of the gradient of all parameters; None: gradients are not clipped.

    Raises:
        InputError: all options that do not fit, at once.

    >>> import pytest
    >>> torch = pytest.importorskip("torch")
    >>> x = torch.linspace(-1, 1, 40)[:, None]
    >>> recipe = Recipe(
    ...     model=lambda: torch.nn.Linear(1, 1),
    ...     data=lambda: ((x, 3 * x), (x, 3 * x)),
    ...     loss=torch.nn.MSELoss(),
    ...     optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.5),
    ... )
    >>> recipe.train().score > 0.99
    True
    """

    model: Callable[[], nn.Module]
    data: Callable[[], tuple[object, object]]
    loss: Callable[..., object]
    optimizer: Callable[..., Optimizer]
    epochs: int = 10
    batch_size: int | None = None
    shuffle: bool | None = None
    score: Literal["accuracy", "r2"] | Callable[..., float] | None = None
    schedule: Callable[[Optimizer], LRScheduler] | None = None
    clip: float | None = None

    def __post_init__(self) -> None:
        problems = [*self._wrong_factories(), *self._wrong_numbers()]
        if self.score not in (None, "accuracy", "r2") and not callable(self.score):
            problems.append(
                Problem("score", f'expected "accuracy", "r2" or a function, received {received(self.score)}')
            )
        if problems:
            raise InputError("Recipe", problems)

    def _wrong_factories(self) -> list[Problem]:
        factories = {
            "model": (self.model, 0, "a function without arguments that makes the module"),
            "data": (self.data, 0, "a function without arguments that gives (training rows, held-out rows)"),
            "loss": (self.loss, None, "a module, its class, or a function of outputs and targets"),
            "optimizer": (self.optimizer, 1, "a function of the parameters that makes the optimizer"),
            "schedule": (self.schedule, 1, "a function of the optimizer that makes the scheduler"),
        }
        problems = []
        for name, (factory, arguments, wanted) in factories.items():
            if factory is None and name == "schedule":
                continue
            made = {"model": "parameters", "optimizer": "param_groups"}.get(name)
            if made and hasattr(factory, made) and not inspect.isclass(factory):
                fix = "each training needs a new one: put what makes it into a function"
                problems.append(Problem(name, f"expected {wanted}, received a {type(factory).__name__}; {fix}"))
            elif not callable(factory) or (arguments is not None and not _takes(factory, arguments)):
                problems.append(Problem(name, f"expected {wanted}, received {received(factory)}"))
        return problems

    def _wrong_numbers(self) -> list[Problem]:
        problems = [
            Problem(name, f"expected a whole number of at least 1, received {received(value)}")
            for name, value in (("epochs", self.epochs), ("batch_size", self.batch_size))
            if value is not None and (type(value) is not int or value < 1)
        ]
        if self.clip is not None and not (isinstance(self.clip, int | float) and 0 < self.clip < math.inf):
            problems.append(Problem("clip", f"expected a number above 0, received {received(self.clip)}"))
        return problems

    def train(self, seed: int = 0) -> TrainedRecipe:
        """Train a new model in a plain loop.

        Args:
            seed: decides the initial weights, the order of the rows and all noise.

        Raises:
            InputError: PyTorch is not installed, or the factories do not fit together.
        """
        check_torch()
        from .loop import train

        return train(self.parts(self.rows(), seed), seed)

    def diagnose(self, seed: int = 0, until: float = math.inf) -> Diagnosis:
        """Train a new model in the plain loop under `thalweg.watch`, and say why it does not learn.

        Args:
            seed: as in `train`.
            until: the time, as of `time.monotonic`, at which the training is given up.

        Raises:
            InputError: PyTorch is not installed, or the factories do not fit together.
        """
        check_torch()
        from .loop import watched

        return watched(self.parts(self.rows(), seed), seed, until)

    def rows(self) -> RecipeRows:
        """The rows; `data` is called once more. Raises InputError where they are not two sets of (x, y)."""
        from .rows import rows_of

        return rows_of(self.data, self.batch_size, self.shuffle)

    def parts(self, rows: RecipeRows, seed: int, changes: Mapping[str, Json] = MappingProxyType({})) -> TrainingParts:
        """What is trained with a seed, after changes of the recipe (`edits.EDITS`). Raises InputError."""
        from .edits import edited
        from .parts import parts_of

        plain = parts_of(
            rows, seed, self.model, self.loss, self.optimizer, self.epochs, self.schedule, self.clip, self.score
        )
        return edited(plain, changes, seed)


def check_torch() -> None:
    """Raise InputError where PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise InputError("Recipe", "PyTorch is not installed; pip install 'thalweg[torch]'")


def _takes(factory: Callable[..., object], arguments: int) -> bool:
    """Whether a function can be called with this number of arguments; True where its signature is not known."""
    try:
        inspect.signature(factory).bind(*range(arguments))
    except TypeError:
        return False
    except ValueError:
        return True
    return True
