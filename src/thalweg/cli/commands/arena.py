"""`thalweg arena`: let optimizers race over a landscape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..options import ImageForm, Images, Json, PageFile, PageForm, Quiet
from ..output import images_to, print_json, write_page
from ..registry import command

if TYPE_CHECKING:
    from ...insight.test_functions import Landscape

Noise = Annotated[
    float | None,
    typer.Option("--noise", help="Standard deviation of the noise on the gradient.", show_default=False),
]
Distance = Annotated[
    float | None,
    typer.Option(
        "--distance",
        help="Height above the minimum that counts as arrived"
        " [default: a thousandth of the median height of the starting points].",
    ),
]


@command(position=120)
def arena(
    landscape: Annotated[
        str | None,
        typer.Argument(help="The name of a landscape, with options if any: 'rosenbrock 10'.", show_default=False),
    ] = None,
    formula: Annotated[str | None, typer.Option("--formula", help="Your own landscape: a formula of x and y.")] = None,
    reach: Annotated[
        float | None,
        typer.Option("--reach", help="With --formula: the picture shows -reach to reach [default: 5]."),
    ] = None,
    optimizers: Annotated[
        str, typer.Option("--optimizers", help="Optimizers, separated by commas; options as in 'sgd 0.1'.")
    ] = "sgd,momentum,adam",
    starts: Annotated[int, typer.Option("--starts", help="Number of starting points.")] = 200,
    steps: Annotated[int, typer.Option("--steps", help="Steps from each starting point.")] = 1000,
    budget: Annotated[int, typer.Option("--budget", help="Number of trials to tune each optimizer.")] = 30,
    repeats: Annotated[
        int, typer.Option("--repeats", help="How often each optimizer is tuned, with other trials and starting points.")
    ] = 5,
    noise: Noise = None,
    distance: Distance = None,
    seed: Annotated[int, typer.Option("--seed", help="Random seed of starting points, trials and noise.")] = 0,
    out: PageFile = None,
    form: PageForm = None,
    images: Images = None,
    image_format: ImageForm = "png",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Let optimizers race over a landscape.

    All optimizers start from the same points, and each is tuned with the same budget, several times over: the page
    shows how the result depends on the budget. Without a landscape, list the landscapes.

    \b
    thalweg arena
    thalweg arena quadratic --optimizers sgd,momentum,nesterov
    thalweg arena rosenbrock --noise 1 --out race.html
    thalweg arena --formula "x^2 + 10*y^2 + sin(3*x)" --reach 4
    """
    from ...core.errors import InputError
    from ...core.progress import working
    from ...insight import optimizer_race
    from ...pages.page import form_of

    if landscape is None and formula is None:
        if out or form:
            raise InputError("arena", "expected a landscape, or --formula; `thalweg arena` lists the landscapes")
        _list_landscapes(json)
        return
    form = form_of(out, "json" if json else form)
    draw = images_to(images, image_format, quiet)
    chosen = _landscape_of(landscape, formula, reach)
    names = [name for name in optimizers.split(",") if name.strip()]
    with working(quiet) as watch:
        race = optimizer_race.arena(chosen, names, starts, steps, budget, repeats, seed, noise, distance, watch=watch)
        page = race.page()
    write_page(page, form, out)
    draw(page.figures())


def _landscape_of(name: str | None, formula: str | None, reach: float | None) -> Landscape:
    """The landscape of a name, or of a formula."""
    from ...core.errors import InputError
    from ...insight.test_functions import CustomLandscape, Landscape

    if name is not None and formula is not None:
        raise InputError("arena", f"expected a landscape or --formula, received both: {name!r} and {formula!r}")
    if formula is not None:
        return CustomLandscape(formula) if reach is None else CustomLandscape(formula, reach)
    if reach is not None:
        raise InputError("--reach", "can only be used together with --formula; other landscapes have a fixed size")
    if name is not None and name.split()[:1] == [CustomLandscape.kind]:
        raise InputError("arena", "expected the formula itself: thalweg arena --formula 'x^2 + 10*y^2'")
    return Landscape.of(name)


def _list_landscapes(json: bool) -> None:
    from ...insight.test_functions import CustomLandscape, Landscape

    kinds = {name: kind for name, kind in Landscape.kinds.items() if issubclass(kind, Landscape)}
    named = {name: kind.about for name, kind in kinds.items() if kind is not CustomLandscape}
    if json:
        print_json([{"name": name, "about": about} for name, about in named.items()])
        return
    from rich.table import Table

    from ...core.console import console

    table = Table(title="Landscapes: thalweg arena NAME", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True)
    table.add_column("what it tests in an optimizer")
    for name, about in named.items():
        table.add_row(name, about)
    table.add_row("--formula TEXT", CustomLandscape.about)
    console().print(table)
