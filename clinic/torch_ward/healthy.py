"""Healthy programs that look suspicious: all of them learn, and none needs an alarm."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .cases import HEALTHY, Watch, case
from .injected import stripes_net
from .rows import Watched, accuracy, batches, clouds, fit, generator, gratings, r2, ramps, split, surface, tokens


@case(HEALTHY, 0.25)
def random_features(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A wide first layer is frozen on purpose."""
    generator(seed)
    train, held = split(clouds(1600, 8, 4, seed), 1200)
    body = nn.Sequential(nn.Linear(8, 300), nn.ReLU()).requires_grad_(False)
    model = nn.Sequential(body, nn.Linear(300, 4))
    optimizer = torch.optim.Adam(model[1].parameters(), lr=1e-2)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 40), held, watch, epochs=15)
    return accuracy(model, held)


@case(HEALTHY, 0.25)
def rows_in_their_order(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Rows that are already in random order are never shuffled."""
    generator(seed)
    train, held = split(ramps(1500, 12, seed), 1200)
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 32), nn.Tanh(), nn.Linear(32, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 20, shuffle=False), held, watch, epochs=10)
    return accuracy(model, held)


@case(HEALTHY, 0.25)
def decayed_weights(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A decay of 0.5 that the loss outweighs."""
    generator(seed)
    train, held = split(gratings(1000, 10, seed), 800)
    model = stripes_net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.5)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 20), held, watch, epochs=10)
    return accuracy(model, held)


@case(HEALTHY, 0.25)
def one_cycle(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The rate rises and falls within each batch of one cycle, and ends near 0."""
    generator(seed)
    train, held = split(clouds(1600, 12, 4, seed), 1200)
    loader = batches(train, 30)
    model = nn.Sequential(nn.Linear(12, 48), nn.ReLU(), nn.Linear(48, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=12 * len(loader))
    fit(model, optimizer, nn.CrossEntropyLoss(), loader, held, watch, epochs=12, after_step=schedule.step)
    return accuracy(model, held)


@case(HEALTHY, 0.0)
def odd_loss(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A loss of one's own: the mean of two quantiles, squared for large errors, that is negative at times."""
    generator(seed)
    train, held = split(surface(1600, 4, seed), 1200)

    def loss_fn(out: Tensor, y: Tensor) -> Tensor:
        error = y - out
        return torch.log(error.square().mean() + 1e-3) + 0.1 * torch.where(error > 0, 0.6, -0.4).mul(error).mean()

    model = nn.Sequential(nn.Linear(4, 48), nn.GELU(), nn.Linear(48, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    fit(model, optimizer, loss_fn, batches(train, 40), held, watch, epochs=20)
    return r2(model, held)


@case(HEALTHY, 0.25)
def fine_tuning(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A trained network goes on at a tiny rate."""
    generator(seed)
    train, held = split(tokens(1500, 12, 16, seed), 1200)
    model = nn.Sequential(nn.Embedding(16, 12), nn.Flatten(), nn.Linear(144, 32), nn.ReLU(), nn.Linear(32, 4))
    loader = batches(train, 30)
    fit(model, torch.optim.Adam(model.parameters(), lr=3e-3), nn.CrossEntropyLoss(), loader, held, None, epochs=8)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
    fit(model, optimizer, nn.CrossEntropyLoss(), loader, held, watch, epochs=4)
    return accuracy(model, held)


class _Similarity(nn.Module):
    """Logits that are never negative and start below 1: the part of each prototype in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(10, 32)
        self.outer = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        return functional.softplus(self.outer(torch.relu(self.inner(x))) - 0.5)


@case(HEALTHY, 0.25)
def logits_between_0_and_1(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Logits that begin between 0 and 1, as probabilities would."""
    generator(seed)
    train, held = split(clouds(1600, 10, 4, seed), 1200)
    model = _Similarity()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 40), held, watch, epochs=12)
    return accuracy(model, held)


@case(HEALTHY, 0.25)
def evaluation_within_epochs(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Every tenth batch the network is evaluated, and training mode comes back."""
    generator(seed)
    train, held = split(gratings(1000, 10, seed), 800)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(512, 4)
    )
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    watched = Watched(watch, model, optimizer, loss_fn)
    for _ in range(8):
        for number, (x, y) in enumerate(batches(train, 25)):
            model.train()
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            watched.step(x, y, loss)
            if number % 10 == 0:
                accuracy(model, held)
        model.eval()
        watched.epoch(held)
    return accuracy(model, held)


@case(HEALTHY, 0.0)
def accumulated(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Gradients of five small batches are averaged before a step."""
    generator(seed)
    train, held = split(surface(1600, 5, seed), 1200)
    model = nn.Sequential(nn.Linear(5, 40), nn.Tanh(), nn.Linear(40, 1))
    loss_fn = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    watched = Watched(watch, model, optimizer, loss_fn)
    for _ in range(25):
        for number, (x, y) in enumerate(batches(train, 8), 1):
            loss = loss_fn(model(x), y) / 5
            loss.backward()
            if number % 5 == 0:
                optimizer.step()
                watched.step(x, y, loss)
                optimizer.zero_grad()
        watched.epoch(held)
    return r2(model, held)


class _TwoHeads(nn.Module):
    """A head that this training leaves alone."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.LSTM(2, 16, batch_first=True)
        self.kind = nn.Linear(16, 4)
        self.size = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        state = self.body(x)[1][0][-1]
        self.last_size = self.size(state)
        return self.kind(state)


@case(HEALTHY, 0.25)
def second_head(fixed: bool, seed: int, watch: Watch = None) -> float:
    """One of two heads has no part in the loss."""
    generator(seed)
    train, held = split(ramps(1500, 12, seed), 1200)
    model = _TwoHeads()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 30), held, watch, epochs=8)
    return accuracy(model, held)


@case(HEALTHY, 0.25)
def two_optimizers(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Another optimizer, which the watch does not get, trains the embedding."""
    generator(seed)
    train, held = split(tokens(1500, 12, 16, seed), 1200)
    words = nn.EmbeddingBag(16, 12)
    model = nn.Sequential(words, nn.ReLU(), nn.Linear(12, 4))
    sparse = torch.optim.Adagrad(words.parameters(), lr=0.1)
    dense = torch.optim.Adam(model[2].parameters(), lr=1e-2)
    fit(
        model, dense, nn.CrossEntropyLoss(), batches(train, 30), held, watch, epochs=12,
        before_step=sparse.step, after_step=sparse.zero_grad,
    )  # fmt: skip
    return accuracy(model, held)


@case(HEALTHY, 0.0)
def one_optimizer_of_two_models(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The optimizer of the watched model trains a second one too, whose loss is added."""
    generator(seed)
    train, held = split(surface(1500, 5, seed), 1200)
    model, other = (nn.Sequential(nn.Linear(5, 32), nn.Tanh(), nn.Linear(32, 1)) for _ in range(2))
    optimizer = torch.optim.Adam([*model.parameters(), *other.parameters()], lr=1e-2)
    loss_fn = nn.MSELoss()
    watched = Watched(watch, model, optimizer, loss_fn)
    for _ in range(15):
        for x, y in batches(train, 30):
            optimizer.zero_grad()
            loss = loss_fn(model(x), y) + nn.functional.mse_loss(other(x), -y)
            loss.backward()
            optimizer.step()
            watched.step(x, y, loss)
        watched.epoch(held)
    return r2(model, held)


@case(HEALTHY, 0.0)
def adversarial(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A generator of numbers, judged by a network with an optimizer of its own; 1 minus how far its mean and deviation
    are off."""
    generator(seed)
    model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 1))
    judge = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.5, 0.9))
    other = torch.optim.Adam(judge.parameters(), lr=1e-3, betas=(0.5, 0.9))
    loss_fn = nn.BCEWithLogitsLoss()
    watched = Watched(watch, model, optimizer, loss_fn)
    yes, no = torch.ones(64, 1), torch.zeros(64, 1)
    for _ in range(40):
        for _ in range(40):
            noise, real = torch.randn(64, 4), 2 + 0.5 * torch.randn(64, 1)
            other.zero_grad()
            (loss_fn(judge(real), yes) + loss_fn(judge(model(noise).detach()), no)).backward()
            other.step()
            optimizer.zero_grad()
            loss = loss_fn(judge(model(noise)), yes)
            loss.backward()
            optimizer.step()
            watched.step(noise, yes, loss)
        watched.epoch((torch.randn(64, 4), yes))
    with torch.no_grad():
        made = model(torch.randn(2000, 4))
    return 1 - abs(made.mean().item() - 2) / 2 - abs(made.std().item() - 0.5)


@case(HEALTHY, 0.5)
def judge(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A network that tells numbers from those of a generator, which learns to deceive it; the loss module is called
    twice in a step, and the watch is told nothing."""
    generator(seed)
    maker = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 1))
    model = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 1))
    other = torch.optim.Adam(maker.parameters(), lr=1e-3, betas=(0.5, 0.9))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.5, 0.9))
    loss_fn = nn.BCEWithLogitsLoss()
    Watched(watch, model, optimizer, loss_fn)
    yes, no = torch.ones(64, 1), torch.zeros(64, 1)
    for _ in range(600):
        noise, real = torch.randn(64, 4), 2 + 0.5 * torch.randn(64, 1)
        optimizer.zero_grad()
        (loss_fn(model(real), yes) + loss_fn(model(maker(noise).detach()), no)).backward()
        optimizer.step()
        other.zero_grad()
        loss_fn(model(maker(noise)), yes).backward()
        other.step()
    with torch.no_grad():
        return (model(real) > model(torch.full_like(real, -4.0))).float().mean().item()
