"""What the tab "Versions" looks at: the choices of a session, and what is read for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from herding.access.operations import PUBLISH, SAVE
from herding.errors import UserError
from herding.studio.studio import MANY, Studio, Version
from herding.studio.version_cache import DEV, PROD
from herding.values import LabelMove, Principal, PromptConflict, PromptVersion

PAGE = 10
TEST = "test"
USUAL = (PROD, TEST, DEV)
"""The labels that every prompt is shown with."""

STALE = "This page is not of this session any more. Open the tab again."


@dataclass
class View:
    """What a session looks at: `chosen` is the version whose details are open, the diff goes from `old` to `new`.

    `asked` is a prompt that another tab wants to be looked at. `offset` counts the versions that are newer than the
    first of the page; `clashes` are the conflicts that were drawn
    last, and `stamp` tells what else was.
    """

    key: str = ""
    asked: str = ""
    offset: int = 0
    chosen: int = 0
    old: int = 0
    new: int = 0
    label: str = PROD
    inline: bool = False
    whole: bool = False
    stamp: object = None
    clashes: tuple[PromptConflict, ...] = ()

    def known(self) -> View:
        """The view itself; UserError where it is that of a page from before the app was started anew."""
        if not self.key:
            raise UserError(STALE)
        return self

    def turn_to(self, key: str) -> None:
        """Another prompt, looked at from its newest version."""
        if key != self.key:
            self.key, self.offset, self.chosen, self.old, self.new, self.whole = key, 0, 0, 0, 0, False

    def choose(self, number: int) -> None:
        """Open a version, and what is different in it from the one before."""
        self.chosen = self.new = number
        self.old = max(1, number - 1)

    def settle(self, newest: int, labels: Mapping[str, int]) -> None:
        """The newest version against prod, or the one before, where nothing is chosen yet."""
        self.offset = max(0, min(self.offset, (newest - 1) // PAGE * PAGE))
        if not self.chosen:
            self.choose(newest)
            self.old = labels.get(PROD, self.old) if labels.get(PROD) != newest else self.old


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the prompt: its newest number, labels with their moves, and the versions of the open page."""

    newest: int
    labels: Mapping[str, int]
    moves: tuple[LabelMove, ...]
    page: tuple[PromptVersion, ...]
    version: Version
    conflicts: tuple[PromptConflict, ...]

    def conflict(self, key: str) -> PromptConflict | None:
        """The conflict of a prompt."""
        return next((conflict for conflict in self.conflicts if conflict.key == key), None)

    @property
    def names(self) -> list[str]:
        """The labels to show, the usual ones first."""
        return [*USUAL, *(label for label in self.labels if label not in USUAL)]

    def marks(self, number: int) -> list[str]:
        """The labels that stand for a version."""
        return [label for label in self.names if self.labels.get(label) == number]


async def read(studio: Studio, view: View, who: Principal) -> Seen:
    """What there is to see of the prompt of a view, which then has its choices made."""
    labels = await studio.labels(view.key, who)
    found = await studio.versions(view.key, who, limit=view.offset + PAGE)
    found = found or await studio.versions(view.key, who, limit=MANY)
    if not found:
        raise UserError(f"Your role may see no version of the prompt '{view.key}'.", param="prompt")
    newest = found[0].number
    view.settle(newest, labels)
    first = newest - view.offset
    page = tuple(version for version in found if first - PAGE < version.number <= first)
    conflicts = await clashes(studio, who)
    moves = await studio.label_moves(view.key, who, limit=MANY)
    view.stamp, view.clashes = _stamp(newest, labels, conflicts), conflicts
    version = await studio.version(view.key, view.chosen, who)
    return Seen(newest, labels, moves, page, version, conflicts)


async def changed(studio: Studio, view: View, who: Principal) -> bool:
    """Whether there is anything else to see than what was drawn last."""
    newest = await studio.versions(view.key, who, limit=1)
    number = newest[0].number if newest else 0
    now = _stamp(number, await studio.labels(view.key, who), await clashes(studio, who))
    return now != view.stamp


async def clashes(studio: Studio, who: Principal) -> tuple[PromptConflict, ...]:
    """The conflicts that somebody may decide."""
    return await studio.conflicts(who) if SAVE in who.rights else ()


def next_back(moves: Iterable[LabelMove], label: str) -> LabelMove | None:
    """The move of a label that is taken back next; `moves` come newest first."""
    mine = [move for move in moves if move.label == label]
    gone = {move.undoes for move in mine}
    return next((move for move in mine if move.undoes is None and move.id not in gone), None)


def may_move(label: str, who: Principal) -> bool:
    """Whether somebody may move a label."""
    return (PUBLISH if label == PROD else SAVE) in who.rights


def _stamp(newest: int, labels: Mapping[str, int], conflicts: Iterable[PromptConflict]) -> object:
    return newest, tuple(sorted(labels.items())), tuple(conflicts)
