"""Programs with one fault each, on other rows, networks and sizes than the folder's."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from .cases import Watch, case
from .rows import (
    Watched,
    accuracy,
    batches,
    clouds,
    fit,
    generator,
    gratings,
    r2,
    ramps,
    split,
    surface,
    tokens,
)


def stripes_net(size: int = 10, width: int = 8) -> nn.Sequential:
    """A small convolutional network for `gratings`."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3),
        nn.ReLU(),
        nn.Conv2d(width, width, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(width * (size - 4) ** 2, 4),
    )


@case("optimizer_params", 0.25, places=("optimizer",))
def copied_model(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The model is copied after the optimizer was made from it."""
    generator(seed)
    train, held = split(gratings(900, 10, seed), 700)
    model = stripes_net()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    model = copy.deepcopy(model)
    if fixed:
        optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 25), held, watch, epochs=8)
    return accuracy(model, held)


class _Reader(nn.Module):
    """A GRU over tokens, whose last state is read by a linear layer."""

    def __init__(self, gradient: bool) -> None:
        super().__init__()
        self.gradient = gradient
        self.tokens = nn.Embedding(16, 6)
        self.reader = nn.GRU(6, 12, batch_first=True)
        self.answer = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(self.gradient and torch.is_grad_enabled()):
            state = self.reader(self.tokens(x))[1][-1]
        return self.answer(state)


@case("detached_graph", 0.5, places=("reader", "tokens", "answer"))
def encoder_without_gradient(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The encoder runs without gradients."""
    gen = generator(seed)
    x = torch.randint(0, 16, (1600, 10), generator=gen)
    # Whether exactly one of the last two tokens is in the upper half.
    y = (x[:, -1] > 7).long() ^ (x[:, -2] > 7).long()
    train, held = split((x, y), 1200)
    model = _Reader(fixed)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 30), held, watch, epochs=20)
    return accuracy(model, held)


class _Tagger(nn.Module):
    """A class for each position of a sequence; the loss takes (batch, classes, positions)."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.fixed = fixed
        self.reader = nn.LSTM(1, 16, batch_first=True, bidirectional=True)
        self.answer = nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        out = self.answer(self.reader(x)[0])
        return out.transpose(1, 2) if self.fixed else out.reshape(len(x), 3, -1)


@case("reshape_mix", 0.33, accepted=("wrong_dim",))
def tags_reshaped(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The classes and the positions of a sequence are mixed by a reshape."""
    gen = generator(seed)
    x = torch.randn(1400, 18, 1, generator=gen)
    # Which of three neighbours is the largest.
    y = torch.stack([x[..., 0].roll(1, 1), x[..., 0], x[..., 0].roll(-1, 1)], 2).argmax(2)
    train, held = split((x, y), 1100)
    model = _Tagger(fixed)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 25), held, watch, epochs=10)
    with torch.no_grad():
        return (model(held[0]).argmax(1) == held[1]).float().mean().item()


@case("cleared_before_step", 0.25)
def cleared_before_step(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The gradients are cleared between backward and step."""
    generator(seed)
    train, held = split(clouds(1500, 12, 4, seed), 1100)
    model = nn.Sequential(nn.Linear(12, 40), nn.ELU(), nn.Linear(40, 4))
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    watched = Watched(watch, model, optimizer, loss_fn)
    for _ in range(8):
        for x, y in batches(train, 44):
            if fixed:
                optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            if not fixed:
                optimizer.zero_grad(set_to_none=False)
            optimizer.step()
            watched.step(x, y, loss)
        watched.epoch(held)
    return accuracy(model, held)


@case("frozen_parameters", 0.25, accepted=("lr_too_low",), places=("0", "optimizer"))
def group_without_rate(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The narrow first layers are a group of parameters with rate 0."""
    generator(seed)
    train, held = split(clouds(2000, 24, 4, seed), 1500)
    body = nn.Sequential(nn.Linear(24, 6), nn.Tanh(), nn.Linear(6, 2), nn.Tanh(), nn.Linear(2, 2), nn.Tanh())
    model = nn.Sequential(body, nn.Linear(2, 4))
    groups = [{"params": body.parameters(), "lr": 0.01 if fixed else 0.0}, {"params": model[1].parameters()}]
    optimizer = torch.optim.Adam(groups, lr=0.01)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 30), held, watch, epochs=15)
    return accuracy(model, held)


@case("statistics_disagree", 0.25, accepted=("eval_missing",), places=("0", "2"))
def statistics_never_updated(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Batch normalization with momentum 0 keeps its first running statistics."""
    generator(seed)
    x, y = clouds(1600, 10, 4, seed)
    train, held = split((30 + 8 * x, y), 1200)
    momentum = 0.1 if fixed else 0.0
    model = nn.Sequential(nn.BatchNorm1d(10, momentum=momentum), nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 40), held, watch, epochs=10)
    return accuracy(model, held)


@case("label_coding", 0.5, places=("targets", "loss"))
def mask_of_bytes(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A mask has the values 0 and 255, and the loss takes 0 and 1."""
    gen = generator(seed)
    image = torch.randn(400, 1, 8, 8, generator=gen)
    mask = (functional.avg_pool2d(image, 3, stride=1, padding=1) > 0).float()
    image += 0.7 * torch.randn(400, 1, 8, 8, generator=gen)
    train, held = split((image, mask if fixed else 255 * mask), 300)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 1, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    fit(model, optimizer, nn.BCEWithLogitsLoss(), batches(train, 20), held, watch, epochs=12)
    with torch.no_grad():
        found = model(held[0]) > 0
    hit, miss = held[1] > 0, held[1] == 0
    return (found[hit].float().mean() + (~found)[miss].float().mean()).item() / 2


class _Distance(nn.Module):
    """The distance of two tokens in an embedding; equal tokens have distance 0, at which the root has no slope."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.least = 1e-6 if fixed else 0.0
        self.points = nn.Embedding(12, 3)

    def forward(self, pairs: Tensor) -> Tensor:
        a, b = self.points(pairs).unbind(1)
        return torch.sqrt((a - b).square().sum(1) + self.least)


@case("nan_loss", 0.0)
def root_of_nothing(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The gradient of a root at 0 is not a number."""
    gen = generator(seed)
    place = torch.randn(12, 3, generator=gen)
    pairs = torch.randint(0, 12, (900, 2), generator=gen)
    y = (place[pairs[:, 0]] - place[pairs[:, 1]]).norm(dim=1)
    train, held = split((pairs, y), 700)
    model = _Distance(fixed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    fit(model, optimizer, nn.MSELoss(), batches(train, 20), held, watch, epochs=12)
    return r2(model, held)


@case("train_test_transform", 0.25, accepted=("validation_shift",))
def other_scale_of_held_rows(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The held-out images stay on the scale from 0 to 255, the others are standardized."""
    generator(seed)
    x, y = gratings(1000, 10, seed)
    pixels = (x * 40 + 128).clamp(0, 255)
    train, held = split(((pixels - 128) / 64, y), 800)
    if not fixed:
        held = (held[0] * 64 + 128, held[1])
    model = nn.Sequential(nn.Conv2d(1, 10, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(160, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 25), held, watch, epochs=10)
    return accuracy(model, held)


@case("scheduler_misuse", 0.25, accepted=("lr_too_low",), places=("optimizer", "learning rate", "scheduler"))
def schedule_ends_at_once(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A rate that falls to 0 over the epochs is lowered after each batch."""
    generator(seed)
    train, held = split(ramps(1500, 12, seed), 1200)
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 32), nn.Tanh(), nn.Linear(32, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=12)
    loss_fn = nn.CrossEntropyLoss()
    if not fixed:
        fit(model, optimizer, loss_fn, batches(train, 20), held, watch, epochs=12, after_step=schedule.step)
        return accuracy(model, held)
    watched = Watched(watch, model, optimizer, loss_fn)
    for _ in range(12):
        for x, y in batches(train, 20):
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            watched.step(x, y, loss)
        schedule.step()
        watched.epoch(held)
    return accuracy(model, held)


class _Counter(nn.Module):
    """Attention over tokens."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.tokens = nn.Embedding(16, 16)
        self.look = nn.MultiheadAttention(16, 2, batch_first=True)
        self.answer = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        words = self.tokens(x)
        return self.answer((words + self.look(words, words, words, need_weights=False)[0]).mean(1))


@case("data_mutated", 0.25, accepted=("train_test_transform",))
def rows_fade(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The stored rows are scaled in place whenever they are read."""
    generator(seed)
    (x, y), held = split(ramps(1000, 12, seed), 800)
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 4))
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    watched = Watched(watch, model, optimizer, loss_fn)
    for _ in range(20):
        for rows in torch.randperm(800).split(25):
            for row in rows:
                image = x[row].clone() if fixed else x[row]
                image -= 0.8
            batch = x[rows] - 0.8 if fixed else x[rows]
            optimizer.zero_grad()
            loss = loss_fn(model(batch), y[rows])
            loss.backward()
            optimizer.step()
            watched.step(batch, y[rows], loss)
        watched.epoch((held[0] - 0.8, held[1]))
    return accuracy(model, (held[0] - 0.8, held[1]))


@case("weight_decay_strong", 0.25, places=("optimizer", "regularization"))
def heavy_penalty(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A penalty in the loop outweighs the loss."""
    generator(seed)
    train, held = split(tokens(1400, 12, 16, seed), 1100)
    model = _Counter()
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    watched = Watched(watch, model, optimizer, loss_fn)
    for _ in range(10):
        for x, y in batches(train, 32):
            optimizer.zero_grad()
            penalty = sum(p.square().sum() for p in model.parameters())
            loss = loss_fn(model(x), y) + (1e-5 if fixed else 1.0) * penalty
            loss.backward()
            optimizer.step()
            watched.step(x, y, loss)
        watched.epoch(held)
    return accuracy(model, held)


@case("missing_activation", 0.0, accepted=(), places=("0", "1", "2"))
def straight_surface(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A deep regression without a nonlinear function."""
    generator(seed)
    x, _ = surface(1500, 4, seed)
    y = torch.cos(4 * x[:, :1]) + x[:, 1:2].abs() * x[:, 2:3].sign()
    train, held = split((x, y - y.mean()), 1100)
    between = nn.SiLU if fixed else nn.Identity
    model = nn.Sequential(nn.Linear(4, 40), between(), nn.Linear(40, 40), between(), nn.Linear(40, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    fit(model, optimizer, nn.HuberLoss(), batches(train, 25), held, watch, epochs=15)
    return r2(model, held)


class _Dropped(nn.Module):
    """Dropout as a function."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.fixed = fixed
        self.below = nn.Linear(12, 40)
        self.above = nn.Linear(40, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.relu(self.below(x))
        return self.above(functional.dropout(hidden, 0.9, training=self.training if self.fixed else True))


@case("eval_missing", 0.25, places=("above", "output"))
def dropout_never_off(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Dropout as a function that does not know the mode of the module."""
    generator(seed)
    train, held = split(clouds(1500, 12, 4, seed), 1100)
    model = _Dropped(fixed)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 32), held, watch, epochs=12)
    return accuracy(model, held)
