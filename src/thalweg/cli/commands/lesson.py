"""`thalweg lesson`: compute a lesson on the engine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..options import Json, PageFile, PageForm, Quiet
from ..output import print_catalogue, write_page
from ..registry import command


@command(position=130)
def lesson(
    name: Annotated[str | None, typer.Argument(help="The name of a lesson.", show_default=False)] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Set a parameter of the lesson: name=value. May be repeated.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The short form, which takes seconds.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Write all lessons into the folder --out, linked.")] = False,
    out: PageFile = None,
    form: PageForm = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compute a lesson on the engine. Without a name, list all lessons.

    \b
    thalweg lesson
    thalweg lesson gradient-step --set learning_rate=0.3
    thalweg lesson vanishing --quick --out vanishing.html
    thalweg lesson --all --out site
    """
    from ...core.progress import working
    from ...learn import catalogue
    from ...pages.page import form_of

    if every:
        folder = _site_folder(name, settings, out, form, json)
        _write_site(folder, quick, quiet)
        return
    if name is None:
        _list_lessons(settings, out, form, json)
        return
    form = form_of(out, "json" if json else form)
    chosen = catalogue.lesson(name, catalogue.settings_of(settings or []), quick)
    with working(quiet) as watch:
        page = chosen.page(watch)
    write_page(page, form, out)


def _site_folder(name: str | None, settings: list[str] | None, out: Path | None, form: str | None, json: bool) -> Path:
    """The folder for all lessons. Raises InputError for options that do not go together with --all."""
    from ...core.errors import InputError

    if name is not None or settings:
        raise InputError("--all", "writes all lessons with their defaults, so it takes no name and no --set")
    if json or form not in (None, "html"):
        raise InputError("--all", "writes HTML, so it takes no other --format")
    if out is None:
        raise InputError("--all", "expected the folder to write into: thalweg lesson --all --out site")
    if out.exists() and not out.is_dir():
        raise InputError("--out", f"expected a folder with --all, received the file {out}")
    return out


def _write_site(folder: Path, quick: bool, quiet: bool) -> None:
    from ...core.files import commit
    from ...core.progress import working
    from ...learn.catalogue import INDEX, site

    left_out: dict[str, list[str]] = {}
    with working(quiet) as watch:
        for file in site(quick, watch):
            commit(folder / file.name, file.text.encode())
            if file.left_out:
                left_out.setdefault(file.left_out, []).append(file.name.removesuffix(".html"))
    for reason, names in left_out.items():
        print(f"thalweg: left out ({', '.join(names)}): {reason}", file=sys.stderr)
    print(folder / INDEX)


def _list_lessons(settings: list[str] | None, out: Path | None, form: str | None, json: bool) -> None:
    from ...core.errors import InputError
    from ...learn.catalogue import chapters

    if settings or out or form:
        raise InputError("lesson", "expected the name of a lesson; `thalweg lesson` lists them")
    print_catalogue("Lessons: thalweg lesson NAME", "subject", chapters(), json)
