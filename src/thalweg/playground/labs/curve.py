"""The curves of a live training, as its page gets them."""

from __future__ import annotations

_MOST_CURVE = 2000


class Curve:
    """The points of the curves so far, thinned to at most 2,000, and those that the page does not have yet."""

    def __init__(self) -> None:
        self.points: list[list[float]] = []
        self.unsent: list[list[float]] = []

    def add(self, point: list[float]) -> None:
        """Take the next point."""
        self.points.append(point)
        self.unsent.append(point)
        if len(self.points) > _MOST_CURVE:
            self.points = self.points[::2]
            self.unsent = self.unsent[-_MOST_CURVE:]

    def cut(self, epoch: float) -> None:
        """Forget the points after an epoch: the training takes another way from there."""
        self.points = [point for point in self.points if point[0] <= epoch]

    def take(self, everything: bool) -> list[list[float]]:
        """The points to send now."""
        points, self.unsent = (self.points if everything else self.unsent), []
        return points
