"""Ten programs with one fault each, written before any check of the watch, and scored once, at the end.

sealed.sha256 holds the hash of this file as it was written.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .cases import Watch, case
from .rows import Watched, accuracy, batches, clouds, fit, generator, gratings, r2, ramps, split, surface, tokens


@case("lr_too_high", 0.0, accepted=("accumulation_scale",), places=("optimizer", "learning rate", "loss"))
def summed_loss(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The loss is a sum over the batch, at a rate for a mean."""
    generator(seed)
    train, held = split(surface(1600, 6, seed), 1200)
    model = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
    loss_fn = nn.MSELoss() if fixed else nn.MSELoss(reduction="sum")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    fit(model, optimizer, loss_fn, batches(train, 48), held, watch, epochs=15)
    return r2(model, held)


class _Series(nn.Module):
    """Convolutions over a series, then a GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.local = nn.Conv1d(1, 6, 3)
        self.reader = nn.GRU(6, 5, batch_first=True)
        self.answer = nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.local(x)).transpose(1, 2)
        return self.answer(self.reader(out)[1][-1])


@case("optimizer_params", 0.0, places=("local", "reader", "optimizer"))
def only_the_last_layer(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The optimizer was given the last layer of an untrained network."""
    gen = generator(seed)
    x = torch.rand(1500, 1, 14, generator=gen)
    y = (x[:, 0, 1:] - x[:, 0, :-1]).abs().max(1).values[:, None] * x[:, :, -1]
    train, held = split((x, (y - y.mean()) / y.std()), 1200)
    model = _Series()
    parameters = model.parameters() if fixed else model.answer.parameters()
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    fit(model, optimizer, nn.MSELoss(), batches(train, 40), held, watch, epochs=12)
    return r2(model, held)


class _Scorer(nn.Module):
    """Log-probabilities of the classes of a token sequence."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.fixed = fixed
        self.bag = nn.EmbeddingBag(24, 12)
        self.hidden = nn.Linear(12, 20)
        self.answer = nn.Linear(20, 4)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.answer(functional.gelu(self.hidden(self.bag(x))))
        return functional.log_softmax(scores if self.fixed else functional.softmax(scores, dim=-1), dim=-1)


@case("softmax_before_ce", 0.25, places=("", "model", "loss", "output", "answer"))
def softmax_and_log_softmax(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A softmax, and a log-softmax of its result."""
    generator(seed)
    train, held = split(tokens(1500, 10, 24, seed), 1200)
    model = _Scorer(fixed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.5)
    fit(model, optimizer, nn.NLLLoss(), batches(train, 30), held, watch, epochs=12)
    return accuracy(model, held)


@case("dying_relu", 0.25, places=("1", "0", "3", "2"))
def biases_below_all(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The biases of a convolution start so low that no unit ever fires."""
    generator(seed)
    train, held = split(gratings(900, 9, seed), 700)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(),
        nn.Linear(72, 4),
    )  # fmt: skip
    if not fixed:
        nn.init.constant_(model[0].bias, -12.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 20), held, watch, epochs=12)
    return accuracy(model, held)


@case("init_bad", 0.25, places=("0", "2", "5"))
def equal_weights(fixed: bool, seed: int, watch: Watch = None) -> float:
    """All weights start at the same number."""
    generator(seed)
    train, held = split(gratings(900, 8, seed), 700)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Tanh(), nn.Conv2d(8, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(128, 4))
    if not fixed:
        for parameter in model.parameters():
            nn.init.constant_(parameter, 0.05)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 20), held, watch, epochs=8)
    return accuracy(model, held)


@case("unshuffled", 0.0, places=("loader", "data.order"))
def rising_targets(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The rows of a regression come in the order of their targets."""
    generator(seed)
    (x, y), held = split(surface(1600, 5, seed), 1280)
    if not fixed:
        order = y[:, 0].argsort()
        x, y = x[order], y[order]
    model = nn.Sequential(nn.Linear(5, 40), nn.ReLU(), nn.Linear(40, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    fit(model, optimizer, nn.MSELoss(), batches((x, y), 32, shuffle=False), held, watch, epochs=10)
    return r2(model, held)


class _HardCode(nn.Module):
    """An autoencoder with a code of zeros and ones; the fixed one has a soft code."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.fixed = fixed
        self.encode = nn.Sequential(nn.Linear(20, 24), nn.ReLU(), nn.Linear(24, 4))
        self.decode = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 20))

    def forward(self, x: Tensor) -> Tensor:
        code = torch.sigmoid(self.encode(x))
        return self.decode(code if self.fixed else (code > 0.5).to(code.dtype))


@case("detached_graph", 0.0, places=("encode", "encode.0", "encode.2"))
def hard_code(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A comparison cuts the graph behind the encoder."""
    gen = generator(seed)
    angle, shift = 6.28 * torch.rand(1400, 1, generator=gen), torch.rand(1400, 1, generator=gen)
    x = torch.sin(torch.linspace(0, 4, 20) + angle) * (0.5 + shift) + 0.05 * torch.randn(1400, 20, generator=gen)
    train, held = split((x, x), 1100)
    model = _HardCode(fixed)
    if not fixed:
        with torch.no_grad():
            model.encode[2].bias -= 1.0
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    fit(model, optimizer, nn.MSELoss(), batches(train, 25), held, watch, epochs=20)
    return r2(model, held)


@case("clip_to_nothing", 0.25, accepted=("lr_too_low",))
def values_clipped(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Each number of the gradient is clipped to almost nothing."""
    generator(seed)
    train, held = split(ramps(1500, 16, seed), 1200)
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 24), nn.LeakyReLU(), nn.Linear(24, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def clip() -> None:
        nn.utils.clip_grad_value_(model.parameters(), 1.0 if fixed else 1e-5)

    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 24), held, watch, epochs=8, before_step=clip)
    return accuracy(model, held)


class _Looker(nn.Module):
    """Self-attention over the positions of a series."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.randn(8, 16))
        self.lift = nn.Linear(1, 16)
        self.look = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=fixed)
        self.answer = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(self.look(self.lift(x[..., None]) + self.place)[:, 0])


@case("rnn_batch_first", 0.5, accepted=("reshape_mix",), places=("look", "look.self_attn"))
def attention_over_rows(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The attention takes the batch for time."""
    gen = generator(seed)
    x = torch.randn(1600, 8, generator=gen)
    y = (x[:, 1:].max(1).values > 1.3).long()
    train, held = split((x, y), 1200)
    model = _Looker(fixed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 32), held, watch, epochs=10)
    return accuracy(model, held)


class _Branches(nn.Module):
    """Layers that a dict holds by name; only a ModuleDict makes them known."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        layers = {"narrow": nn.Linear(10, 3), "wide": nn.Linear(3, 30), "last": nn.Linear(30, 4)}
        self.layers = nn.ModuleDict(layers) if fixed else layers
        self.scale = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        for name in ("narrow", "wide", "last"):
            x = self.layers[name](x if name == "narrow" else torch.tanh(x))
        return self.scale(x)


@case("layers_unregistered", 0.25, accepted=("optimizer_params",), places=("layers", "", "model"))
def layers_in_a_dict(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Layers in a plain dict are not in parameters()."""
    generator(seed)
    train, held = split(clouds(1600, 10, 4, seed), 1200)
    model = _Branches(fixed)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    loss_fn = nn.CrossEntropyLoss()
    watched = Watched(watch, model, optimizer, loss_fn)
    for _ in range(15):
        for x, y in batches(train, 32):
            loss = loss_fn(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(x, y, loss)
        watched.epoch(held)
    return accuracy(model, held)
