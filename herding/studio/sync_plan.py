"""What is to be done for a prompt, from what its file holds and what the store knows of it."""

from __future__ import annotations

from enum import Enum, auto

from herding.values import PromptState


class Step(Enum):
    """What is to be done for a prompt."""

    NOTHING = auto()
    TAKE = auto()  # what the file holds is the newest version
    WRITE = auto()  # the newest version goes into the file
    CONFLICT = auto()
    RETIRE = auto()


def decide(digest: str | None, state: PromptState, *, same: bool = False) -> Step:
    """The step for a prompt whose file has this digest (None: there is no file).

    `same` says whether the file holds what the newest version is.
    """
    if digest is None:
        return _without_file(state)
    if state.conflict:
        if digest == state.conflict.digest:
            return Step.NOTHING
        return Step.TAKE if same else Step.CONFLICT
    agreed, then = (state.file.number, state.file.digest) if state.file else (0, None)
    if state.retired:  # deleted here, where the file could not be: it stays so until somebody edits that
        return Step.NOTHING if digest == then else Step.TAKE
    if digest == then:
        return Step.NOTHING if agreed == state.newest else Step.WRITE
    return Step.TAKE if same or agreed == state.newest else Step.CONFLICT


def _without_file(state: PromptState) -> Step:
    if state.retired:  # what is put there again is a prompt again
        return Step.RETIRE if state.file else Step.NOTHING
    if state.conflict or not state.newest:
        return Step.NOTHING
    return Step.RETIRE if state.file and state.file.number == state.newest else Step.WRITE
