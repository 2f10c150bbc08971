"""Sessions from their parts, and callbacks from plain functions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from thalweg.data import Data, Shuffled, Source, Split
from thalweg.parts.regularization import Regularization
from thalweg.parts.settings import Checkpoints, Off, Stopping
from thalweg.spec.spec import CompleteSpec
from thalweg.training.callbacks import Callback
from thalweg.training.fit import fit
from thalweg.training.session import Session


class Watching(Callback):
    """Calls a function with the progress of a training."""

    def __init__(self, function):
        self.function = function

    def on_progress(self, progress):
        self.function(progress)


class Keeping:
    """Hands each checkpoint to a function."""

    def __init__(self, function, settings):
        self.function = function
        self.settings = settings

    def save(self, checkpoint):
        self.function(checkpoint)


def session_of(
    network,
    loss,
    optimizer,
    training,
    train,
    validation=None,
    unit=1.0,
    order=Shuffled(),
    regularization=Regularization(),
    stopping=Stopping(),
    checkpoints=Checkpoints(),
):
    """A session of parts and prepared rows; `unit` is one unit of a regression's output in units of its target."""
    spec = CompleteSpec(
        data=Data(Source.of((np.zeros((4, 1)), np.zeros(4)))),
        network=network,
        loss=loss,
        optimizer=optimizer,
        training=training,
        regularization=regularization,
        stopping=stopping,
        checkpoints=checkpoints,
        probes=Off(),
    )
    return Session(spec, Split(train, validation, None, SimpleNamespace(target_unit=unit), (), order))


def fit_parts(*parts, keep=None, resume=None, watch=None, callbacks=(), **options):
    """Train a session of parts: `keep` gets each checkpoint, `watch` the progress."""
    session = session_of(*parts, **options)
    saver = Keeping(keep, session.spec.checkpoints) if keep else None
    watching = [Watching(watch)] if watch else []
    return fit(session, [*watching, *callbacks], saver=saver, resume=resume)
