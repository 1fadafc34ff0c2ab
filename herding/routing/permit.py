"""A call's leave to use a node."""

from __future__ import annotations

from typing import Protocol

from herding.errors import HerdingError


class Judge(Protocol):
    """Who gives permits, and hears what came of the calls."""

    def worked(self, permit: Permit) -> None:
        """The call shows that the node answers."""

    def end(self, permit: Permit, error: HerdingError | None, *, cancelled: bool) -> None:
        """The call is over: with an answer, with `error`, or without either because its caller went away."""


class Permit:
    """One call's leave to use a node, and how its end is told. Only the first end counts; each does no harm.

    As a context manager it ends without a verdict where nothing else was told.
    """

    def __init__(self, judge: Judge, era: int, *, trial: bool) -> None:
        self._judge, self.era, self.trial = judge, era, trial
        self._ended = False

    def first_token(self) -> None:
        """The node began to answer: a trial need not wait for the end of a long answer. The end is told as well.

        Otherwise a beginning counts for nothing, as a node may stop in the middle of every answer.
        """
        if self.trial and not self._ended:
            self._judge.worked(self)

    def succeeded(self) -> None:
        """The answer is complete."""
        self._end(None)

    def failed(self, error: HerdingError) -> None:
        """The call ended with an error, whoever is to blame for it."""
        self._end(error)

    def dropped(self) -> None:
        """The caller went away, which says nothing about the node."""
        self._end(None, cancelled=True)

    def __enter__(self) -> Permit:
        return self

    def __exit__(self, *_: object) -> None:
        self.dropped()

    def _end(self, error: HerdingError | None, *, cancelled: bool = False) -> None:
        if not self._ended:
            self._ended = True
            self._judge.end(self, error, cancelled=cancelled)
