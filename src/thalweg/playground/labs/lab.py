"""A lab: one live training in a process of its own, which takes commands from a pipe and sends what the page draws."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import NamedTuple, cast

from ...core.errors import InputError, nearest
from ...core.files import Json, JsonObject
from ...engine.step import State
from ...models.layer_weights import rows_of_drawing
from ...models.summary import layer_in_words
from ...spec.spec import Spec
from ..analyses.analyst import Analyst, Answer
from ..analyses.snapshot import LabSnapshot
from ..live.live_training import Moment
from ..live.trainer import Trainer
from ..specs import FilesAllowed, places_of
from .curve import Curve
from .doctors_rounds import DoctorsRounds
from .frames import FrameMaker, Seen, View
from .kinds import ANSWER_MESSAGE, FRAME_MESSAGE, JSON_MESSAGE
from .opening import opened, problems_of

# A frame is sent at most this often, so that the eager engine has half of the time; without a page that waits for one,
# the curves grow at the slower pace.
_FRAME_SECONDS = 1 / 60
_CURVE_SECONDS = 0.25
# While it is paused, a lab looks this often whether the compiled engine is ready, or the doctor free.
_IDLE_SECONDS = 0.2


class Orders(NamedTuple):
    """What a lab obeys, by name."""

    commands: Mapping[str, Callable[[Lab, JsonObject], None]]
    """Commands of a page."""
    questions: Mapping[str, Callable[[Lab, JsonObject], Json]]
    """Questions of the server, answered at once."""
    analyses: Mapping[str, Callable[[Lab, JsonObject], tuple[object, ...]]]
    """Jobs of the analyst that the server asks for: each gives the arguments of its job."""


class Lab:
    """The commands of one live training.

    Args:
        connection: the pipe to the server.
        trainer: the pipe to the process with the compiled engine.
        analyst: the pipe to the analyst.
        table: the tables of the spec to begin with.
        allowed: the files that specs may name.
        orders: what it obeys: a function for each command, and for each question.
    """

    def __init__(
        self,
        connection: Connection,
        trainer: Connection,
        analyst: Connection,
        table: Mapping[str, object],
        allowed: FilesAllowed,
        orders: Orders,
    ) -> None:
        self.connection = connection
        self.orders = orders
        self.allowed = allowed
        self.sending = threading.Lock()
        self.commands: deque[JsonObject] = deque()
        self.woken = threading.Event()
        self.training, self.problems = opened(table, allowed, Trainer(trainer))
        self.frames = FrameMaker(self.training.session)
        self.view = View()
        self.curve = Curve()
        self.playing = False
        self.remaining = 0
        self.analyst = Analyst(analyst, self.send)
        self.doctor = DoctorsRounds()
        self.is_watched = self.missed = False
        self.asked = 0
        self.fresh = True
        self.engine = ""
        self.drawn = self.drawing = 0.0

    # The loop ---------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Take commands until the pipe is closed."""
        threading.Thread(target=self._read, daemon=True).start()
        self.send_state()
        while True:
            while self.commands:
                self.obey(self.commands.popleft())
            if self.playing:
                self.train(math.inf)
            elif self.remaining:
                self.train_rest()
            else:
                if self.is_watched:
                    self.training.prepare_engine()
                waits = self.training.engine == "compiling" or (self.is_watched and self.doctor.wanted)
                self.woken.wait(_IDLE_SECONDS if waits else None)
                self.woken.clear()
                self.training.use_prepared_engine()
                self._tell_engine()
                self._examine()

    def _read(self) -> None:
        """Take what the server sends; the process ends with the pipe."""
        while True:
            try:
                command = json.loads(self.connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(0)
            self.commands.append(command)
            self.woken.set()

    def obey(self, command: JsonObject) -> None:
        """Do what a page commands, or answer what the server asks; what cannot be done is said."""
        if "ask" in command:
            self._answer(command)
            return
        try:
            name = str(command.get("do"))
            if name not in self.orders.commands:
                raise InputError("do", f"unknown command {name!r}; {nearest(name, self.orders.commands)}")
            self.orders.commands[name](self, command)
        except InputError as error:
            first = problems_of(error)[0]
            self.send({"type": "error", "message": str(error), "place": first.place})

    def halt(self) -> None:
        """Train no further than now."""
        self.playing = False
        self.remaining = 0

    def train_rest(self) -> None:
        """Do the steps that a page has asked for; a command that waits comes first, and then the rest of them."""
        begin = self.training.checkpoint.step
        self.train(self.remaining)
        self.remaining = max(0, self.remaining - (self.training.checkpoint.step - begin))
        if not self.remaining:
            self.send_state()

    def train(self, steps: float) -> None:
        """Train until a command arrives, or for a number of steps."""
        training = self.training
        self.curve.cut(training.epoch_of(training.checkpoint.state))
        reason = training.advance(steps, self._on_moment)
        if reason:
            self.halt()
            self.send({"type": "stopped", "reason": reason})
            self.send_state()
        self.doctor.wanted = True
        if not self.playing:
            self.draw()

    def _on_moment(self, moment: Moment) -> bool:
        """See the training between two steps: draw it where a frame is due, and stop it where a command waits."""
        while self.commands and self.commands[0].get("do") in ("ready", "view"):
            self.obey(self.commands.popleft())
        pace = max(_FRAME_SECONDS, 2 * self.drawing) if self.asked else _CURVE_SECONDS
        if time.perf_counter() - self.drawn >= pace:
            state = moment.before.state
            self._draw(Seen(moment.plan, state, moment.before, self.training.epoch_of(state)))
        self._tell_engine()
        self.doctor.wanted = True
        self._examine(moment.before.state)
        return bool(self.commands)

    def _examine(self, state: State | None = None) -> None:
        """Ask the doctor, where a page waits for what it says and it is free."""
        if self.is_watched and self.doctor.is_due:
            self.doctor.begin()
            snapshot = LabSnapshot.of(self.training, state)
            self.analyst.ask("diagnosis", self.training.split, snapshot, then=self._on_diagnosis)

    def _on_diagnosis(self, answer: Answer) -> None:
        message = answer.value
        if isinstance(message, dict):
            self.doctor.end(message)
            self.send(message)
        else:
            # Rows or a network that the doctor cannot examine.
            self.doctor.end({})
            self.send({"type": "finding", "findings": [], "learned": None, "verdict": str(answer.error)})
        self.woken.set()

    def _tell_engine(self) -> None:
        """Say which engine trains, where it has changed."""
        if self.training.engine != self.engine:
            self.send_state()

    def on_trials(self, answer: Answer) -> None:
        """Trials of a remedy have ended; their curves were sent, and what went wrong is said."""
        if answer.error is not None:
            self.send({"type": "error", "message": str(answer.error), "place": "try"})

    # What is sent -----------------------------------------------------------------------------------------------------

    def send(self, message: JsonObject) -> None:
        """Send a message to the page."""
        self.transmit(JSON_MESSAGE, json.dumps(message, allow_nan=False).encode())

    def transmit(self, kind: bytes, content: bytes) -> None:
        """Send one message of a kind to the server."""
        with self.sending:
            self.connection.send_bytes(kind + content)

    def draw(self) -> None:
        """Draw the training as it stands."""
        training = self.training
        state = training.checkpoint.state
        self._draw(Seen(training.session.plan, state, training.last, training.epoch_of(state)))

    def _draw(self, seen: Seen) -> None:
        self.drawn = time.perf_counter()
        measures = self.frames.measures(self.frames.engine.place(seen.state))
        self.curve.add(self.frames.curve_point(seen.epoch, measures))
        if self.asked:
            curve = self.curve.take(everything=self.fresh)
            self.transmit(FRAME_MESSAGE, self.frames.frame(seen, self.view, measures, curve, self.fresh))
            self.asked -= 1
            self.fresh = self.missed = False
        else:
            self.missed = True
        self.drawing = time.perf_counter() - self.drawn

    def state(self) -> JsonObject:
        """The message that describes the training."""
        training = self.training
        network = training.complete.network
        preprocessing = training.split.preprocessing
        shapes = network.layout((preprocessing.features,)).shapes
        test = self.frames.session.split.test
        described = training.spec.describe()
        return {
            "type": "state",
            "spec": described,
            "set": places_of(described),
            "epoch": training.epoch_of(training.checkpoint.state),
            "step": training.step,
            "playing": self.playing,
            "engine": training.engine,
            "speed": training.speed if math.isfinite(training.speed) else None,
            "problems": [{"place": problem.place, "message": problem.message} for problem in self.problems],
            "layers": [
                {
                    "index": index,
                    "kind": layer.kind,
                    "name": layer_in_words(layer),
                    "units": math.prod(shape),
                    "row": row,
                }
                for index, (layer, shape, row) in enumerate(
                    zip(network.layers, shapes, rows_of_drawing(network), strict=True)
                )
            ],
            "inputs": list(preprocessing.feature_names),
            "outputs": list(preprocessing.target_names),
            "task": preprocessing.task,
            "classes": list(preprocessing.target_names) if preprocessing.task == "classification" else [],
            "rows": {"train": len(training.split.train), "test": len(test) if test else 0},
            "measured": self.frames.most_rows,
            "on_disk": training.on_disk,
            "per_epoch": training.per_epoch,
            "batch": training.session.batches.step_rows,
            "trail": cast("list[Json]", training.trail.steps),
            "loss": training.complete.loss.kind,
            "optimizer": training.complete.optimizer.describe(),
            "notes": list(training.split.notes),
        }

    def send_state(self) -> None:
        """Describe the training to the page."""
        self.engine = self.training.engine
        self.send(self.state())

    def send_all(self) -> None:
        """Describe the training and its rows, and draw it."""
        self.doctor.wanted = True
        self.send_state()
        self.send(self.frames.places.points(self.view.axes))
        self.draw()

    def _answer(self, command: JsonObject) -> None:
        """Answer a question of the server: `ask` is its number, `what` names it."""
        what = str(command.get("what"))
        number = int(cast("int", command["ask"]))
        try:
            if what in self.orders.questions:
                self._reply(Answer(number, self.orders.questions[what](self, command)))
                return
            if what not in self.orders.analyses:
                raise InputError("ask", f"unknown question {what!r}")
            arguments = self.orders.analyses[what](self, command)
            rows = self.training.split
            self.analyst.ask(what, rows, *arguments, then=lambda answer: self._reply(answer._replace(job=number)))
        except InputError as error:
            self._reply(Answer(number, error=error))

    def _reply(self, answer: Answer) -> None:
        content: JsonObject = {"ask": answer.job, "value": answer.value}
        if answer.error is not None:
            problems: list[Json] = [[problem.place, problem.message] for problem in answer.error.problems]
            content |= {"subject": answer.error.subject, "problems": problems}
        self.transmit(ANSWER_MESSAGE, json.dumps(content).encode())

    def restart(self) -> None:
        """Show a training from its start."""
        self.remaining = 0
        self.curve = Curve()
        self.fresh = True
        self.send_all()

    def change(self, spec: Spec) -> None:
        """Go on with another spec, or begin anew where it is another training."""
        self.allowed.check(spec)
        anew = self.training.change(spec)
        self.frames = FrameMaker(self.training.session, self.frames)
        self.problems = []
        if anew:
            self.restart()
            return
        self.send_state()
        self.doctor.wanted = True
        if not self.playing:
            self.draw()
