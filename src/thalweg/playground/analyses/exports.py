"""What a page takes with it: the spec, a script, PyTorch code, the folder of a run."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from pprint import pformat

import numpy as np

from ...core.errors import InputError
from ...core.files import commit
from ...data import Split
from ...models.summary import network_in_words
from ...runs.run import Run
from ...spec.spec import Spec
from ...spec.toml import to_toml
from .path_probes import PathProbes
from .results import run_of_lab
from .snapshot import LabSnapshot

FORMS = {"toml": "spec.toml", "python": "train.py", "torch": "model.py", "run": "run.zip"}
"""The forms of an export, each with the name of its file."""
_MOST_WRITTEN = 20_000


def export(snapshot: LabSnapshot, rows: Split, probes: PathProbes, spec: Spec, form: str, folder: str) -> str:
    """Write an export into a folder, and give the path of its file.

    Args:
        snapshot: the training.
        rows: its rows.
        probes: measure its path, for the folder of a run.
        spec: its spec as it was given.
        form: one of `FORMS`.
        folder: where the file is written, under a new name.

    Raises:
        InputError: there is no such form, or the network has no such form.
    """
    if form not in FORMS:
        raise InputError("form", f"expected one of {', '.join(FORMS)}, received {form!r}")
    path = Path(tempfile.mkdtemp(dir=folder)) / FORMS[form]
    if form == "run":
        run = run_of_lab(snapshot, rows, probes, eager=False)
        run.save(path.parent / "run")
        return shutil.make_archive(str(path.with_suffix("")), "zip", path.parent, "run")
    text = (
        {"toml": to_toml, "python": _script}[form](spec)
        if form != "torch"
        else _torch(run_of_lab(snapshot, rows, eager=True))
    )
    commit(path, text.encode())
    return str(path)


def _script(spec: Spec) -> str:
    """A Python file that trains the spec."""
    return (
        '"""The training of the playground; needs thalweg."""\n\n'
        "from thalweg.runs.train import run_spec\nfrom thalweg.spec.spec import Spec\n\n"
        f"SPEC = {pformat(spec.describe(), width=100, sort_dicts=False)}\n\n"
        'if __name__ == "__main__":\n    run = run_spec(Spec.of(SPEC))\n    print(run.measures)\n'
    )


def _torch(run: Run) -> str:
    """A Python file with the trained network as nn.Sequential of PyTorch, and its weights as numbers.

    Raises InputError where a layer has no equal module, where PyTorch is missing, and for a network of many weights.
    """
    module = run.to_torch()
    state = {name: tensor.tolist() for name, tensor in module.state_dict().items()}
    size = sum(tensor.numel() for tensor in module.state_dict().values())
    if size > _MOST_WRITTEN:
        fix = 'export the run, and use `thalweg.load("run").to_torch()`'
        raise InputError(
            "form", f"expected at most {_MOST_WRITTEN:,} numbers to write, the network has {size:,}; {fix}"
        )
    layers = ",\n    ".join(f"nn.{layer!r}" for layer in module)
    if not all(type(layer).__module__.startswith("torch.nn.") for layer in module.modules()):
        raise InputError("form", 'a layer has no module of torch.nn itself; use `thalweg.load("run").to_torch()`')
    shift, span = (np.asarray(numbers).tolist() for numbers in (run.preprocessing.shift, run.preprocessing.span))
    weights = ",\n    ".join(f"{name!r}: torch.tensor({numbers!r})" for name, numbers in state.items())
    return (
        f'"""{network_in_words(run.network)}, as trained in the playground of Thalweg."""\n\n'
        "import torch\nfrom torch import nn\n\n"
        f"model = nn.Sequential(\n    {layers},\n)\n"
        f"model.load_state_dict({{\n    {weights},\n}})\nmodel.eval()\n\n"
        f"SHIFT = torch.tensor({shift!r})\nSPAN = torch.tensor({span!r})\n\n\n"
        "def predict(x):\n"
        '    """The outputs of the network for rows of inputs."""\n'
        "    with torch.no_grad():\n"
        "        return model((torch.as_tensor(x, dtype=torch.float32) - SHIFT) / SPAN)\n"
    )
