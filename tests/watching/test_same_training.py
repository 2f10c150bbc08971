"""Weights, buffers, random states and gradients are the same with a watch and without one, to the bit."""

from __future__ import annotations

import copy
import pickle
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="LEFT OUT: watching PyTorch; make torch installs it")
nn = torch.nn
F = torch.nn.functional
from torch.utils.checkpoint import checkpoint  # noqa: E402

import thalweg  # noqa: E402

STEPS = 12


class Result:
    """Everything that a training leaves behind."""

    def __init__(self, model: Any, optimizer: Any, losses: list[Any], watch: Any) -> None:
        self.losses = losses
        self.state = copy.deepcopy(model.state_dict())
        self.grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
        self.moments = copy.deepcopy(optimizer.state_dict()["state"])
        self.random = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
        self.modes = [module.training for module in model.modules()]
        self.watch = watch


def equal(a: Any, b: Any) -> bool:
    """Whether two nested values are the same to the bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a.view(-1), b.view(-1))
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


def assert_same(train: Callable[[Any], Result]) -> Result:
    """Train without a watch and with one; both must end alike."""
    bare, watched = train(None), train(thalweg.watch)
    training = watched.watch.training
    assert not training.faults
    assert training.steps == STEPS
    for name in ("losses", "state", "grads", "moments", "random", "modes"):
        assert equal(getattr(bare, name), getattr(watched, name)), name
    return watched


def seed() -> Any:
    """The random states at their start, and a generator for rows."""
    torch.manual_seed(1)
    random.seed(2)
    np.random.seed(3)
    return torch.Generator().manual_seed(4)


def trained(make: Callable[[], Any], rows: Callable[[Any], tuple[Any, Any]], loss_fn: Any, watch: Any) -> Result:
    """The plainest loop."""
    generator = seed()
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    handle = watch(model, optimizer, loss_fn, quiet=True) if watch else None
    losses = []
    for step in range(STEPS):
        x, y = rows(generator)
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        if handle and not isinstance(loss_fn, nn.Module):
            handle.step(x, y, loss)
        if handle and step % 4 == 3:
            handle.epoch(validation=rows(torch.Generator().manual_seed(5)))
    if handle:
        handle.close()
    return Result(model, optimizer, losses, handle)


def images(generator: Any) -> tuple[Any, Any]:
    return torch.randn(8, 2, 8, 8, generator=generator), torch.randint(0, 3, (8,), generator=generator)


def sequences(generator: Any) -> tuple[Any, Any]:
    return torch.randn(6, 5, 4, generator=generator), torch.randint(0, 3, (6,), generator=generator)


def tokens(generator: Any) -> tuple[Any, Any]:
    return torch.randint(0, 11, (6, 5), generator=generator), torch.randint(0, 3, (6,), generator=generator)


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Dropout2d(0.2), nn.MaxPool2d(2)
        )
        self.fc = nn.Linear(96, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(F.dropout(self.features(x).flatten(1), 0.3, self.training))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(4, 7, num_layers=2, dropout=0.3, batch_first=True)
        self.fc = nn.Linear(7, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(self.rnn(x)[0][:, -1])


class Attentive(nn.Module):
    """Embedding, attention, a layer that is used twice, a tuple and a dict on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.shared = nn.Linear(8, 8)
        self.fc = nn.Linear(8, 3)

    def forward(self, tokens: Any) -> Any:
        x = self.encoder(self.embedding(tokens))
        x = self.shared(torch.tanh(self.shared(x)))
        return self.fc(x.mean(1))


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(128, 16), nn.Dropout(0.2), nn.Tanh())
        self.fc = nn.Linear(16, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(checkpoint(self.body, x.flatten(1), use_reentrant=False))


class Random(nn.Module):
    """A forward pass that draws from the generators of Python and NumPy too."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(128, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(x.flatten(1)) * (1 + 0.1 * random.random() + 0.1 * np.random.rand())


class Parametrized(nn.Module):
    """Weights that are computed where they are read; in training mode each reading changes a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.utils.parametrizations.spectral_norm(nn.Linear(128, 8))
        self.out = nn.utils.parametrizations.weight_norm(nn.Linear(8, 3))

    def forward(self, x: Any) -> Any:
        return self.out(torch.relu(self.fc(x.flatten(1))))


@pytest.mark.parametrize(
    ("make", "rows"),
    [
        (Parametrized, images),
        (Convolutional, images),
        (Recurrent, sequences),
        (Attentive, tokens),
        (Checkpointed, images),
        (Random, images),
    ],
    ids=[
        "parametrizations",
        "dropout and batch norm",
        "recurrent",
        "attention",
        "gradient checkpointing",
        "other generators",
    ],
)
@pytest.mark.parametrize("loss_fn", [nn.CrossEntropyLoss(), F.cross_entropy], ids=["module", "function"])
def test_a_watched_training_is_the_same(make, rows, loss_fn):
    result = assert_same(lambda watch: trained(make, rows, loss_fn, watch))
    assert len(result.watch.training.looks) == 8
    assert result.watch.training.looks[0].source == "hooks"


def amp(watch: Any, dtype: Any, scaled: bool) -> Result:
    generator = seed()
    model = Convolutional()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss()
    scaler = torch.amp.GradScaler("cpu", enabled=scaled)
    handle = watch(model, optimizer, loss_fn, quiet=True) if watch else None
    losses = []
    for _ in range(STEPS):
        x, y = images(generator)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype):
            loss = loss_fn(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.detach())
    if handle:
        handle.close()
    return Result(model, optimizer, losses, handle)


@pytest.mark.parametrize("scaled", [False, True], ids=["autocast", "scaled"])
def test_mixed_precision_is_the_same(scaled):
    result = assert_same(lambda watch: amp(watch, torch.bfloat16, scaled))
    look = result.watch.training.looks[0]
    assert look.loss_scale == (65536.0 if scaled else 1.0)
    # What backward makes is scaled, and the gradient of the step is not.
    assert look.gradient <= 0.5001
    assert look.raw_gradient / look.loss_scale < 20


def accumulated(watch: Any) -> Result:
    generator = seed()
    model = Convolutional()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    loss_fn = nn.CrossEntropyLoss()
    handle = watch(model, optimizer, loss_fn, quiet=True) if watch else None
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        for _ in range(3):
            x, y = images(generator)
            loss = loss_fn(model(x), y) / 3
            loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        if handle:
            handle.step(x, y, loss)
    if handle:
        handle.close()
    return Result(model, optimizer, losses, handle)


@pytest.mark.parametrize("kind", [torch.optim.LBFGS, torch.optim.SGD])
def test_a_step_that_calls_a_closure_is_the_same(kind):
    """The passes run inside of the step, of LBFGS several times."""

    def train(watch: Any) -> Result:
        generator = seed()
        model, loss_fn = Convolutional(), nn.CrossEntropyLoss()
        optimizer = kind(model.parameters(), lr=0.05)
        handle = watch(model, optimizer, loss_fn, quiet=True) if watch else None
        losses = []
        for _ in range(STEPS):
            x, y = images(generator)

            def closure() -> Any:
                optimizer.zero_grad()
                loss = loss_fn(model(x), y)  # noqa: B023
                loss.backward()
                return loss

            losses.append(optimizer.step(closure).detach())
        if handle:
            handle.close()
        return Result(model, optimizer, losses, handle)

    training = assert_same(train).watch.training
    assert len(training.looks) == 8
    for look in training.looks:
        assert look.cut == ()
        assert look.backwards == look.forwards == 1
        assert look.stale_gradient == 0
        assert look.raw_gradient > 0
        assert look.step > 0 or look.update > 0


def test_gradient_accumulation_is_the_same():
    look = assert_same(accumulated).watch.training.looks[1]
    assert (look.backwards, look.forwards) == (3, 3)
    assert look.loss_scale == pytest.approx(1 / 3)
    assert look.stale_gradient == 0


def compiled(watch: Any, how: str, loss_fn: Any) -> Result:
    generator = seed()
    torch._dynamo.reset()
    eager = Convolutional()
    model = torch.compile(eager, backend="aot_eager") if how == "function" else eager
    if how == "method":
        model.compile(backend="aot_eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    handle = watch(model, optimizer, loss_fn, quiet=True) if watch else None
    losses = []
    for _ in range(STEPS):
        x, y = images(generator)
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        if handle and not isinstance(loss_fn, nn.Module):
            handle.step(x, y, loss)
    if handle:
        handle.close()
    return Result(eager, optimizer, losses, handle)


@pytest.mark.slow
@pytest.mark.parametrize("loss_fn", [nn.CrossEntropyLoss(), F.cross_entropy], ids=["module", "function"])
@pytest.mark.parametrize("how", ["function", "method"])
def test_a_compiled_training_is_the_same(how, loss_fn):
    result = assert_same(lambda watch: compiled(watch, how, loss_fn))
    looks = result.watch.training.looks
    assert {look.source for look in looks} == {"replay"}
    # The replay has the same random numbers, so that it has the same loss.
    assert looks[0].loss == pytest.approx(float(result.losses[0]), rel=1e-5)
    assert all(place.delta == place.delta for place in looks[0].places if place.role in ("conv", "dense"))


class Counting(nn.Module):
    """Keeps what passes leave behind in attributes of Python, and decides by it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(128, 3)
        self.passes, self.seen, self.state = 0, [], None
        self.register_buffer("mean", torch.zeros(128))

    def forward(self, x: Any) -> Any:
        x = x.flatten(1)
        self.passes += 1
        self.seen.append(len(x))
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
        output = self.fc(x - self.mean) * (1 + 0.1 * len(self.seen))
        if self.state is not None:
            output = output + self.state
        self.state = output.detach().mean(0)
        return output


@pytest.mark.parametrize("loss_fn", [nn.CrossEntropyLoss(), F.cross_entropy], ids=["module", "function"])
def test_what_passes_leave_behind_in_python_is_the_same(loss_fn):
    models = []

    def made() -> Any:
        models.append(Counting())
        return models[-1]

    assert_same(lambda watch: trained(made, images, loss_fn, watch))
    assert [model.passes for model in models] == [STEPS, STEPS]
    assert models[0].seen == models[1].seen
    assert torch.equal(models[0].state, models[1].state)


class InPlace(nn.Module):
    """Standardizes its input in place."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        x -= 1
        x /= 2
        return self.fc(x)


@pytest.mark.parametrize("loss_fn", [nn.CrossEntropyLoss(), F.cross_entropy], ids=["module", "function"])
def test_rows_that_a_model_writes_into_are_the_same(loss_fn):
    def train(watch: Any) -> Result:
        generator = seed()
        x, held = torch.randn(STEPS * 8, 4, generator=generator), torch.randn(40, 4, generator=generator)
        y = torch.randint(0, 3, (len(x),), generator=generator)
        model = InPlace()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        handle = watch(model, optimizer, loss_fn, quiet=True) if watch else None
        losses = []
        for rows, targets in zip(x.split(8), y.split(8), strict=True):
            optimizer.zero_grad()
            loss = loss_fn(model(rows), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            if handle:
                handle.step(rows, targets, loss)
                handle.epoch(validation=(held, y[:40]))
        if handle:
            handle.diagnose()
            handle.close()
        return Result(model, optimizer, [*losses, x, held], handle)

    result = assert_same(train)
    assert any("writes into the inputs" in remark for remark in result.watch.training.remarks)


def test_the_callbacks_are_there_in_a_new_process():
    subprocess.run([sys.executable, "-c", "import thalweg; thalweg.watching.LightningCallback"], check=True)


def test_the_first_watch_of_a_process_draws_no_random_numbers():
    code = """
import random, numpy, torch, thalweg
random.seed(1), numpy.random.seed(2), torch.manual_seed(3)
model = torch.nn.Linear(2, 1)
optimizer, loss_fn = torch.optim.Adam(model.parameters()), torch.nn.MSELoss()
before = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
watch = thalweg.watch(model, optimizer, loss_fn)
loss_fn(model(torch.ones(4, 2)), torch.ones(4, 1)).backward()
optimizer.step()
watch.epoch()
str(watch.diagnose().page().text())
assert before == (random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def hooks_of(model: Any, optimizer: Any, loss_fn: Any) -> Iterator[Any]:
    """Everything that a hook can be kept in."""
    for module in (*model.modules(), loss_fn):
        yield from (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    yield from (optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks)
    for parameter in model.parameters():
        yield parameter._backward_hooks or {}
        yield parameter._post_accumulate_grad_hooks or {}


@pytest.mark.parametrize("steps", [0, 1, 2, 7])
def test_no_hook_is_left_after_close(steps):
    model, loss_fn = Convolutional(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with thalweg.watch(model, optimizer, loss_fn, quiet=True):
        for _ in range(steps):
            x, y = images(torch.Generator())
            loss_fn(model(x), y).backward()
            optimizer.step()
        model(x if steps else images(torch.Generator())[0])
    assert not any(hooks_of(model, optimizer, loss_fn))
    assert model._compiled_call_impl is None


def test_copies_of_a_watched_model_carry_nothing_along():
    model, loss_fn = Convolutional(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with thalweg.watch(model, optimizer, loss_fn, quiet=True) as handle:
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            loss_fn(twin(images(torch.Generator())[0]), torch.zeros(8, dtype=torch.int64)).backward()
            assert handle._follower._call is None
        assert b"thalweg" not in pickle.dumps(nn.Sequential(*model.features))
        assert b"thalweg.watching" not in pickle.dumps(model)


def test_other_threads_and_evaluations_are_not_part_of_a_look():
    model, loss_fn = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    x, y = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    with thalweg.watch(model, optimizer, loss_fn, quiet=True) as handle:
        for _ in range(5):
            thread = threading.Thread(target=lambda: torch.no_grad()(model)(x[:2]))
            thread.start()
            thread.join()
            with torch.no_grad():
                loss_fn(model(x[:3]), y[:3])
            # A pass with a graph whose loss nobody uses.
            model(x[:5])
            optimizer.zero_grad()
            loss_fn(model(x), y).backward()
            optimizer.step()
    for look in handle.training.looks:
        assert [place.place for place in look.places] == ["0", "1", "2"]
        assert {place.shape[0] for place in look.places} == {6}
        assert look.batch.shape == (6, 4)
