"""Progress of a load, from whatever thread works on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

Report = Callable[[str, float | None], None]
"""Told the stage in words and the fraction done of that stage (0 to 1; None where nobody can know)."""

_STEP = 0.01


class Bar:
    """Stands in for the progress bars of the libraries: shows nothing, tells `counted` how far it is.

    What else the libraries do with a bar (descriptions, colours, refreshing) has no effect.
    """

    def __init__(
        self,
        counted: Callable[[float, float | None], None],
        items: Iterable[Any] = (),
        *,
        total: float | None = None,
        **_options: Any,
    ) -> None:
        self._counted = counted
        self._items = items
        self.total = total or (len(items) if isinstance(items, Sized) else None)
        self.n = 0.0
        self.format_dict: dict[str, Any] = {}

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            yield item
            self.update(1)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return _ignore

    def update(self, n: float | None = 1) -> None:
        """Count `n` more items or bytes."""
        self.n += n or 0
        self._counted(self.n, self.total)


class Fraction:
    """Reports a stage's fraction each time it has grown by a hundredth."""

    def __init__(self, stage: str, report: Report) -> None:
        self._stage = stage
        self._report = report
        self._last = 0.0
        report(stage, 0.0)

    def __call__(self, done: float, total: float | None) -> None:
        """Report `done` of `total`, where that is news."""
        fraction = min(1.0, done / total) if total else 0.0
        if fraction - self._last >= _STEP:
            self._last = fraction
            self._report(self._stage, fraction)


def _ignore(*_args: Any, **_options: Any) -> None:
    return None
