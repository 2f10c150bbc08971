"""The command that lets optimizers race over a landscape."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .shared import Json, Quiet, SheetFile, SheetForm, hand_over, print_json


def arena(
    landscape: Annotated[
        str | None, typer.Argument(help="A landscape by name, also with options: 'rosenbrock 10'.", show_default=False)
    ] = None,
    formula: Annotated[
        str | None, typer.Option("--formula", help="A landscape of your own: a formula of x and y.")
    ] = None,
    reach: Annotated[
        float | None, typer.Option("--reach", help="A formula's picture goes from -reach to reach [default: 5].")
    ] = None,
    optimizers: Annotated[
        str, typer.Option("--optimizers", help="Who races, with commas; options as in 'sgd 0.1'.")
    ] = "sgd,momentum,adam",
    starts: Annotated[int, typer.Option("--starts", help="Places to start from.")] = 200,
    steps: Annotated[int, typer.Option("--steps", help="Steps of each walk.")] = 1000,
    budget: Annotated[int, typer.Option("--budget", help="Trials by which each optimizer is tuned.")] = 30,
    noise: Annotated[
        float | None, typer.Option("--noise", help="Standard deviation of noise on the gradient.", show_default=False)
    ] = None,
    distance: Annotated[
        float | None,
        typer.Option(
            "--distance",
            help="Height above the minimum that counts as arrived [default: a thousandth of the starts' median].",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides starts, trials and noise.")] = 0,
    out: SheetFile = None,
    form: SheetForm = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Let optimizers race from many starts, each tuned with the same budget; without a landscape list them.

    \b
    thalweg arena
    thalweg arena quadratic --optimizers sgd,momentum,nesterov
    thalweg arena rosenbrock --noise 1 --out race.html
    thalweg arena --formula "x^2 + 10*y^2 + sin(3*x)" --reach 4
    """
    from ..core.errors import InputError
    from ..core.progress import working
    from ..insight.optimizer_race import arena as race
    from ..pages.page import form_of

    if landscape is None and formula is None:
        if out or form:
            raise InputError("arena", "expected a landscape, or --formula; `thalweg arena` lists the landscapes")
        _list_landscapes(json)
        return
    wanted = form_of(out, "json" if json else form)
    ground = _ground(landscape, formula, reach)
    rules = [name for name in optimizers.split(",") if name.strip()]
    with working(quiet) as watch:
        found = race(ground, rules, starts, steps, budget, seed, noise, distance, watch=watch)
        sheet = found.page()
    hand_over(sheet, wanted, out)


def _ground(landscape: str | None, formula: str | None, reach: float | None) -> Any:
    """The landscape that was named, or the one of the formula."""
    from ..core.errors import InputError
    from ..insight.test_functions import Formula, Landscape

    if landscape is not None and formula is not None:
        raise InputError("arena", f"expected a landscape or --formula, received both: {landscape!r} and {formula!r}")
    if formula is not None:
        return Formula(formula) if reach is None else Formula(formula, reach)
    if reach is not None:
        raise InputError("--reach", "is the size of a formula's picture; every other landscape has its own")
    if landscape is not None and landscape.split()[:1] == [Formula.kind]:
        raise InputError("arena", "expected the formula itself: thalweg arena --formula 'x^2 + 10*y^2'")
    return Landscape.of(landscape)


def _list_landscapes(json: bool) -> None:
    from ..insight.test_functions import Formula, Landscape

    kinds = {name: kind for name, kind in Landscape.kinds.items() if issubclass(kind, Landscape)}
    named = {name: kind.about for name, kind in kinds.items() if kind is not Formula}
    if json:
        print_json([{"name": name, "about": about} for name, about in named.items()])
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Landscapes: thalweg arena NAME", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True)
    table.add_column("what it asks of an optimizer")
    for name, about in named.items():
        table.add_row(name, about)
    table.add_row("--formula TEXT", Formula.about)
    Console().print(table)
