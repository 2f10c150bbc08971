"""The length of a training whose spec has `epochs = "auto"`: a budget of updates, and when to stop before its end."""

from __future__ import annotations

import dataclasses

from ..data import Data, Dataset, RowSource
from ..parts.part import Optimizer
from ..parts.schedules import in_steps
from ..parts.schedules.metric_schedules import metric_schedules
from ..parts.settings import BATCH_SIZE, CompleteTraining, Stopping, Training

# Chosen on digits and on generated tables of 150 to 2,500 rows (benchmarks/tables.py, `development`).
# Updates, not epochs: 20 epochs of 100 rows are 80 updates, and those of 50,000 rows 31,000.
_UPDATES = 10_000
_PATIENCE = 1000
# A budget of an architecture: more epochs of few rows learn them by heart.
_MOST_EPOCHS = 256
# Holdouts of such a training end after this part of it without a better loss: chosen on development tables.
_BUDGETS_IN_PATIENCE = 6
# Without held-out rows nothing says when a training is long enough.
_UNWATCHED_UPDATES = 1000
_FEWEST_EPOCHS = 20
_LEAST_PATIENCE = 5
_SECONDS = 600.0
# A tenth of fewer rows says little about the best length.
_FEW_ROWS = 2000
_HOLDOUTS = 5
# Fewer rows cannot be held out from.
_FEWEST_ROWS = 20


def with_length(
    training: Training,
    stopping: Stopping,
    optimizer: Optimizer,
    data: Data,
    rows: RowSource,
    budget: int | None = None,
) -> tuple[CompleteTraining, Stopping]:
    """The training with its number of epochs, and when it stops before the last one.

    A spec that says how many epochs it trains is left as it is. Otherwise:

        updates   10,000, in at least 20 epochs; 1,000 without held-out rows
        patience  1,000 updates without a better validation loss, at least 5 epochs; the best weights are restored
        seconds   600
        holdouts  5 for up to 2,000 training rows, whose few validation rows cannot decide; 1 for more rows without a
                  validation set; none where rows are ordered in time, or the rate depends on the length or a measure

    An architecture with a `budget` of updates has that one, in at most 256 epochs, with the same holdouts, which have a
    patience of a sixth of its epochs; without holdouts the best weights are restored. What `stopping` says takes the
    place of these values.

    Source: Prechelt 1998, Early stopping, but when?

    >>> few = Dataset([[0.0]] * 150, [0] * 150, "classification")
    >>> training, stopping = with_length(Training("auto"), Stopping(), Optimizer.of("adam"), Data("iris"), few)
    >>> training.epochs, stopping.patience, stopping.holdouts
    (2000, 200, 5)
    """
    if training.epochs != "auto":
        return with_epochs(training, training.epochs), stopping
    per_epoch = _updates_in_epoch(training, optimizer, len(rows))
    if budget is not None:
        return _of_budget(training, stopping, data, rows, min(_MOST_EPOCHS, max(1, budget // per_epoch)))
    depends = bool(metric_schedules(optimizer)) or _depends_on_length(optimizer, per_epoch)
    holdouts = stopping.holdouts
    if holdouts is None and not depends:
        holdouts = _holdouts(stopping, data, rows)
    watched = bool(holdouts or _validation_rows(data, rows))
    updates = _UPDATES if watched else _UNWATCHED_UPDATES
    epochs = max(_FEWEST_EPOCHS, -(-updates // per_epoch))
    patience = max(_LEAST_PATIENCE, -(-_PATIENCE // per_epoch)) if watched else None
    defaults = Stopping(patience=patience, seconds=_SECONDS, holdouts=holdouts)
    return with_epochs(training, epochs), merged(defaults, stopping)


def _of_budget(
    training: Training, stopping: Stopping, data: Data, rows: RowSource, epochs: int
) -> tuple[CompleteTraining, Stopping]:
    """The length of a training by the budget of its architecture, which is so many epochs."""
    holdouts = stopping.holdouts or _holdouts(stopping, data, rows)
    if holdouts:
        patience = max(_LEAST_PATIENCE, epochs // _BUDGETS_IN_PATIENCE)
        defaults = Stopping(patience=patience, seconds=_SECONDS, holdouts=holdouts)
    else:
        defaults = Stopping(restore_best=_validation_rows(data, rows) > 0, seconds=_SECONDS)
    return with_epochs(training, epochs), merged(defaults, stopping)


def _validation_rows(data: Data, rows: RowSource) -> int:
    """About how many validation rows there are beside so many training rows."""
    return round(data.validation / (1 - data.validation) * len(rows))


def usual_stopping(training: Training, optimizer: Optimizer, data: Data, rows: RowSource) -> Stopping:
    """The options of stopping that follow from rows, by which trainings that say nothing of their length stop."""
    of_steps = Training("auto", batch_size=training.batch_size, accumulate=training.accumulate)
    _, stopping = with_length(of_steps, Stopping(), optimizer, data, rows)
    return dataclasses.replace(stopping, restore_best=True)


def with_epochs(training: Training, epochs: int) -> CompleteTraining:
    """The training with this number of epochs."""
    return CompleteTraining.of(dataclasses.replace(training, epochs=epochs))


def merged(defaults: Stopping, chosen: Stopping) -> Stopping:
    """The defaults, replaced by every option of `chosen` that differs from the default of its field."""
    fields = [field for field in dataclasses.fields(Stopping) if getattr(chosen, field.name) != field.default]
    return dataclasses.replace(defaults, **{field.name: getattr(chosen, field.name) for field in fields})


def _updates_in_epoch(training: Training, optimizer: Optimizer, rows: int) -> int:
    if optimizer.full_batch or training.batch_size == "full":
        return 1
    return -(-rows // (min(training.batch_size or BATCH_SIZE, rows) * training.accumulate))


def _holdouts(stopping: Stopping, data: Data, rows: RowSource) -> int | None:
    """How often rows are held out to choose the length; None where that does not suit."""
    ordered = data.split == "time" or data.order.in_time
    decided = stopping.patience is not None or stopping.measure is not None or stopping.restore_best is not None
    if ordered or decided or not isinstance(rows, Dataset) or len(rows) < _FEWEST_ROWS:
        return None
    if len(rows) <= _FEW_ROWS:
        return _HOLDOUTS
    return None if data.validation else 1


def _depends_on_length(optimizer: Optimizer, per_epoch: int) -> bool:
    """Whether a schedule of the optimizer has another course in a longer training."""
    short, long = (in_steps(optimizer, per_epoch, steps, BATCH_SIZE) for steps in (_UPDATES, 2 * _UPDATES))
    return short != long
