"""Progress of a model load, reported from any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

Report = Callable[[str, float | None], None]
"""Called with the name of a stage and its completed fraction (0 to 1, None if unknown)."""

_MIN_STEP = 0.01


class ProgressBar:
    """Replaces the progress bars of the libraries: prints nothing and passes its count to `on_update`.

    Other methods that libraries call on a bar (descriptions, colours, refreshing) have no effect.
    """

    def __init__(
        self,
        on_update: Callable[[float, float | None], None],
        items: Iterable[Any] = (),
        *,
        total: float | None = None,
        **_options: Any,
    ) -> None:
        self._on_update = on_update
        self._items = items
        self.total = total or (len(items) if isinstance(items, Sized) else None)
        self.n = 0.0
        self.format_dict: dict[str, Any] = {}

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            yield item
            self.update(1)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return _ignore

    def update(self, n: float | None = 1) -> None:
        """Count `n` more items or bytes."""
        self.n += n or 0
        self._on_update(self.n, self.total)


class StageProgress:
    """Reports the fraction of one stage whenever it has grown by at least a hundredth."""

    def __init__(self, stage: str, report: Report) -> None:
        self._stage = stage
        self._report = report
        self._last = 0.0
        report(stage, 0.0)

    def __call__(self, done: float, total: float | None) -> None:
        """Report the fraction `done` of `total`."""
        fraction = min(1.0, done / total) if total else 0.0
        if fraction - self._last >= _MIN_STEP:
            self._last = fraction
            self._report(self._stage, fraction)


def _ignore(*_args: Any, **_options: Any) -> None:
    return None
