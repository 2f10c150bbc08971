"""Sources of points in a plane, which the page offers as small pictures."""

from __future__ import annotations

import numpy as np

from ...core.files import JsonObject
from ...data import Source
from ...data.toy import DrawnSource

_POINTS = 80
_SEED = 1


def plane_sources() -> list[JsonObject]:
    """All drawn sources of two inputs: kind, task, number of outputs, and a few of their points.

    >>> [(source["kind"], source["outputs"]) for source in plane_sources() if source["kind"] in ("rings", "plane")]
    [('plane', 1), ('rings', 2)]
    """
    found: list[JsonObject] = []
    for kind, cls in sorted(Source.kinds.items()):
        if not issubclass(cls, DrawnSource):
            continue
        samples = cls.of({"kind": kind, "samples": _POINTS}).load(_SEED)
        if samples.x.shape[1] != 2:
            continue
        names = samples.target_names
        found.append(
            {
                "kind": kind,
                "task": samples.task,
                "outputs": len(names) if names and samples.task != "regression" else 1,
                "preview": {
                    "x": np.round(np.asarray(samples.x), 3).tolist(),
                    "y": np.round(np.asarray(samples.y), 3).tolist(),
                },
            }
        )
    return found
