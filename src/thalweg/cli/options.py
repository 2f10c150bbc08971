"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SpecName = Annotated[
    str | None, typer.Argument(help="A TOML file, or the name of an example or of a data source.", show_default=False)
]
SpecOrRun = Annotated[
    str | None,
    typer.Argument(
        help="A TOML file, the name of an example or of a data source, or the folder of a run.", show_default=False
    ),
]
RunFolder = Annotated[Path, typer.Argument(help="The folder of a run.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Set a value of the spec: section.key=value. May be repeated.")
]
DataFile = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="A CSV, TSV, Parquet or .xlsx file, a folder of IDX files, or a folder with a subfolder of "
        "images (PNG, JPEG, GIF) for each class.",
    ),
]
Target = Annotated[str | None, typer.Option("--target", help="The column of the file to predict.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="The folder that holds the files of MNIST.")]
Epochs = Annotated[
    str | None,
    typer.Option("--epochs", metavar="N", help="Number of passes over the training rows; auto: as many as they need."),
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Random seed of the initial weights, the splits and the order of rows.")
]
EngineName = Annotated[
    str | None, typer.Option("--engine", help="compiled (XLA), eager (NumPy, float64), or auto: the faster.")
]
DeviceName = Annotated[str | None, typer.Option("--device", help="cpu or gpu.")]
Devices = Annotated[
    int | None, typer.Option("--devices", metavar="N", help="Number of devices that share the rows of each batch.")
]
PageFile = Annotated[
    Path | None, typer.Option("--out", help="Write to this file; its suffix sets the form: .html, .md, .json, .txt.")
]
PageForm = Annotated[str | None, typer.Option("--format", help="text, html, markdown or json.")]
Images = Annotated[Path | None, typer.Option("--images", help="Also write the charts as pictures to this folder.")]
ImageForm = Annotated[str, typer.Option("--image-format", help="Form of the pictures: png, svg or pdf.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
