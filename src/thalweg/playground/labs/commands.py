"""What a lab can be told and asked, and the process that obeys."""

from __future__ import annotations

import gc
import hashlib
import json
import math
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import numpy as np

from ...core.errors import InputError, Problem
from ...core.files import Json, JsonObject, commit
from ...models.network import Network
from ...spec.edit import changed
from ...spec.spec import Spec
from ..analyses.snapshot import LabSnapshot
from ..specs import FilesAllowed
from .lab import Lab, Orders

_MOST_POINTS = 10_000
_PAINTED_TARGET = "class"
_SEEDS = 5
# While the page draws a frame, the next one is on its way.
_FRAMES_ON_THE_WAY = 2
# The thread that reads takes turns with the training this often: a frame is asked for while it trains.
_SWITCH_SECONDS = 0.001


def _hello(lab: Lab, command: JsonObject) -> None:
    """A page has opened, or opened again."""
    lab.is_watched = lab.fresh = True
    lab.asked = _FRAMES_ON_THE_WAY
    lab.send_all()


def _bye(lab: Lab, command: JsonObject) -> None:
    """The page has closed."""
    lab.is_watched = False
    lab.asked = 0


def _ready(lab: Lab, command: JsonObject) -> None:
    """The page has drawn a frame."""
    lab.asked = min(lab.asked + 1, _FRAMES_ON_THE_WAY)
    if lab.missed and not lab.playing:
        lab.draw()


def _play(lab: Lab, command: JsonObject) -> None:
    lab.halt()
    lab.playing = True
    lab.send_state()


def _pause(lab: Lab, command: JsonObject) -> None:
    lab.halt()
    lab.send_state()
    lab.draw()


def _step(lab: Lab, command: JsonObject) -> None:
    lab.halt()
    lab.remaining = 1


def _epoch(lab: Lab, command: JsonObject) -> None:
    """Train to the end of the running epoch."""
    lab.halt()
    training = lab.training
    lab.remaining = training.per_epoch - training.checkpoint.step % training.per_epoch


def _reset(lab: Lab, command: JsonObject) -> None:
    lab.training.reset()
    lab.restart()


def _seek(lab: Lab, command: JsonObject) -> None:
    lab.halt()
    lab.training.seek(int(number_in(command, "step")))
    lab.send_state()
    lab.draw()


def _speed(lab: Lab, command: JsonObject) -> None:
    """Train at most so many epochs a second, so that one can watch; None: as many as can be."""
    speed = math.inf if command.get("epochs") is None else number_in(command, "epochs")
    if not speed > 0:
        raise InputError("speed", f"expected more than 0 epochs a second, received {speed:g}")
    lab.training.speed = speed
    lab.send_state()


def _set(lab: Lab, command: JsonObject) -> None:
    place = command.get("place")
    if not isinstance(place, str):
        raise InputError("set", f"expected a place of the spec, received {place!r}")
    change = [(place, command.get("value"))]
    training = lab.training
    # Places in its layers are those of the network that a perceptron stands for.
    of_layers = place.startswith("network.layers") and not isinstance(training.spec.network, Network)
    lab.change(changed(training.complete if of_layers else training.spec, change))


def _spec(lab: Lab, command: JsonObject) -> None:
    lab.change(Spec.of(command.get("spec")))


def _points(lab: Lab, command: JsonObject) -> None:
    """Train on painted points: they become a table like any other file of the page."""
    try:
        x, y = np.asarray(command.get("x"), float), np.asarray(command.get("y"))
    except (TypeError, ValueError):
        raise InputError("points", "expected rows of numbers of one length") from None
    if x.ndim != 2 or not 0 < len(x) <= _MOST_POINTS:
        raise InputError("points", f"expected 1 to {_MOST_POINTS:,} rows of numbers")
    if y.shape != (len(x),) or y.dtype.kind != "i" or not np.isfinite(x).all():
        raise InputError("points", "expected finite numbers, and a class for each row")
    names = [f"x{column + 1}" for column in range(x.shape[1])]
    rows = [",".join([*map(repr, row), str(label)]) for row, label in zip(x.tolist(), y.tolist(), strict=True)]
    content = "\n".join([",".join([*names, _PAINTED_TARGET]), *rows, ""]).encode()
    file = Path(lab.allowed.folder) / f"painted-{hashlib.sha256(content).hexdigest()[:12]}.csv"
    commit(file, content)
    source = {"kind": "table", "file": str(file)}
    changes = [("data.source", source), ("data.target", _PAINTED_TARGET), ("data.task", "classification")]
    lab.change(changed(lab.training.spec, changes))


def _weight(lab: Lab, command: JsonObject) -> None:
    index = command.get("index")
    if not isinstance(index, list) or not all(isinstance(place, int) for place in index):
        raise InputError("weight", f"expected the index of a number, received {index!r}")
    layer = int(number_in(command, "layer"))
    place = tuple(cast("list[int]", index))
    lab.training.set_parameter(layer, str(command.get("name")), place, number_in(command, "value"))
    lab.draw()


def _view(lab: Lab, command: JsonObject) -> None:
    axes = lab.view.axes
    lab.view = lab.view.changed(command, lab.training.split.preprocessing.features)
    if lab.view.axes != axes:
        lab.send(lab.frames.places.points(lab.view.axes))
    if not lab.playing:
        lab.draw()


def _try(lab: Lab, command: JsonObject) -> None:
    """Train a remedy of a finding, or any changes, side by side with the present spec."""
    lab.analyst.stop_trials()
    seeds = int(number_in(command, "seeds")) if "seeds" in command else _SEEDS
    changes = tuple(_changes(lab, command).items())
    # One that makes no spec is refused before anything is trained.
    changed(lab.training.complete, changes)
    lab.analyst.ask("try", lab.training.split, LabSnapshot.of(lab.training), changes, seeds, then=lab.on_trials)


def _changes(lab: Lab, command: JsonObject) -> JsonObject:
    given = command.get("set")
    if isinstance(given, dict):
        return given
    remedies = lab.doctor.remedies.get(str(command.get("finding")), [])
    number = int(number_in(command, "remedy"))
    if not 0 <= number < len(remedies):
        raise InputError("try", f"the doctor has no remedy {number} of this finding any more")
    return remedies[number]


def _stop_trials(lab: Lab, command: JsonObject) -> None:
    lab.analyst.stop_trials()


def _step_numbers(lab: Lab, command: JsonObject) -> Json:
    # Imported when it is first asked for: the first picture does not wait for it.
    from .step_numbers import step_numbers

    sample = None if command.get("sample") is None else int(number_in(command, "sample"))
    unit, weight = (None if command.get(name) is None else str(command[name]) for name in ("unit", "weight"))
    return step_numbers(lab.training, sample, unit, weight)


def _race(lab: Lab, command: JsonObject) -> tuple[object, ...]:
    return command.get("landscape"), command.get("optimizers") or []


def _export(lab: Lab, command: JsonObject) -> tuple[object, ...]:
    return LabSnapshot.of(lab.training), lab.training.spec, str(command.get("form")), lab.allowed.folder


def number_in(command: JsonObject, name: str) -> float:
    """A number of a command. Raises InputError where it is none."""
    value = command.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(str(command.get("do")), [Problem(name, f"expected a number, received {value!r}")])
    return value


ORDERS = Orders(
    commands={
        "hello": _hello,
        "bye": _bye,
        "ready": _ready,
        "play": _play,
        "pause": _pause,
        "step": _step,
        "epoch": _epoch,
        "reset": _reset,
        "seek": _seek,
        "speed": _speed,
        "set": _set,
        "spec": _spec,
        "points": _points,
        "weight": _weight,
        "view": _view,
        "try": _try,
        "stop_trials": _stop_trials,
    },
    questions={
        "state": lambda lab, command: lab.state(),
        "step": _step_numbers,
    },
    analyses={
        "landscape": lambda lab, command: (LabSnapshot.of(lab.training),),
        "race": _race,
        "export": _export,
        "sources": lambda lab, command: (),
    },
)


def serve_lab(connection: Connection, trainer: Connection, analyst: Connection) -> None:
    """The process of a lab: it waits for a spec, and obeys commands until the pipe is closed.

    Ctrl-C is for the server, which closes the pipe.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        first = json.loads(connection.recv_bytes())
        allowed = FilesAllowed(first["folder"], tuple(first["files"]))
        lab = Lab(connection, trainer, analyst, first["table"], allowed, ORDERS)
        # What is loaded by now stays: a search through it for garbage would delay a frame.
        gc.freeze()
        lab.run()
    except (EOFError, OSError):
        os._exit(0)
