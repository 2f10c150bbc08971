"""Ten programs with one fault each, of mechanisms that no other program here has, and six healthy ones.

All were written, with the codes and places that are right, before the doctor saw any of them, and scored once:
`unseen.json`. What they showed was mended afterwards.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .cases import HEALTHY, Watch, case
from .rows import Rows, Watched, accuracy, batches, clouds, fit, generator, gratings, r2, ramps, split, surface, tokens


class _Projected(nn.Module):
    """A projection onto two directions, and a perceptron on it; a parameter that is multiplied is none."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        start = torch.randn(14, 2)
        self.mix = nn.Parameter(0.2 * start) if fixed else 0.2 * nn.Parameter(start)
        self.hidden, self.answer = nn.Linear(2, 24), nn.Linear(24, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(torch.tanh(self.hidden(x @ self.mix)))


@case("layers_unregistered", 0.0, accepted=("optimizer_params", "detached_graph"), places=("mix", "", "model"))
def weights_that_are_no_parameter(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A weight that is the product of a parameter and a number is no parameter of the model."""
    gen = generator(seed)
    x = torch.randn(1800, 14, generator=gen)
    y = torch.sin(2 * x[:, :1]) + 0.7 * torch.cos(x[:, 1:2]) * x[:, :1]
    train, held = split((x, y), 1400)
    model = _Projected(fixed)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    loss_fn = nn.MSELoss()
    watched = Watched(watch, model, optimizer, loss_fn)
    for _ in range(15):
        for x, y in batches(train, 40):
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            # Without this PyTorch complains that the graph of the product is gone after the first step.
            loss.backward(retain_graph=True)
            optimizer.step()
            watched.step(x, y, loss)
        watched.epoch(held)
    return r2(model, held)


class _Thrown(nn.Module):
    """Three dense layers, whose activations may be computed and not used."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.fixed = fixed
        self.first, self.second, self.third = nn.Linear(2, 32), nn.Linear(32, 32), nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        hidden = functional.elu(x)
        x = self.second(hidden if self.fixed else x)
        hidden = functional.elu(x)
        return self.third(hidden if self.fixed else x)


@case("missing_activation", 0.5, places=("first", "second", "third"))
def activation_not_assigned(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The result of each activation is computed and thrown away."""
    gen = generator(seed)
    x = 2 * torch.rand(1600, 2, generator=gen) - 1
    y = (x.square().sum(1) < 0.64).long()
    train, held = split((x, y), 1200)
    model = _Thrown(fixed)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 40), held, watch, epochs=20)
    return accuracy(model, held)


class _BothWays(nn.Module):
    """A GRU in both directions; its last states are (directions, rows, units)."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.fixed = fixed
        self.reader = nn.GRU(2, 12, batch_first=True, bidirectional=True)
        self.answer = nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        states = self.reader(x)[1]
        return self.answer(states.transpose(0, 1).reshape(len(x), -1) if self.fixed else states.reshape(len(x), -1))


@case("reshape_mix", 0.25, places=("answer", "reader"))
def states_reshaped(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The states of two directions are joined by a reshape, which puts those of two rows together."""
    generator(seed)
    train, held = split(ramps(1500, 10, seed), 1200)
    model = _BothWays(fixed)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 24), held, watch, epochs=8)
    return accuracy(model, held)


@case("nll_without_log", 0.0, places=("loss", "output"))
def divergence_of_probabilities(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A divergence from soft targets, which takes log-probabilities, gets probabilities; 1 minus the divergence over
    that of the mean target."""
    gen = generator(seed)
    x = torch.randn(1600, 8, generator=gen)
    teacher = torch.randn(8, 5, generator=gen)
    y = (0.6 * torch.tanh(x) @ teacher).softmax(1)
    train, held = split((x, y), 1200)
    last = nn.LogSoftmax(1) if fixed else nn.Softmax(1)
    model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 5), last)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    fit(model, optimizer, nn.KLDivLoss(reduction="batchmean"), batches(train, 30), held, watch, epochs=10)
    model.eval()
    with torch.no_grad():
        out = model(held[0]) if fixed else model(held[0]).clamp_min(1e-7).log()
        constant = held[1].mean(0).log().expand_as(out)
    divergence = nn.KLDivLoss(reduction="batchmean")
    return (1 - divergence(out, held[1]) / divergence(constant, held[1])).item()


@case("clip_to_nothing", 0.25, accepted=("lr_too_low",), places=("clipping", "optimizer"))
def clipped_before_unscaling(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Gradients are clipped while they still carry the scale of mixed precision."""
    generator(seed)
    train, held = split(gratings(900, 9, seed), 700)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(392, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu")
    loss_fn = nn.CrossEntropyLoss()
    watched = Watched(watch, model, optimizer, loss_fn)
    for _ in range(10):
        model.train()
        for x, y in batches(train, 25):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = loss_fn(model(x), y)
            scaler.scale(loss).backward()
            if fixed:
                scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            watched.step(x, y, loss)
        model.eval()
        watched.epoch(held)
    return accuracy(model, held)


class _Directions(nn.Module):
    """Rows of length 1, of which a perceptron reads the direction; a row of zeros has none."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.least = 1e-6 if fixed else 0.0
        self.read = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.read(x / (x.norm(dim=1, keepdim=True) + self.least))


@case("nan_loss", 0.25)
def rows_of_length_zero(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Rows are divided by their length, and a few of them are all zeros."""
    gen = generator(seed)
    x, y = clouds(1600, 12, 4, seed)
    x[torch.randperm(1200, generator=gen)[:20]] = 0.0
    train, held = split((x, y), 1200)
    model = _Directions(fixed)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 30), held, watch, epochs=12)
    return accuracy(model, held)


@case("scheduler_misuse", 0.0, accepted=("lr_too_low",), places=("optimizer", "optimizer.learning_rate"))
def warm_up_without_end(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The warm-up of the rate is as long as that of a training a thousand times as long."""
    generator(seed)
    train, held = split(surface(1600, 5, seed), 1200)
    model = nn.Sequential(nn.Linear(5, 40), nn.GELU(), nn.Linear(40, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    steps = 40 if fixed else 400_000
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / steps, 1.0))
    fit(model, optimizer, nn.MSELoss(), batches(train, 30), held, watch, epochs=12, after_step=schedule.step)
    return r2(model, held)


@case("xy_misaligned", 0.25, places=("data.targets", "targets", "data"))
def labels_one_row_late(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Each training row has the label of the row before it."""
    generator(seed)
    (x, y), held = split(clouds(2000, 8, 4, seed, spread=0.6), 1500)
    train = (x, y if fixed else y.roll(1))
    model = nn.Sequential(nn.Linear(8, 40), nn.ReLU(), nn.Linear(40, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 30), held, watch, epochs=15)
    return accuracy(model, held)


class _OnPixels(nn.Module):
    """A perceptron on pixels from 0 to 255, which it standardizes itself."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.fixed = fixed
        self.read = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))

    def forward(self, x: Tensor) -> Tensor:
        if self.fixed:
            return self.read((x - 128) / 64)
        x -= 128
        x /= 64
        return self.read(x)


@case("data_mutated", 0.25, accepted=("train_test_transform",), places=("data", "data.inputs"))
def model_writes_into_its_input(fixed: bool, seed: int, watch: Watch = None) -> float:
    """The model standardizes its input in place, and the batches are views of the stored rows."""
    generator(seed)
    x, y = gratings(1200, 8, seed)
    train, held = split(((40 * x + 128).clamp(0, 255), y), 1000)
    model = _OnPixels(fixed)
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=0.05)
    watched = Watched(watch, model, optimizer, loss_fn)
    for _ in range(30):
        for x, y in zip(train[0].split(25), train[1].split(25), strict=True):
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            watched.step(x, y, loss)
        watched.epoch(held)
    return accuracy(model, held)


@case("optimizer_params", 0.0, places=("0", "2", "optimizer"))
def chosen_by_name(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Parameters get a decay or none by their names, and those with a decay are forgotten."""
    generator(seed)
    train, held = split(surface(1600, 6, seed), 1200)
    model = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 1))
    plain = [parameter for name, parameter in model.named_parameters() if name.endswith("bias")]
    decayed = [parameter for name, parameter in model.named_parameters() if name.endswith("weight")]
    groups = [{"params": plain}, *([{"params": decayed, "weight_decay": 1e-4}] if fixed else [])]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    fit(model, optimizer, nn.SmoothL1Loss(), batches(train, 30), held, watch, epochs=10)
    return r2(model, held)


class _Variational(nn.Module):
    """An autoencoder whose code is drawn anew in each pass, also in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 6))
        self.decode = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 20))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encode(x).chunk(2, 1)
        code = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        return self.decode(code), mean, log_variance


@case(HEALTHY, 0.0)
def variational(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A variational autoencoder: chance takes part in each answer, by intent."""
    gen = generator(seed)
    angle, shift = 6.28 * torch.rand(1500, 1, generator=gen), torch.rand(1500, 1, generator=gen)
    x = torch.sin(torch.linspace(0, 4, 20) + angle) * (0.5 + shift) + 0.05 * torch.randn(1500, 20, generator=gen)
    train, held = split((x, x), 1200)
    model = _Variational()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def loss_fn(outputs: tuple[Tensor, Tensor, Tensor], y: Tensor) -> Tensor:
        again, mean, log_variance = outputs
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
        return (again - y).square().sum(1).mean() + 0.1 * divergence

    watched = Watched(watch, model, optimizer, loss_fn)
    for _ in range(25):
        for rows, _ in batches(train, 30):
            optimizer.zero_grad()
            loss = loss_fn(model(rows), rows)
            loss.backward()
            optimizer.step()
            watched.step(rows, rows, loss)
        watched.epoch(held)
    with torch.no_grad():
        rest = (model(held[0])[0] - held[1]).square().sum()
    return (1 - rest / (held[1] - held[1].mean(0)).square().sum()).item()


@case(HEALTHY, 0.5)
def triplets(fixed: bool, seed: int, watch: Watch = None) -> float:
    """One encoder for three rows of each triplet; the loss has no targets, and the watch is told nothing."""
    gen = generator(seed)
    x, y = clouds(1600, 10, 5, seed, spread=0.8)
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))
    loss_fn = nn.TripletMarginLoss(margin=1.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def drawn(low: int, high: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        anchors = torch.randint(low, high, (count,), generator=gen)
        picks = torch.randint(low, high, (count, 60), generator=gen)
        same = (y[picks] == y[anchors, None]).float()
        return x[anchors], x[picks[range(count), same.argmax(1)]], x[picks[range(count), (1 - same).argmax(1)]]

    Watched(watch, model, optimizer, loss_fn)
    for _ in range(600):
        anchor, positive, negative = drawn(0, 1200, 32)
        optimizer.zero_grad()
        loss_fn(model(anchor), model(positive), model(negative)).backward()
        optimizer.step()
    with torch.no_grad():
        anchor, positive, negative = (model(rows) for rows in drawn(1200, 1600, 500))
    near, far = (anchor - positive).norm(dim=1), (anchor - negative).norm(dim=1)
    return (near < far).float().mean().item()


@case(HEALTHY, 0.0)
def quasi_newton(fixed: bool, seed: int, watch: Watch = None) -> float:
    """L-BFGS on all rows: many passes in each of few steps."""
    generator(seed)
    (x, y), held = split(surface(1000, 4, seed), 800)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=10)
    loss_fn = nn.MSELoss()
    watched = Watched(watch, model, optimizer, loss_fn)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        return loss

    for _ in range(40):
        loss = optimizer.step(closure)
        watched.step(x, y, loss)
        watched.epoch(held)
    return r2(model, held)


class _PaddedTagger(nn.Module):
    """An LSTM over sequences of many lengths, which reads time first."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 12, padding_idx=0)
        self.reader = nn.LSTM(12, 16, bidirectional=True)
        self.answer = nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x > 0).sum(1)
        packed = pack_padded_sequence(self.words(x).transpose(0, 1), lengths, enforce_sorted=False)
        states = pad_packed_sequence(self.reader(packed)[0], total_length=x.shape[1])[0]
        return self.answer(states.transpose(0, 1)).transpose(1, 2)


@case(HEALTHY, 1 / 3)
def padded_tags(fixed: bool, seed: int, watch: Watch = None) -> float:
    """A class for each token; padding has the target -100, which the loss leaves out."""
    gen = generator(seed)
    x = torch.randint(1, 20, (1400, 12), generator=gen)
    length = torch.randint(4, 13, (1400, 1), generator=gen)
    inside = torch.arange(12) < length
    x = torch.where(inside, x, 0)
    before = x.roll(1, 1)
    before[:, 0] = 0
    y = torch.where(inside, (x > before).long() + (x > 13).long(), -100)
    train, held = split((x, y), 1100)
    model = _PaddedTagger()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    fit(model, optimizer, nn.CrossEntropyLoss(ignore_index=-100), batches(train, 25), held, watch, epochs=10)
    with torch.no_grad():
        guess = model(held[0]).argmax(1)
    known = held[1] >= 0
    return (guess[known] == held[1][known]).float().mean().item()


class _StraightThrough(nn.Module):
    """A code of zeros and ones, past which the gradient is led."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 10))
        self.answer = nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        soft = torch.sigmoid(self.encode(x))
        return self.answer(soft + (soft.round() - soft).detach())


@case(HEALTHY, 0.25)
def straight_through(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Rounding and a detached tensor, by intent."""
    generator(seed)
    train, held = split(clouds(1600, 12, 4, seed), 1200)
    model = _StraightThrough()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    fit(model, optimizer, nn.CrossEntropyLoss(), batches(train, 30), held, watch, epochs=12)
    return accuracy(model, held)


def _mixed(x: Tensor, y: Tensor, classes: int) -> Rows:
    part = torch.distributions.Beta(0.4, 0.4).sample((len(x), 1))
    other = torch.randperm(len(x))
    soft = functional.one_hot(y, classes).float()
    return part * x + (1 - part) * x[other], part * soft + (1 - part) * soft[other]


@case(HEALTHY, 0.25)
def mixed_up(fixed: bool, seed: int, watch: Watch = None) -> float:
    """Rows are mixed in pairs, and so are their targets: probabilities, in training alone."""
    generator(seed)
    train, held = split(tokens(1600, 12, 16, seed), 1200)
    counts, held_counts = (functional.one_hot(words, 16).sum(1).float() for words in (train[0], held[0]))
    held = held_counts, held[1]
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    watched = Watched(watch, model, optimizer, loss_fn)
    for _ in range(12):
        for x, y in batches((counts, train[1]), 30):
            x, y = _mixed(x, y, 4)
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            watched.step(x, y, loss)
        watched.epoch(held)
    return accuracy(model, held)
