"""The spec or the run that the arguments of a command describe."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..spec.spec import Spec


@dataclass(frozen=True)
class GivenSource:
    """The arguments of a command that describe a spec or a run."""

    command: str
    """Name of the command, for messages."""
    argument: str | None
    """A TOML file, the name of an example or of a data source, or a run folder."""
    data: str | None
    """Value of the option --data."""
    changes: list[tuple[str, object]]
    """Places of the spec with the values that options give them."""
    settings: list[str]
    """Values of the option --set."""

    @property
    def name(self) -> str:
        """A short name for what the command makes."""
        return Path(self.argument or self.data or "run").stem

    @property
    def run_folder(self) -> str | None:
        """The argument, if it is a run folder."""
        is_run = self.argument is not None and os.path.isfile(os.path.join(self.argument, "spec.toml"))
        return self.argument if is_run else None

    @property
    def watch_folder(self) -> str | None:
        """The argument, if it is a folder of `thalweg.watch`."""
        is_watch = self.argument is not None and os.path.isfile(os.path.join(self.argument, "watch.json"))
        return self.argument if is_watch else None

    @property
    def recipe_file(self) -> str | None:
        """The argument, if it is a Python file."""
        return self.argument if self.argument is not None and self.argument.endswith(".py") else None

    def spec(self) -> Spec:
        """The spec with all changes and settings.

        Raises:
            InputError: no spec and no data are given, the file cannot be read, or a change does not fit.
        """
        return self._read(self.argument)

    def spec_or_spec_of_run(self) -> Spec:
        """The spec with all changes and settings; of a run folder, the spec of the run."""
        return self._read(f"{self.run_folder}/spec.toml" if self.run_folder else self.argument)

    def spec_or_run(self) -> Spec | str:
        """The spec with all changes and settings, or a run folder.

        Raises:
            InputError: as for `spec`, or a run folder is given together with changes or settings.
        """
        from ..core.errors import InputError

        if self.run_folder is None:
            return self.spec()
        if self.changes or self.settings:
            message = f"a finished run cannot be changed, so it takes no --set and no data options: {self.run_folder}"
            raise InputError(self.command, message)
        return self.run_folder

    def _read(self, argument: str | None) -> Spec:
        from ..core.errors import InputError
        from ..spec.edit import assign, set_value
        from ..spec.toml import read_spec_table, spec_of

        if argument is None and self.data is None:
            raise InputError(
                self.command,
                f"expected a spec, or --data FILE --target COLUMN; to begin with, try `thalweg {self.command} digits`",
            )
        table = read_spec_table(argument) if argument else {}
        for path, value in self.changes:
            set_value(table, path, value)
        for assignment in self.settings:
            assign(table, assignment)
        return spec_of(table, argument or self.command)


def source_of(
    command: str,
    argument: str | None,
    *,
    settings: list[str] | None = None,
    data: str | None = None,
    target: str | None = None,
    data_dir: Path | None = None,
    epochs: str | None = None,
    seed: int | None = None,
    engine: str | None = None,
    device: str | None = None,
    devices: int | None = None,
) -> GivenSource:
    """The source that a command's argument and options describe; an option that is None changes nothing."""
    options: dict[str, object] = {
        "data.source": str(Path(data).resolve()) if data and os.path.exists(data) else data,
        "data.target": target,
        "data.source.folder": str(data_dir.resolve()) if data_dir else None,
        "training.seed": seed,
        "training.engine": engine,
        "training.device": device,
        "training.devices": devices,
    }
    changes = [(place, value) for place, value in options.items() if value is not None]
    # A number or a word, read as --set reads it.
    length = [f"training.epochs={epochs}"] if epochs is not None else []
    return GivenSource(command, argument, data, changes, [*length, *(settings or [])])
