"""The handle: bad input, faults inside of a look, processes, what it imports, what it tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="LEFT OUT: watching PyTorch; make torch installs it")
nn = torch.nn

import thalweg  # noqa: E402
from thalweg import InputError  # noqa: E402
from thalweg.watching.looks import evaluation, follower, measure_step, recorder  # noqa: E402

SOURCE = str(Path(thalweg.__file__).parents[1])


def parts() -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    return model, torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()


def step(model: Any, optimizer: Any, loss_fn: Any, rows: int = 6) -> Any:
    optimizer.zero_grad()
    loss = loss_fn(model(torch.ones(rows, 3)), torch.arange(rows) % 2)
    loss.backward()
    optimizer.step()
    return loss


class Empty(nn.Module):
    def forward(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda m, o, f: (Empty(), o, f), "no parameters"),
        (lambda m, o, f: (nn.Linear(2, 2, device="meta"), o, f), "meta"),
        (lambda m, o, f: ("model", o, f), "torch.nn.Module"),
        (lambda m, o, f: (m, m.parameters(), f), "torch.optim.Optimizer"),
        (lambda m, o, f: (m, o, 0.5), "loss_fn"),
        (lambda m, o, f: (m, o, nn.MSELoss), "MSELoss()"),
        (lambda m, o, f: (nn.LazyLinear(2), o, f), "lazy"),
    ],
)
def test_what_cannot_be_watched_is_one_clear_error(change, word):
    with pytest.raises(InputError, match=word):
        thalweg.watch(*change(*parts()))


@pytest.mark.parametrize("validation", [(torch.ones(4, 9), torch.zeros(4).long()), (torch.ones(0, 3), torch.zeros(0))])
def test_validation_rows_that_the_model_does_not_take_are_told_once(validation, capsys):
    given = parts()
    with thalweg.watch(*given) as watch:
        for _ in range(3):
            step(*given)
            watch.epoch(validation=validation)
    assert watch.training.faults == ()
    assert len(watch.training.epochs) == 3
    assert capsys.readouterr().err.count("watch.epoch: validation") == 1


def test_a_watch_that_switched_itself_off_says_so_in_its_diagnosis():
    class Full:
        def add_look(self, look):
            raise OSError("disk full")

        def close(self):
            pass

    given = parts()
    with thalweg.watch(*given, writers=[Full()], quiet=True) as watch:
        for _ in range(4):
            step(*given)
    diagnosis = watch.diagnose()
    assert any("disk full" in remark for remark in diagnosis.remarks)
    assert "disk full" in json.dumps(diagnosis.describe())
    assert watch.page().text().count("disk full") == 1


def test_an_attribute_of_a_model_that_cannot_be_read_is_left_alone():
    class Closed(dict):
        def values(self):
            raise OSError("closed file")

    model, optimizer, loss_fn = parts()
    model.store = Closed(a=1)
    with thalweg.watch(model, optimizer, loss_fn, quiet=True) as watch:
        step(model, optimizer, loss_fn)
    assert watch.training.steps == 1
    assert watch.training.faults == ()


def test_a_report_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with thalweg.watch(*parts(), quiet=True) as watch, pytest.raises(InputError, match="written"):
        watch.report(tmp_path / "file" / "health.html")


def test_a_model_has_one_watch_at_a_time():
    given = parts()
    first = thalweg.watch(*given)
    with pytest.raises(InputError, match="already"):
        thalweg.watch(*given)
    first.close()
    first.close()
    thalweg.watch(*given).close()


def test_a_closed_watch_takes_no_steps_and_can_be_diagnosed():
    given = parts()
    with thalweg.watch(*given, quiet=True) as watch:
        step(*given)
    with pytest.raises(InputError, match="closed"):
        watch.step(None, None, None)
    with pytest.raises(InputError, match="closed"):
        watch.epoch()
    assert watch.diagnose().describe()
    assert "<p>" in watch._repr_html_()


def test_wrong_words_about_a_step_are_told_once_and_end_nothing(capsys):
    given = parts()
    with thalweg.watch(*given) as watch:
        for _ in range(3):
            step(*given)
            watch.step(torch.ones(6, 3), torch.zeros(6), torch.ones(6))
            watch.epoch(validation=(torch.ones(9, 3),))
    assert len(watch.training.looks) == 3
    lines = capsys.readouterr().err.splitlines()
    assert sum("watch.step" in line for line in lines) == 1
    assert sum("watch.epoch" in line for line in lines) == 1


def test_inputs_need_not_be_floating():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss_fn = nn.CrossEntropyLoss()
    with thalweg.watch(model, optimizer, loss_fn, quiet=True) as watch:
        loss_fn(model(torch.tensor([[0, 1], [2, 3]])), torch.tensor([0, 1])).backward()
        optimizer.step()
        watch.epoch(validation=(torch.tensor([[4, 1]]), torch.tensor([1])))
    assert not watch.training.faults
    assert watch.training.looks[0].batch.type == "int64"
    assert {place.role for place in watch.training.looks[0].places} >= {"embedding", "dense"}


@pytest.mark.parametrize(
    "target",
    [
        (recorder.Recorder, "begin_forward"),
        (recorder.Recorder, "_add"),
        (recorder.Recorder, "_end_forward"),
        (recorder.Recorder, "add_loss"),
        (recorder.Recorder, "_begin_backward"),
        (measure_step.StepMeasurement, "before_step"),
        (measure_step.StepMeasurement, "after_step"),
        (measure_step.StepMeasurement, "at_next_step"),
        (measure_step.StepMeasurement, "look"),
        (follower.Follower, "_on_step_end"),
        (evaluation, "scores"),
    ],
    ids=lambda target: target[1],
)
def test_a_fault_inside_of_a_look_switches_the_watch_off(target, monkeypatch, capsys):
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("\x1b[31mbroken\x1b[0m")

    bare = parts()
    for _ in range(4):
        step(*bare)
    monkeypatch.setattr(*target, broken)
    given = parts()
    watch = thalweg.watch(*given)
    for _ in range(4):
        step(*given)
    watch.epoch(validation=(torch.ones(6, 3), torch.arange(6) % 2))
    assert len(watch.training.faults) == 1
    told = capsys.readouterr().err
    assert told.count("switched itself off") == 1
    assert "\x1b" not in told
    watch.close()
    model = given[0]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())
    assert all(map(torch.equal, model.state_dict().values(), bare[0].state_dict().values()))


def run(program: str, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


WATCHED = """
import sys, torch, thalweg
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
optimizer, loss_fn = torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
x = torch.randn(200, 3)
with thalweg.watch(model, optimizer, loss_fn, quiet=True) as watch:
    for _ in range(5):
        optimizer.zero_grad()
        loss_fn(model(x), (x[:, 0] * x[:, 1] > 0).long()).backward()
        optimizer.step()
    watch.epoch(validation=(x, (x[:, 0] * x[:, 1] > 0).long()))
watch.diagnose()
assert not watch.training.faults, watch.training.faults
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_watching_and_diagnosing_import_nothing_heavy():
    loaded = run(WATCHED).split()
    assert not {"jax", "jaxlib", "sklearn", "plotly", "polars", "pandas", "matplotlib", "scipy"} & {*loaded}
    assert "torch" in loaded


def test_without_pytorch_the_extra_is_named():
    program = """
import sys
class WithoutTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, WithoutTorch())
from thalweg import *
from thalweg.watching import *
for function in (watch, Watch, KerasCallback):
    try:
        function()
    except InputError as error:
        print(error)
"""
    assert run(program).count("thalweg[torch]") == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_is_not_watched(tmp_path):
    program = """
import os, sys, torch, thalweg
from torch import nn
model = nn.Linear(2, 1)
optimizer, loss_fn = torch.optim.SGD(model.parameters(), lr=0.1), nn.MSELoss()
watch = thalweg.watch(model, optimizer, loss_fn, folder=sys.argv[1], quiet=True)
def step():
    loss_fn(model(torch.ones(4, 2)), torch.zeros(4, 1)).backward()
    optimizer.step()
step()
child = os.fork()
if not child:
    step(); step()
    os._exit(0 if watch.training.steps <= 1 else 1)
_, status = os.waitpid(child, 0)
step()
watch.close()
print(status, watch.training.steps, len(watch.training.looks), watch.training.faults)
"""
    assert run(program, str(tmp_path / "watched")).split() == ["0", "2", "2", "()"]
    assert len((tmp_path / "watched" / "looks.jsonl").read_text().splitlines()) == 2


def test_data_loaders_with_workers_are_unharmed():
    program = """
import torch, thalweg
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
model = nn.Linear(2, 1)
optimizer, loss_fn = torch.optim.SGD(model.parameters(), lr=0.1), nn.MSELoss()
loader = DataLoader(TensorDataset(torch.randn(32, 2), torch.randn(32, 1)), batch_size=8, num_workers=2)
with thalweg.watch(model, optimizer, loss_fn, quiet=True) as watch:
    for x, y in loader:
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
print(watch.training.steps, watch.training.faults)
"""
    assert run(program).split() == ["4", "()"]


@pytest.mark.slow
def test_two_processes_of_a_distributed_training(tmp_path):
    program = """
import sys, torch, thalweg
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

def work(rank, path, watched):
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)))
    optimizer, loss_fn = torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    watch = thalweg.watch(model, optimizer, loss_fn, quiet=True) if watched and rank == 0 else None
    generator = torch.Generator().manual_seed(rank)
    for _ in range(8):
        x = torch.randn(6, 3, generator=generator)
        optimizer.zero_grad()
        loss_fn(model(x), (x[:, 0] > 0).long()).backward()
        optimizer.step()
    if watch:
        watch.epoch(validation=(x, (x[:, 0] > 0).long()))
        watch.close()
        assert not watch.training.faults, watch.training.faults
        assert [place.place for place in watch.training.looks[0].places] == ["0", "1", "2", "3"]
    if rank == 0:
        torch.save(model.module.state_dict(), f"{path}-{watched}.pt")
    dist.destroy_process_group()

if __name__ == "__main__":
    for watched in (False, True):
        mp.start_processes(work, (f"{sys.argv[1]}-{watched}", watched), 2, start_method="fork")
    states = [torch.load(f"{sys.argv[1]}-{w}-{w}.pt") for w in (False, True)]
    print(all(torch.equal(states[0][name], states[1][name]) for name in states[0]))
"""
    assert run(program, str(tmp_path / "store")).split() == ["True"]


def test_severe_findings_are_told_once_while_it_trains(capsys):
    model, _, loss_fn = parts()
    with thalweg.watch(model, torch.optim.SGD(nn.Linear(3, 4).parameters(), lr=0.1), loss_fn) as watch:
        for _ in range(6):
            step(model, watch.optimizer, loss_fn)
        watch.epoch()
    told = capsys.readouterr().err
    assert told.count("optimizer-parameters") == 1
    assert watch.diagnose().causes[0].finding.code == "optimizer-parameters"


def test_a_notebook_has_one_card_that_changes(monkeypatch):
    class Shown:
        def __init__(self) -> None:
            self.pages: list[str] = []
            self.displays = 0
            self.kernel = self

        def HTML(self, text: str) -> str:  # noqa: N802
            return text

        def display(self, shown: str, display_id: bool) -> Shown:
            self.displays += 1
            self.pages.append(shown)
            return self

        def update(self, shown: str) -> None:
            self.pages.append(shown)

        def get_ipython(self) -> object:
            return self

    shown = Shown()
    for name in ("IPython", "IPython.display"):
        monkeypatch.setitem(sys.modules, name, shown)
    given = parts()
    with thalweg.watch(*given, quiet=True):
        for _ in range(5):
            step(*given)
    assert shown.displays == 1
    assert len(shown.pages) == 5
