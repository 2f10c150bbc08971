"""`thalweg lr-range`: find a learning rate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import (
    DataDir,
    DataFile,
    DeviceName,
    EngineName,
    ImageForm,
    Images,
    Json,
    Quiet,
    Seed,
    Settings,
    SpecName,
    Target,
)
from ..output import images_to, print_json
from ..registry import command
from ..source import source_of

CurvePage = Annotated[
    Path | None, typer.Option("--out", help="The page with the curve [default: runs/NAME-lr-range-TIME.html].")
]


@command(position=20)
def lr_range(
    spec: SpecName = None,
    low: Annotated[float, typer.Option("--low", help="The rate at the start of a sweep.")] = 1e-6,
    high: Annotated[float, typer.Option("--high", help="The rate at the end of a sweep.")] = 10.0,
    steps: Annotated[int, typer.Option("--steps", help="Updates in a sweep.")] = 200,
    sweeps: Annotated[
        int, typer.Option("--sweeps", help="Number of sweeps, each with new weights and a new order of rows.")
    ] = 3,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    seed: Seed = None,
    engine: EngineName = None,
    device: DeviceName = None,
    out: CurvePage = None,
    images: Images = None,
    image_format: ImageForm = "png",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find a learning rate.

    Short trainings with a rising rate show where the loss falls and where it blows up.

    \b
    thalweg lr-range digits
    thalweg lr-range examples/rings.toml --low 1e-4 --steps 400
    """
    from ...core.files import commit
    from ...insight.lr_range import range_test
    from ...runs.run_folder import new_folder

    draw = images_to(images, image_format, quiet)
    source = source_of(
        "lr-range",
        spec,
        settings=settings,
        data=data,
        target=target,
        data_dir=data_dir,
        seed=seed,
        engine=engine,
        device=device,
    )
    result = range_test(source.spec(), low=low, high=high, steps=steps, sweeps=sweeps, progress=not quiet)
    path = out or Path(f"{new_folder(f'{source.name}-lr-range')}.html")
    commit(path, result.report().encode())
    if json:
        fields = ("chosen", "reason", "remarks", "choices", "fell", "lowest", "blew_up")
        curves = {
            "rates": result.rates.tolist(),
            "smoothed": result.smoothed.tolist(),
            "losses": [losses.tolist() for losses in result.losses],
        }
        print_json({"page": str(path)} | {field: getattr(result, field) for field in fields} | curves)
    else:
        print("\n".join([result.outcome, result.reason, *result.remarks, f"curve: {path}"]))
    draw(result.page().figures())
