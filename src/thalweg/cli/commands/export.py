"""`thalweg export`: write a trained network as a file that works without Thalweg."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import Quiet, RunFolder
from ..registry import command


@command(position=35)
def export(
    run: RunFolder,
    onnx: Annotated[Path | None, typer.Option("--onnx", help="Write a graph of ONNX to this file.")] = None,
    torch: Annotated[
        Path | None,
        typer.Option("--torch", help="Write a module of PyTorch to this .py file, and its weights beside it."),
    ] = None,
    python: Annotated[
        Path | None, typer.Option("--python", help="Write Python that needs NumPy alone to this .py file.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a network as ONNX, PyTorch or Python.

    The files have the preprocessing inside, and work without Thalweg.

    \b
    thalweg export runs/flowers --onnx flowers.onnx
    thalweg export runs/flowers --python flowers.py --torch flowers_torch.py
    """
    from ...core.errors import InputError
    from ...core.progress import print_line, working
    from ...runs.load import load

    if onnx is torch is python is None:
        raise InputError("export", "expected a file to write; add --onnx FILE, --torch FILE or --python FILE")
    trained = load(run)
    with working(quiet) as watch:
        files = trained.export(onnx=onnx, torch=torch, python=python, watch=watch)
    for file in files:
        if not quiet:
            print_line(f"{file.path}: {file.rows} rows differ from the run by at most {file.difference:.2g}")
        print(file.path)
