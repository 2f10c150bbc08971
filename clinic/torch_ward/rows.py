"""Rows for the programs of this package, and the loop that most of them share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from .cases import Watch

Rows = tuple[Tensor, Tensor]


def generator(seed: int) -> torch.Generator:
    """A generator of its own, so that the rows do not depend on the model; also seeds the model's numbers."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    return torch.Generator().manual_seed(seed)


def clouds(count: int, columns: int, classes: int, seed: int, spread: float = 1.0) -> Rows:
    """Overlapping clouds of Gauss, several of each class."""
    gen = torch.Generator().manual_seed(seed)
    centres = 1.2 * torch.randn(3 * classes, columns, generator=gen)
    pick = torch.randint(0, 3 * classes, (count,), generator=gen)
    return centres[pick] + spread * torch.randn(count, columns, generator=gen), pick % classes


def surface(count: int, columns: int, seed: int) -> Rows:
    """A smooth function of several inputs with mean 0 and deviation 1; targets (count, 1)."""
    gen = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(count, columns, generator=gen) - 1
    y = torch.sin(3 * x[:, 0]) + 2 * x[:, 1] * x[:, 2] + x[:, 3 % columns]
    return x, ((y - y.mean()) / y.std())[:, None]


def gratings(count: int, size: int, seed: int) -> Rows:
    """Small images of stripes in four directions; images (count, 1, size, size)."""
    gen = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 4, (count,), generator=gen)
    r, c = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    along = torch.stack([r, c, r + c, r - c]).float()[y]
    x = torch.sin(1.6 * along + 6.28 * torch.rand(count, 1, 1, generator=gen))
    return (x + 0.5 * torch.randn(count, size, size, generator=gen))[:, None], y


def tokens(count: int, length: int, words: int, seed: int) -> Rows:
    """Sequences of tokens; the class (of four) is the kind of token that is most frequent."""
    gen = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 4, (count,), generator=gen)
    own = y[:, None] + 4 * torch.randint(0, words // 4, (count, length), generator=gen)
    other = torch.randint(0, words, (count, length), generator=gen)
    return torch.where(torch.rand(count, length, generator=gen) < 0.45, own, other), y


def ramps(count: int, length: int, seed: int) -> Rows:
    """Noisy series (count, length, 2) that rise, fall, peak or dip."""
    gen = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 4, (count,), generator=gen)
    t = torch.linspace(-1, 1, length)
    shapes = torch.stack([t, -t, 1 - 2 * t**2, 2 * t**2 - 1])[y]
    x = torch.stack([shapes, shapes.roll(1, 1)], 2) + 0.6 * torch.randn(count, length, 2, generator=gen)
    return x, y


def split(rows: Rows, train: int) -> tuple[Rows, Rows]:
    """The first rows for training, the others held out."""
    x, y = rows
    return (x[:train], y[:train]), (x[train:], y[train:])


def batches(rows: Rows, size: int, shuffle: bool = True) -> DataLoader[tuple[Tensor, ...]]:
    """A loader of these rows."""
    return DataLoader(TensorDataset(*rows), batch_size=size, shuffle=shuffle)


class Watched:
    """The watch of a training, or nothing in its place."""

    def __init__(self, watch: Watch, model: nn.Module, optimizer: torch.optim.Optimizer, loss_fn: object) -> None:
        self.watch = watch(model, optimizer, loss_fn) if watch else None

    def step(self, x: Tensor, y: Tensor, loss: Tensor) -> None:
        """Tell the watch of a step."""
        if self.watch is not None:
            self.watch.step(x, y, loss)

    def epoch(self, held: Rows) -> None:
        """Tell the watch of the end of an epoch."""
        if self.watch is not None:
            self.watch.epoch(validation=held)


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    loader: DataLoader[tuple[Tensor, ...]],
    held: Rows,
    watch: Watch,
    epochs: int,
    before_step: Callable[[], object] = lambda: None,
    after_step: Callable[[], object] = lambda: None,
) -> None:
    """The usual loop."""
    watched = Watched(watch, model, optimizer, loss_fn)
    for _ in range(epochs):
        model.train()
        for x, y in loader:
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            before_step()
            optimizer.step()
            watched.step(x, y, loss)
            after_step()
        model.eval()
        watched.epoch(held)


def accuracy(model: nn.Module, held: Rows) -> float:
    """The fraction of right classes, from one logit or several, in evaluation mode."""
    model.eval()
    with torch.no_grad():
        out = model(held[0])
    guess = out.argmax(1) if out.dim() > 1 and out.shape[1] > 1 else (out.reshape(-1) > 0).long()
    return (guess == held[1].reshape(-1)).float().mean().item()


def r2(model: nn.Module, held: Rows) -> float:
    """The share of the variance of the targets that the model explains, in evaluation mode."""
    model.eval()
    with torch.no_grad():
        rest = (model(held[0]).reshape(held[1].shape) - held[1]).square().sum()
    return (1 - rest / (held[1] - held[1].mean(0)).square().sum()).item()
