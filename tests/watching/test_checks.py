"""Each check on a minimal faulty training, which raises its code at the right place, and on its sound twin."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import thalweg  # noqa: E402
from thalweg.watching.reference import reference_scores  # noqa: E402

ROWS, COLUMNS, CLASSES = 96, 6, 3


@pytest.fixture(autouse=True)
def without_reference(monkeypatch):
    """A random forest takes longer than all else here."""
    monkeypatch.setattr("thalweg.watching.handle.reference_scores", lambda *_: None)


def rows(seed: int = 0, count: int = ROWS):
    """Three classes by the sums of inputs."""
    gen = torch.Generator().manual_seed(seed)
    x = torch.randn(count, COLUMNS, generator=gen)
    return x, torch.stack([x[:, 0] + x[:, 1], x[:, 2] - x[:, 3], x[:, 4]], 1).argmax(1)


def numbers(seed: int = 0):
    """A regression."""
    x, _ = rows(seed)
    return x, x[:, :1] - 0.5 * x[:, 1:2] * x[:, 2:3]


def network(outputs: int = CLASSES, *last: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(COLUMNS, 12), nn.Tanh(), nn.Linear(12, outputs), *last)


def trained(
    model: nn.Module,
    loss_fn: Callable,
    data=None,
    held=None,
    *,
    optimizer=None,
    epochs: int = 3,
    size: int = 16,
    shuffle: bool = True,
    clear: Callable = lambda optimizer, moment: moment == "before" and optimizer.zero_grad(),
    before_step: Callable = lambda: None,
    prepare: Callable = lambda x: x,
    stop: int | None = None,
):
    """The diagnosis of a short training. `clear` is called before backward and between backward and step."""
    x, y = data or rows()
    held = held or rows(1, 64)
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.01)
    watch = thalweg.watch(model, optimizer, loss_fn)
    for epoch in range(epochs):
        torch.manual_seed(epoch)
        order = torch.randperm(len(x)) if shuffle else torch.arange(len(x))
        for index in islice(order.split(size), stop):
            xb, yb = prepare(x[index]), y[index]
            clear(optimizer, "before")
            loss = loss_fn(model(xb), yb)
            loss.backward()
            clear(optimizer, "between")
            before_step()
            optimizer.step()
            watch.step(xb, yb, loss)
        watch.epoch(validation=held)
    diagnosis = watch.diagnose()
    assert watch.training.faults == ()
    watch.close()
    return diagnosis


def places(diagnosis, code: str) -> list[str]:
    """The places of the findings of a code."""
    return [finding.place for finding in diagnosis.findings if finding.code == code]


CASES: dict[str, tuple[str, Callable]] = {}


def case(code: str, place: str):
    """A training `program(fixed)` that raises the code at this place unless it is fixed."""

    def keep(program: Callable) -> Callable:
        CASES[program.__name__] = (code, place, program)
        return program

    return keep


@case("gradients-not-reset", "optimizer")
def gradients_stay(fixed):
    clear = {} if fixed else {"clear": lambda optimizer, moment: None}
    return trained(network(), nn.CrossEntropyLoss(), **clear)


@case("evaluation-in-train-mode", "1")
def dropout_as_a_function(fixed):
    class Noisy(nn.Module):
        def forward(self, x):
            return functional.dropout(x, 0.5, training=self.training or not fixed)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(COLUMNS, 12), Noisy(), nn.Linear(12, CLASSES))
    return trained(model, nn.CrossEntropyLoss())


@case("regularization-too-strong", "regularization")
def penalty_in_the_loop(fixed):
    model, loss = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    watch = thalweg.watch(model, optimizer, loss)
    x, y = rows()
    for _ in range(8):
        for index in torch.arange(ROWS).split(16):
            optimizer.zero_grad()
            total = loss(model(x[index]), y[index])
            if not fixed:
                total = total + sum(p.square().sum() for p in model.parameters())
            total.backward()
            optimizer.step()
            watch.step(x[index], y[index], total)
        watch.epoch()
    with watch:
        return watch.diagnose()


class Scaled(nn.Module):
    """A weight that is a parameter only if it is the whole value of its attribute."""

    def __init__(self, fixed):
        super().__init__()
        torch.manual_seed(0)
        start = torch.randn(COLUMNS, 3)
        self.mix = nn.Parameter(0.3 * start) if fixed else 0.3 * nn.Parameter(start)
        self.last = nn.Linear(3, CLASSES)

    def forward(self, x):
        return self.last(torch.tanh(x @ self.mix))


@case("unregistered-layers", "mix")
def computed_weight(fixed):
    model = Scaled(fixed)
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    watch = thalweg.watch(model, optimizer, loss_fn)
    x, y = rows()
    for index in torch.arange(ROWS).split(16):
        optimizer.zero_grad()
        loss = loss_fn(model(x[index]), y[index])
        loss.backward(retain_graph=True)
        optimizer.step()
        watch.step(x[index], y[index], loss)
    watch.epoch(validation=rows(1, 64))
    with watch:
        return watch.diagnose()


@case("clip-too-strong", "clipping")
def clipped_before_unscaling(fixed):
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu")
    watch = thalweg.watch(model, optimizer, loss_fn)
    x, y = rows()
    for _ in range(6):
        for index in torch.arange(ROWS).split(16):
            optimizer.zero_grad()
            loss = loss_fn(model(x[index]), y[index])
            scaler.scale(loss).backward()
            if fixed:
                scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            watch.step(x[index], y[index], loss)
        watch.epoch(validation=rows(1, 64))
    with watch:
        return watch.diagnose()


@case("no-update", "optimizer")
def cleared_between(fixed):
    clear = {} if fixed else {"clear": lambda optimizer, moment: moment == "between" and optimizer.zero_grad()}
    return trained(network(), nn.CrossEntropyLoss(), **clear)


@case("optimizer-parameters", "0")
def layer_missing(fixed):
    model = network()
    parameters = model.parameters() if fixed else model[2].parameters()
    return trained(model, nn.CrossEntropyLoss(), optimizer=torch.optim.SGD(parameters, lr=0.01))


@case("optimizer-parameters", "optimizer")
def other_model(fixed):
    model = network()
    other = model if fixed else network()
    return trained(model, nn.CrossEntropyLoss(), optimizer=torch.optim.SGD(other.parameters(), lr=0.01))


class Listed(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(COLUMNS, 8)
        layers = [nn.Linear(8, 8), nn.Linear(8, CLASSES)]
        self.more = nn.ModuleList(layers) if fixed else layers

    def forward(self, x):
        return self.more[1](torch.tanh(self.more[0](torch.tanh(self.first(x)))))


@case("unregistered-layers", "more")
def plain_list(fixed):
    return trained(Listed(fixed), nn.CrossEntropyLoss())


class Cut(nn.Module):
    def __init__(self, cut):
        super().__init__()
        torch.manual_seed(0)
        self.cut = cut
        self.body = nn.Linear(COLUMNS, 8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.head(self.cut(torch.tanh(self.body(x))))


@case("cut-graph", "body to head")
def detached(fixed):
    return trained(Cut((lambda x: x) if fixed else torch.Tensor.detach), nn.CrossEntropyLoss())


@case("cut-graph", "head")
def rounded(fixed):
    return trained(Cut((lambda x: x) if fixed else torch.round), nn.CrossEntropyLoss())


@case("cut-graph", "loss")
def new_tensor(fixed):
    def loss_fn(out, y):
        value = functional.cross_entropy(out, y)
        return value if fixed else torch.tensor(value.item(), requires_grad=True)

    return trained(network(), loss_fn)


@case("frozen-parameters", "0")
def frozen(fixed):
    model = network()
    model[0].requires_grad_(fixed)
    return trained(model, nn.CrossEntropyLoss())


@case("frozen-parameters", "0")
def group_of_rate_zero(fixed):
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 0.01 if fixed else 0.0}, {"params": model[2].parameters()}]
    return trained(model, nn.CrossEntropyLoss(), optimizer=torch.optim.SGD(groups, lr=0.01))


@case("decayed-rate", "optimizer.learning_rate")
def rate_of_zero(fixed):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01 if fixed else 0.0)
    return trained(model, nn.CrossEntropyLoss(), optimizer=optimizer)


@case("training-in-eval-mode", "1")
def evaluating(fixed):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(COLUMNS, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, CLASSES))
    return trained(model.train(fixed), nn.CrossEntropyLoss())


@case("target-broadcast", "loss")
def broadcast(fixed):
    x, y = numbers()
    return trained(network(1), functional.mse_loss, (x, y if fixed else y[:, 0]), held=numbers(1))


@case("activated-twice", "3")
def softmax_before_cross_entropy(fixed):
    return trained(network(CLASSES, nn.Identity() if fixed else nn.Softmax(dim=1)), nn.CrossEntropyLoss())


@case("activated-twice", "output")
def sigmoid_as_a_function(fixed):
    x, y = rows()
    loss_fn = nn.BCEWithLogitsLoss()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network(1)

        def forward(self, x):
            out = self.net(x)[:, 0]
            return out if fixed else torch.sigmoid(out)

    xv, yv = rows(1, 64)
    return trained(Net(), loss_fn, (x, (y == 0).float()), (xv, (yv == 0).float()))


@case("activated-twice", "4")
def log_softmax_of_softmax(fixed):
    first = nn.Identity() if fixed else nn.Softmax(dim=1)
    return trained(network(CLASSES, first, nn.LogSoftmax(dim=1)), nn.NLLLoss())


@case("log-missing", "loss")
def probabilities_before_nll(fixed):
    return trained(network(CLASSES, nn.LogSoftmax(dim=1) if fixed else nn.Softmax(dim=1)), nn.NLLLoss())


@case("single-softmax", "3")
def softmax_over_one(fixed):
    x, y = rows()
    last = nn.Sigmoid() if fixed else nn.Softmax(dim=1)
    return trained(network(1, last), nn.BCELoss(), (x, (y == 0).float()[:, None]))


@case("wrong-axis", "3")
def softmax_over_rows(fixed):
    return trained(network(CLASSES, nn.LogSoftmax(dim=1 if fixed else 0)), nn.NLLLoss())


@case("label-coding", "targets")
def signs_for_logits(fixed):
    x, y = rows()
    y = (y == 0).float()[:, None]
    return trained(network(1), nn.BCEWithLogitsLoss(), (x, y if fixed else 2 * y - 1))


@case("label-coding", "validation targets")
def renamed_classes(fixed):
    x, y = rows(1, 64)
    optimizer_of = lambda model: torch.optim.Adam(model.parameters(), lr=0.02)  # noqa: E731
    model = network()
    held = (x, y if fixed else (y + 1) % CLASSES)
    return trained(model, nn.CrossEntropyLoss(), held=held, optimizer=optimizer_of(model), epochs=25)


class Recurrent(nn.Module):
    def __init__(self, batch_first):
        super().__init__()
        torch.manual_seed(0)
        self.reader = nn.GRU(2, 8, batch_first=batch_first)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.head(self.reader(x)[0][:, -1])


@case("mixed-rows", "reader")
def batch_read_as_time(fixed):
    x, y = rows()
    xv, yv = rows(1, 64)
    return trained(Recurrent(fixed), nn.CrossEntropyLoss(), (x.view(-1, 3, 2), y), (xv.view(-1, 3, 2), yv))


class Regrouped(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        torch.manual_seed(0)
        self.fixed = fixed
        self.reader = nn.GRU(2, 8)
        self.head = nn.Linear(24, CLASSES)

    def forward(self, x):
        out = self.reader(x.transpose(0, 1))[0]
        out = out.transpose(0, 1).contiguous() if self.fixed else out
        return self.head(out.view(len(x), -1))


@case("mixed-rows", "head")
def reshape_regroups(fixed):
    x, y = rows()
    xv, yv = rows(1, 64)
    return trained(Regrouped(fixed), nn.CrossEntropyLoss(), (x.view(-1, 3, 2), y), (xv.view(-1, 3, 2), yv))


@case("same-batch", "data.order")
def one_batch(fixed):
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    x, y = rows()
    few = (x, y) if fixed else (x[:8].repeat(12, 1), y[:8].repeat(12))
    return trained(model, nn.CrossEntropyLoss(), few, optimizer=optimizer, size=8, epochs=8, shuffle=False)


@case("epoch-cut-short", "loop")
def loader_that_ends(fixed):
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = rows()
    batches = [(x[index], y[index]) for index in torch.arange(ROWS).split(16)]
    loader = batches if fixed else iter(batches)
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for _ in range(4):
            for xb, yb in loader:
                optimizer.zero_grad()
                loss_fn(model(xb), yb).backward()
                optimizer.step()
            watch.epoch(validation=rows(1, 64))
        return watch.diagnose()


@case("epoch-cut-short", "loop")
def broken_loop(fixed):
    return trained(network(), nn.CrossEntropyLoss(), size=8, epochs=12, stop=None if fixed else 1)


@case("data-mutated", "data.inputs")
def changed_in_place(fixed):
    x, y = rows()

    class Rows:
        """Rows that are read by index, and changed on the way."""

        def __len__(self):
            return len(x)

        def __getitem__(self, index):
            if not fixed:
                x[index] = x[index] * 3
            return x[index]

    return trained(network(), nn.CrossEntropyLoss(), (Rows(), y), epochs=6)


@case("clip-too-strong", "clipping")
def clipped(fixed):
    model = network()
    limit = 10.0 if fixed else 1e-6

    def clip():
        nn.utils.clip_grad_norm_(model.parameters(), limit)

    return trained(model, nn.CrossEntropyLoss(), before_step=clip, epochs=6)


@case("validation-prepared-otherwise", "validation")
def other_scale(fixed):
    x, y = rows(1, 64)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    held = (x if fixed else 40 * x + 100, y)
    return trained(model, nn.CrossEntropyLoss(), held=held, optimizer=optimizer, epochs=15)


@case("not-finite", "loss")
def logarithm_of_zero(fixed):
    x, y = rows()
    tiny = 1e-6 if fixed else 0.0

    def loss_fn(out, y):
        p = torch.softmax(out, 1).gather(1, y[:, None])
        return -torch.log((p - 0.3).clamp(min=0) + tiny).mean()

    return trained(network(), loss_fn, (x, y))


@case("statistics-disagree", "0")
def frozen_statistics(fixed):
    torch.manual_seed(0)
    x, y = rows()
    xv, yv = rows(1, 64)
    norm = nn.BatchNorm1d(COLUMNS, momentum=0.1 if fixed else 0.0)
    model = nn.Sequential(norm, nn.Linear(COLUMNS, 16), nn.Tanh(), nn.Linear(16, CLASSES))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    data, held = (30 + 9 * x, y), (30 + 9 * xv, yv)
    return trained(model, nn.CrossEntropyLoss(), data, held, optimizer=optimizer, epochs=12)


@case("unfinished-warm-up", "optimizer.learning_rate")
def still_warming_up(fixed):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)

    def warm():
        optimizer.param_groups[0]["lr"] *= 1.0 if fixed else 1.05

    return trained(model, nn.CrossEntropyLoss(), optimizer=optimizer, before_step=warm)


@case("regularization-too-strong", "regularization")
def heavy_decay(fixed):
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.01 if fixed else 50.0)
    return trained(model, nn.CrossEntropyLoss(), optimizer=optimizer)


@case("imbalance", "data")
def rare_class(fixed):
    x, _ = rows()
    y = (x[:, 0] > 0).long()
    if not fixed:
        y[::16] = 2
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    return trained(model, nn.CrossEntropyLoss(), (x, y), (x, y), optimizer=optimizer, epochs=6)


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_found_at_its_place_and_its_twin_is_sound(name):
    code, place, program = CASES[name]
    assert place in places(program(False), code)
    assert places(program(True), code) == []


def test_summed_gradients_of_small_batches_are_found():
    def program(scale: float):
        model, loss_fn = network(), nn.CrossEntropyLoss()
        x, y = rows()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        watch = thalweg.watch(model, optimizer, loss_fn)
        for _ in range(12):
            optimizer.zero_grad()
            for index in torch.arange(ROWS).split(12)[:4]:
                loss = loss_fn(model(x[index]), y[index]) * scale
                loss.backward()
            optimizer.step()
            watch.step(x[index], y[index], loss)
        watch.epoch(validation=rows(1, 64))
        return watch.diagnose()

    assert places(program(1.0), "unscaled-accumulation") == ["loss"]
    assert places(program(1 / 4), "unscaled-accumulation") == []


def test_an_evaluation_in_training_mode_is_found():
    def program(fixed: bool):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(COLUMNS, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, CLASSES))
        loss_fn = nn.CrossEntropyLoss()
        x, y = rows()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        watch = thalweg.watch(model, optimizer, loss_fn)
        for _ in range(3):
            model.train()
            for index in torch.randperm(ROWS).split(16):
                optimizer.zero_grad()
                loss = loss_fn(model(x[index]), y[index])
                loss.backward()
                optimizer.step()
                watch.step(x[index], y[index], loss)
            model.train(not fixed)
            with torch.no_grad():
                model(x)
            watch.epoch(validation=rows(1, 64))
        return watch.diagnose()

    assert places(program(False), "evaluation-in-train-mode") == ["1"]
    assert places(program(True), "evaluation-in-train-mode") == []


@pytest.mark.parametrize(("rate", "severities"), [(0.8, ["warning"]), (0.05, ["note"])])
@pytest.mark.slow
def test_chance_that_costs_right_answers_is_more_than_a_note(rate, severities):
    """A network that has learned, and answers at random all the same."""

    class Always(nn.Module):
        def forward(self, x):
            return functional.dropout(x, rate)

    model = nn.Sequential(nn.Linear(COLUMNS, 60), nn.ReLU(), Always(), nn.Linear(60, CLASSES))
    torch.manual_seed(0)
    x, y = rows(0, 480)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    diagnosis = trained(model, nn.CrossEntropyLoss(), data=(x, y), optimizer=optimizer, epochs=15)
    found = [finding for finding in diagnosis.findings if finding.code == "evaluation-in-train-mode"]
    assert [finding.severity for finding in found] == severities
    # Both have learned: the oracle is the mean of many passes.
    with torch.no_grad():
        passes = torch.stack([model.eval()(x) for _ in range(64)])
    one, mean = (passes.argmax(2) == y).float().mean(), (passes.mean(0).argmax(1) == y).float().mean()
    assert one > 0.7
    assert (mean - one > 0.05) == (severities == ["warning"])


def told(model, loss_of, x, y, epochs=6):
    """The diagnosis of a training whose loss is told: `loss_of(model, rows of x, rows of y)`."""
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with thalweg.watch(model, optimizer, quiet=True) as watch:
        for _ in range(epochs):
            for index in torch.randperm(len(x)).split(16):
                optimizer.zero_grad()
                loss = loss_of(model, x[index], y[index])
                loss.backward()
                optimizer.step()
                watch.step(x[index], y[index], loss)
            watch.epoch()
        return watch.diagnose()


def test_a_loss_over_all_pairs_of_rows_is_no_broadcast_of_targets():
    def contrastive(model, x, y):
        one, other = (functional.normalize(model(x + 0.1 * torch.randn_like(x)), dim=1) for _ in range(2))
        return functional.cross_entropy(one @ other.T / 0.1, torch.arange(len(x)))

    def compared(model, x, y):
        return (model(x) - y).square().mean()

    x = rows()[0]
    indices = torch.arange(ROWS)
    found = {finding.code for finding in told(network(8), contrastive, x, indices).findings}
    assert not found & {"target-broadcast", "plateau"}
    assert places(told(network(1), compared, x, x[:, 0]), "target-broadcast") == ["loss"]


def test_outputs_beside_the_one_that_is_compared_with_the_targets_are_not_scored():
    class Variational(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean, self.spread, self.decoder = nn.Linear(COLUMNS, 2), nn.Linear(COLUMNS, 2), nn.Linear(2, COLUMNS)

        def forward(self, x):
            mean, spread = self.mean(x), self.spread(x)
            return mean, spread, self.decoder(mean + 0.1 * spread.exp() * torch.randn_like(mean))

    def loss(model, x, y):
        mean, _, output = model(x)
        return functional.mse_loss(output, y) + 0.01 * mean.square().mean()

    x = rows()[0]
    torch.manual_seed(0)
    diagnosis = told(Variational(), loss, x, x, epochs=20)
    assert places(diagnosis, "target-broadcast") == []
    assert 0.1 < diagnosis.learned.score < 1


def test_branches_are_no_linear_stack():
    class Branched(nn.Module):
        def __init__(self, stacked):
            super().__init__()
            self.one, self.other, self.above = (
                nn.Linear(3, 8),
                nn.Linear(8 if stacked else 3, 8),
                nn.Linear(16, CLASSES),
            )
            self.stacked = stacked

        def forward(self, x):
            one = self.one(x[:, :3])
            other = self.other(one if self.stacked else x[:, 3:])
            return self.above(torch.cat([one, other], 1).relu())

    def program(stacked):
        return trained(Branched(stacked), nn.CrossEntropyLoss())

    assert places(program(False), "linear-stack") == []
    assert places(program(True), "linear-stack") == ["one to other"]


def test_a_language_model_whose_targets_the_loop_flattens_is_scored():
    x = (torch.arange(ROWS)[:, None] + torch.arange(6)) % 5
    model = nn.Sequential(nn.Embedding(5, 12), nn.Linear(12, 5))
    optimizer, loss_fn = torch.optim.Adam(model.parameters(), lr=0.03), nn.CrossEntropyLoss()
    with thalweg.watch(model, optimizer, loss_fn, quiet=True) as watch:
        for _ in range(10):
            for batch in x.split(16):
                optimizer.zero_grad()
                loss_fn(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten()).backward()
                optimizer.step()
            watch.epoch()
        diagnosis = watch.diagnose()
    assert diagnosis.learned.score == 1
    assert diagnosis.healthy


def test_a_loss_that_jumps_by_chance_says_nothing_of_the_steps():
    class Noisy(nn.Module):
        def __init__(self, always: bool) -> None:
            super().__init__()
            self.always = always

        def forward(self, x):
            noise = self.training or self.always
            return x + 8 * torch.randn_like(x) if noise else x

    def program(always: bool):
        model = nn.Sequential(Noisy(always), *network())
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        return trained(model, nn.CrossEntropyLoss(), optimizer=optimizer, epochs=12)

    assert places(program(True), "oscillating-loss") == []
    assert places(program(False), "oscillating-loss") == ["training"]


@pytest.mark.slow
def test_a_network_that_answers_other_rows_has_learned():
    """Targets that are mixed or noisy are never answered, and the classes of the validation rows are."""

    def program(noise: float):
        x, y = rows(0, 480)
        gen = torch.Generator().manual_seed(3)
        other = torch.rand(len(y), generator=gen) < noise
        y = torch.where(other, torch.randint(0, CLASSES, y.shape, generator=gen), y)
        model = network()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        return trained(model, nn.CrossEntropyLoss(), (x, y), rows(1, 200), optimizer=optimizer, epochs=12)

    assert program(0.6).healthy
    assert not program(1.0).healthy


def test_a_network_that_is_used_three_times_is_no_deeper():
    torch.manual_seed(0)
    model, loss_fn = nn.Sequential(nn.Linear(COLUMNS, 8), nn.ReLU(), nn.Linear(8, 2)), nn.TripletMarginLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x, y = rows(0, 300)
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for _ in range(120):
            anchor, other = torch.randint(0, 300, (2, 16))
            near = torch.stack([(y == y[row]).nonzero()[0, 0] for row in anchor])
            optimizer.zero_grad()
            loss_fn(model(x[anchor]), model(x[near]), model(x[other])).backward()
            optimizer.step()
    assert [place.place for place in watch.training.looks[0].first_pass] == ["0", "1", "2"]
    assert len(watch.training.looks[0].places) == 9
    # It compares outputs with each other: none of them is a target.
    assert watch.training.looks[0].loss_input is None
    assert places(watch.diagnose(), "linear-stack") == []


def test_a_training_without_a_step_is_not_called_healthy():
    model = network()
    with thalweg.watch(model, torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()) as watch:
        assert places(watch.diagnose(), "epoch-cut-short") == ["loop"]


def test_gradients_of_another_model_are_not_called_cleared():
    model = network()
    other = torch.optim.SGD(network().parameters(), lr=0.01)
    assert places(trained(model, nn.CrossEntropyLoss(), optimizer=other), "no-update") == []


def test_labels_of_other_rows_are_found(monkeypatch):
    monkeypatch.setattr("thalweg.watching.handle.reference_scores", reference_scores)

    def program(fixed: bool):
        x, y = rows(0, 400)
        y = y if fixed else y[torch.randperm(400, generator=torch.Generator().manual_seed(5))]
        return trained(network(), nn.CrossEntropyLoss(), (x, y), rows(1, 300), size=40)

    assert places(program(False), "rows-misaligned") == ["data.targets"]
    assert places(program(True), "rows-misaligned") == []


def test_every_check_of_a_watch_has_a_case_here():
    from thalweg.doctor.checks import CHECKS

    codes = {check.code for check in CHECKS if check.__module__.startswith("thalweg.watching")}
    tested = {code for code, _, _ in CASES.values()}
    assert codes - tested == {"unscaled-accumulation", "rows-misaligned"}


def test_a_mistake_that_nobody_means_is_a_warning_in_a_network_that_learned():
    x, y = rows(count=40)
    diagnosis = trained(
        network(), nn.CrossEntropyLoss(), (x, 0 * y + (x[:, 0] > 0).long()), epochs=12,
        clear=lambda optimizer, moment: None, optimizer=None,
    )  # fmt: skip
    (found,) = [finding for finding in diagnosis.findings if finding.code == "gradients-not-reset"]
    assert diagnosis.learned.score > 0.9
    assert found.severity == "warning"
