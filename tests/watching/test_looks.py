"""What a look measures, against autograd itself, finite differences and hand-worked numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="LEFT OUT: watching PyTorch; make torch installs it")
nn = torch.nn
F = torch.nn.functional

import thalweg  # noqa: E402


def rms(values: Any) -> float:
    return float(values.detach().double().pow(2).mean().sqrt())


def looked_at(model: Any, x: Any, y: Any, loss_fn: Any, steps: int = 1, rate: float = 0.1, **options: Any) -> Any:
    """The looks of a plain training by gradient descent on one batch."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=rate, **options)
    with thalweg.watch(model, optimizer, loss_fn, quiet=True) as handle:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            if not isinstance(loss_fn, nn.Module):
                handle.step(x, y, loss)
    assert not handle.training.faults
    return handle.training.looks


@pytest.fixture
def batch() -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(16, 5, generator=generator), torch.randint(0, 3, (16,), generator=generator)


def mlp() -> Any:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(inplace=True), nn.Linear(8, 3))


def test_outputs_deltas_gradients_and_updates_are_those_of_autograd(batch):
    x, y = batch
    model = mlp()
    first, last = model[0], model[2]
    z1 = first(x)
    z1.retain_grad()
    z2 = last(torch.relu(z1))
    z2.retain_grad()
    F.cross_entropy(z2, y).backward()
    places = {"0": (z1, z1.grad), "2": (z2, z2.grad)}
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    alive = (z1 > 0).any(0).double().mean()

    look = looked_at(model, x, y, nn.CrossEntropyLoss(), rate=0.1)[0]
    by_place = {place.place: place for place in look.places}
    assert list(by_place) == ["0", "1", "2"]
    for name, (outputs, delta) in places.items():
        assert by_place[name].rms == pytest.approx(rms(outputs), rel=1e-5)
        assert by_place[name].delta == pytest.approx(rms(delta), rel=1e-5)
    assert by_place["1"].dead == pytest.approx(1 - float(alive), abs=1e-6)
    assert by_place["2"].follows == ("1",)
    for parameter in look.parameters:
        assert parameter.gradient == pytest.approx(rms(gradients[parameter.name]), rel=1e-5)
        assert parameter.update == pytest.approx(0.1 * rms(gradients[parameter.name]), rel=1e-4)
        assert parameter.moved
        assert parameter.reached


def test_the_noise_is_that_of_the_gradients_of_single_rows(batch):
    x, y = batch
    model = mlp().double()
    x = x.double()
    rows = []
    for i in range(len(x)):
        model.zero_grad()
        F.cross_entropy(model(x[i : i + 1]), y[i : i + 1]).backward()
        rows.append(torch.cat([p.grad.reshape(-1) for p in model.parameters()]))
    gradients = torch.stack(rows)
    mean = gradients.mean(0)
    expected = float(mean.square().sum() / (gradients - mean).square().sum(1).mean())
    look = looked_at(model, x, y, nn.CrossEntropyLoss())[0]
    assert look.signal_to_noise == pytest.approx(expected, rel=1e-9)


def test_the_curvature_is_that_of_finite_differences(batch):
    x, y = batch
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x = x.double()
    parameters = list(model.parameters())

    def loss_along(shift: float, direction: list[Any]) -> float:
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p += shift * d
            value = float(F.cross_entropy(model(x), y))
            for p, d in zip(parameters, direction, strict=True):
                p -= shift * d
        return value

    gradient = torch.autograd.grad(F.cross_entropy(model(x), y), parameters)
    square = sum(float(g.square().sum()) for g in gradient)
    h = 1e-3
    values = [loss_along(shift, list(gradient)) for shift in (-h, 0.0, h)]
    expected = (values[0] - 2 * values[1] + values[2]) / h**2 / square
    assert looked_at(model, x, y, nn.CrossEntropyLoss())[0].curvature == pytest.approx(expected, rel=1e-4)


def test_attention_has_a_curvature_though_its_fast_kernels_have_none():
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    x = torch.randn(4, 6, 8)
    look = looked_at(model, x, torch.randn(4, 6, 8), nn.MSELoss())[0]
    assert math.isfinite(look.curvature)
    assert "self_attn" in {place.place for place in look.places}
    assert not look.cut
    assert not look.unused


def test_a_step_on_a_parabola_ends_where_theory_says():
    # E = w² / 2 with rate r: the slope goes from w to (1 - r) w.
    model = nn.Linear(1, 1, bias=False)
    for rate, expected in ((0.5, -0.5), (1.0, 0.0), (1.5, 0.5)):
        with torch.no_grad():
            model.weight.fill_(1.0)
        looks = looked_at(model, torch.ones(2, 1), torch.zeros(2, 1), nn.MSELoss(), steps=2, rate=rate / 2)
        assert looks[0].step_length == pytest.approx(expected, abs=1e-6)


def test_gradients_that_are_never_reset_add_up(batch):
    x, y = batch
    model, loss_fn = mlp(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with thalweg.watch(model, optimizer, loss_fn, quiet=True) as handle:
        for _ in range(5):
            loss_fn(model(x), y).backward()
            optimizer.step()
    ratios = [look.stale_gradient for look in handle.training.looks]
    assert ratios == pytest.approx([0, 1, 2, 3, 4], rel=1e-4)
    assert handle.training.looks[0].parameters[0].moved is False


class Parts(nn.Module):
    """A model with modules in a list, a part that is cut off, one that is not used, and one that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = nn.Linear(5, 8)
        self.hidden = [nn.Linear(8, 8), nn.ReLU()]
        self.unused = nn.Linear(2, 2)
        self.frozen = nn.Linear(8, 8).requires_grad_(False)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        z = torch.tanh(self.cut(x)).detach()
        for layer in self.hidden:
            z = layer(z)
        return self.fc(self.frozen(z))


def test_parameters_that_do_not_train_are_named(batch):
    x, y = batch
    model = Parts()
    old = nn.Linear(4, 7)
    optimizer = torch.optim.SGD([*model.cut.parameters(), *model.unused.parameters(), *old.parameters()], lr=0.1)
    with thalweg.watch(model, optimizer, nn.CrossEntropyLoss(), quiet=True) as handle:
        handle.loss_fn(model(x), y).backward()
        optimizer.step()
    watched, look = handle.training.model, handle.training.looks[0]
    assert [(u.name, u.kinds, u.parameters, u.optimized) for u in watched.unregistered] == [
        ("hidden", ("Linear", "ReLU"), 72, False)
    ]
    assert look.foreign == ("(7, 4)", "(7,)")
    assert look.missing == ("fc.weight", "fc.bias")
    assert look.frozen == ("frozen.weight", "frozen.bias")
    assert look.unused == ("unused.weight", "unused.bias")
    assert look.cut == ("cut.weight", "cut.bias")
    assert {p.name: p.moved for p in look.parameters}["cut.weight"] is False


def test_tensors_that_were_computed_from_parameters_are_none_of_their_own():
    model = nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), nn.LSTM(3, 2))
    model.kept = model[0](torch.ones(1, 3))
    model.fixed = torch.ones(3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer, nn.MSELoss(), quiet=True) as handle:
        assert handle.training.model.unregistered == ()
    model.free = torch.ones(3, requires_grad=True)
    with thalweg.watch(model, optimizer, nn.MSELoss(), quiet=True) as handle:
        assert [found.name for found in handle.training.model.unregistered] == ["free"]


def test_a_module_that_is_used_twice_is_two_places(batch):
    x, y = batch

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared = nn.Linear(5, 5)
            self.fc = nn.Linear(5, 3)

        def forward(self, x: Any) -> Any:
            return {"logits": self.fc(torch.sigmoid(self.shared(torch.tanh(self.shared(x))))), "more": (x, x)}

    model = Twice()
    looks = looked_at(model, x, y, lambda out, y: F.cross_entropy(out["logits"], y))
    names = [place.place for place in looks[0].places]
    assert names == ["shared", "tanh before shared (2)", "shared (2)", "sigmoid before fc", "fc"]
    assert all(math.isfinite(place.delta) for place in looks[0].places)


@pytest.mark.parametrize("loss_fn", [nn.MSELoss(), F.mse_loss], ids=["module", "function"])
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_a_target_that_is_broadcast_is_seen(loss_fn):
    torch.manual_seed(0)
    x, y = torch.randn(6, 2), torch.randn(6)
    model = nn.Linear(2, 1)
    assert looked_at(model, x, y, loss_fn)[0].loss_input.broadcast
    assert not looked_at(model, x, y[:, None], loss_fn)[0].loss_input.broadcast
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer, loss_fn, quiet=True) as handle:
        loss = loss_fn(model(x).squeeze(1), y)
        loss.backward()
        optimizer.step()
        handle.step(x, y, loss)
    assert not handle.training.looks[0].loss_input.broadcast


@pytest.mark.parametrize("loss_fn", [nn.CrossEntropyLoss(), F.cross_entropy], ids=["module", "function"])
def test_a_softmax_before_the_loss_is_seen_with_its_axis(loss_fn, batch):
    x, y = batch

    class Net(nn.Module):
        def __init__(self, axis: int | None) -> None:
            super().__init__()
            self.fc = nn.Linear(5, 3)
            self.axis = axis

        def forward(self, x: Any) -> Any:
            z = self.fc(x)
            return z if self.axis is None else z.softmax(self.axis)

    given = looked_at(Net(0), x, y, loss_fn)[0].loss_input
    assert (given.activation, given.axis, given.axis_size) == ("softmax", 0, 16)
    given = looked_at(Net(-1), x, y, loss_fn)[0].loss_input
    assert (given.activation, given.axis, given.axis_size) == ("softmax", 1, 3)
    assert given.row_sum == pytest.approx(1, abs=1e-5)
    assert looked_at(Net(None), x, y, loss_fn)[0].loss_input.activation == ""


class Breaks(nn.Module):
    """A model whose numbers break in the forward pass, in the loss, or on the way back."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.a = nn.Linear(2, 4)
        self.b = nn.Linear(4, 1)
        self.how = how

    def forward(self, x: Any) -> Any:
        z = self.a(x)
        if self.how == "forward":
            z = torch.log(-z.abs())
        if self.how == "backward":
            # The slope of a root at 0 is infinite, and 0 times infinity is no number.
            z = z + torch.sqrt(z * 0.0)
        return self.b(z)


@pytest.mark.parametrize(
    ("how", "direction", "place"),
    [("forward", "forward", "b"), ("loss", "loss", "loss"), ("backward", "backward", "a")],
)
def test_the_place_where_numbers_break_is_found(how, direction, place):
    torch.manual_seed(0)

    class Loss(nn.Module):
        def forward(self, outputs: Any, targets: Any) -> Any:
            wrong = torch.log(outputs * 0 - 1) if how == "loss" else 0
            return ((outputs - targets) ** 2 + wrong).mean()

    model, loss_fn = Breaks(how), Loss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer, loss_fn, quiet=True) as handle:
        loss_fn(model(torch.randn(3, 2)), torch.zeros(3, 1)).backward()
        optimizer.step()
    found = handle.training.nonfinite
    assert (found.place, found.direction, found.step) == (place, direction, 0)


def test_a_loss_that_breaks_between_looks_is_repeated_at_once():
    torch.manual_seed(0)
    model, loss_fn = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)), nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.randn(3, 2), torch.zeros(3, 1)
    with thalweg.watch(model, optimizer, loss_fn, quiet=True) as handle:
        for step in range(40):
            optimizer.zero_grad()
            loss_fn(model(x * (math.inf if step == 35 else 1)), y).backward()
            optimizer.step()
    found = handle.training.nonfinite
    assert (found.place, found.direction, found.step) == ("input", "input", 35)
    assert [look.source for look in handle.training.looks if look.step == 35] == ["replay"]


def test_modes_and_evaluations_are_told():
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    loss_fn, x, y = nn.MSELoss(), torch.randn(8, 2), torch.randn(8, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with thalweg.watch(model, optimizer, loss_fn, quiet=True) as handle:
        model[1].eval()
        for _ in range(2):
            with torch.no_grad():
                model(x)
            loss_fn(model(x), y).backward()
            optimizer.step()
        handle.epoch(validation=(x, y))
    assert handle.training.looks[0].evaluating == ("1",)
    epoch = handle.training.epochs[0]
    assert (epoch.steps, epoch.root_training, epoch.evaluated_in_training) == (2, True, 2)
    # With dropout, the score in evaluation mode is another one.
    assert epoch.validation.loss != epoch.validation_as_found.loss
    assert epoch.validation.loss == pytest.approx(float(loss_fn(model.eval()(x), y).detach()), rel=1e-6)


def test_rows_are_recognised_by_their_fingerprints(batch):
    x, y = batch
    looks = looked_at(mlp(), x, y, nn.CrossEntropyLoss(), steps=2)
    first, second = (look.batch for look in looks)
    assert first.rows == second.rows
    assert len(set(first.rows)) == 16
    assert first.classes == {str(name): int((y == name).sum()) for name in range(3)}
    assert first.mean == pytest.approx(float(x.mean()), abs=1e-6)
    assert first.column_deviations == pytest.approx(x.std(0, correction=0).tolist(), rel=1e-4)


def test_large_parameters_are_compared_in_part():
    torch.manual_seed(0)
    model = nn.Linear(1000, 200)
    x, y = torch.randn(8, 1000), torch.randn(8, 200)
    before = model.weight.detach().clone()
    look = looked_at(model, x, y, nn.MSELoss(), rate=1.0)[0]
    update = {p.name: p.update for p in look.parameters}["weight"]
    assert update == pytest.approx(rms(model.weight - before), rel=0.02)


def test_what_the_loop_adds_to_the_loss_is_told(batch):
    x, y = batch
    model, loss_fn = mlp(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer, loss_fn, quiet=True) as handle:
        optimizer.zero_grad()
        penalty = sum(p.square().sum() for p in model.parameters())
        loss = loss_fn(model(x), y) + penalty
        loss.backward()
        optimizer.step()
        handle.step(x, y, loss)
    look = handle.training.looks[0]
    assert look.loss_added == pytest.approx(float(penalty.detach()), rel=1e-4)
    assert look.loss == pytest.approx(float(loss.detach()), rel=1e-6)


def test_gradients_for_another_optimizer_count_neither_as_left_over_nor_as_a_pass():
    torch.manual_seed(0)
    maker, judge, loss_fn = nn.Linear(2, 1), nn.Linear(1, 1), nn.BCEWithLogitsLoss()
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in (judge, maker)]
    yes, no = torch.ones(8, 1), torch.zeros(8, 1)
    watches = [
        thalweg.watch(model, optimizer, loss_fn, quiet=True)
        for model, optimizer in zip((judge, maker), optimizers, strict=True)
    ]
    for _ in range(6):
        noise, real = torch.randn(8, 2), torch.randn(8, 1)
        optimizers[0].zero_grad()
        (loss_fn(judge(real), yes) + loss_fn(judge(maker(noise).detach()), no)).backward()
        optimizers[0].step()
        optimizers[1].zero_grad()
        loss_fn(judge(maker(noise)), yes).backward()
        optimizers[1].step()
    for watch in watches:
        watch.close()
        assert not watch.training.faults
        assert {(look.backwards, look.stale_gradient) for look in watch.training.looks} == {(1, 0.0)}


def test_parameters_that_another_optimizer_changes_have_moved(batch):
    x, y = batch
    model, loss_fn = mlp(), nn.CrossEntropyLoss()
    first, last = (torch.optim.SGD(layer.parameters(), lr=0.1) for layer in (model[0], model[2]))
    with thalweg.watch(model, last, loss_fn, quiet=True) as handle:
        for _ in range(3):
            model.zero_grad()
            loss_fn(model(x), y).backward()
            first.step()
            last.step()
    look = handle.training.looks[-1]
    assert look.missing == ("0.weight", "0.bias")
    assert all(parameter.distance > 0 for parameter in look.parameters)
    assert "optimizer-parameters" not in {finding.code for finding in handle.diagnose().findings}


class Several(nn.Module):
    """A model that returns more than the output that the loss takes."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.below, self.above, self.other = nn.Linear(5, 16), nn.Linear(16, 1), nn.Linear(5, 1)
        self.form = form

    def forward(self, x: Any) -> Any:
        hidden = torch.relu(self.below(x))
        output = self.above(hidden)
        return {
            "one": output,
            "first": (output, hidden),
            "second": (hidden, output),
            "beside another": (self.other(x), output),
            "dict": {"features": hidden, "output": output},
        }[self.form]

    def output(self, returned: Any) -> Any:
        key = {"first": 0, "second": 1, "beside another": 1, "dict": "output"}.get(self.form)
        return returned if key is None else returned[key]


@pytest.mark.filterwarnings("error:Using a target size")
@pytest.mark.parametrize("loss_fn", [nn.MSELoss(), F.mse_loss], ids=["module", "function"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("form", ["one", "first", "second", "beside another", "dict"])
def test_the_output_that_the_loss_takes_is_scored_in_its_shape(form, compiled, loss_fn):
    torch.manual_seed(0)
    x = torch.randn(96, 5)
    y = x[:, 0] - x[:, 1]
    model = Several(form)
    called = torch.compile(model, backend="eager") if compiled else model
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    with thalweg.watch(called, optimizer, loss_fn, quiet=True) as handle:
        for _ in range(3):
            for rows in torch.arange(96).split(32):
                optimizer.zero_grad()
                loss = loss_fn(model.output(called(x[rows])).squeeze(1), y[rows])
                loss.backward()
                optimizer.step()
                handle.step(x[rows], y[rows], loss)
            handle.epoch(validation=(x, y))
        handle.diagnose()
    epoch, look = handle.training.epochs[-1], handle.training.looks[0]
    with torch.no_grad():
        errors = model.output(model(x)).squeeze(1) - y
    assert epoch.validation.loss == pytest.approx(float(errors.square().mean()), rel=1e-4)
    assert epoch.validation.score == pytest.approx(1 - float(errors.square().mean() / y.var(correction=0)), rel=1e-4)
    assert not look.loss_input.broadcast
    assert look.loss_input.output_shape in ((32,), (32, 1))
    assert look.curvature == look.curvature
    assert handle.training.remarks == ()


class Dropping(nn.Module):
    """Dropout as a function, which is never switched off."""

    def __init__(self, always: bool) -> None:
        super().__init__()
        self.always = always
        self.below, self.above = nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.above(F.dropout(self.below(x), 0.5, training=self.training or self.always))


@pytest.mark.parametrize(("always", "chance"), [(True, "above"), (False, "")])
def test_chance_in_evaluation_mode_is_no_mixture_of_rows(always, chance, batch):
    x, y = batch
    model, loss_fn = Dropping(always), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer, loss_fn, quiet=True) as handle:
        loss_fn(model(x), y).backward()
        optimizer.step()
        handle.diagnose()
    assert (handle.training.chance, handle.training.mixing) == (chance, "")


def test_the_effective_rank_is_that_of_the_eigenvalues(batch):
    x, y = batch
    model = mlp()
    outputs = model[0](x).detach().double()
    values = torch.linalg.eigvalsh(torch.cov(outputs.T))
    look = looked_at(model, x, y, nn.CrossEntropyLoss())[0]
    assert look.places[0].rank == pytest.approx(float(values.sum() ** 2 / values.square().sum()), rel=1e-5)


def test_a_step_that_changes_two_rows_of_a_large_embedding_moves_it():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5000, 64), nn.Flatten(), nn.Linear(64, 2))
    x, y = torch.tensor([[17], [4321]]), torch.tensor([0, 1])
    before = model[0].weight.detach().clone()
    look = looked_at(model, x, y, nn.CrossEntropyLoss(), rate=0.5)[0]
    embedding = {p.name: p for p in look.parameters}["0.weight"]
    assert embedding.moved
    assert embedding.update == pytest.approx(rms(model[0].weight - before), rel=0.3)


def test_a_model_that_changes_its_precision_between_looks_is_still_read(batch):
    x, y = batch
    model, loss_fn = mlp(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer, loss_fn, quiet=True) as handle:
        for step in range(4):
            if step == 2:
                model.double()
            optimizer.zero_grad()
            loss_fn(model(x.to(model[0].weight.dtype)), y).backward()
            optimizer.step()
    assert not handle.training.faults
    assert all(p.update > 0 and p.distance > 0 for look in handle.training.looks[1:] for p in look.parameters)
