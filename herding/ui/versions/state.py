"""The state of one session's Versions tab, and the data it shows."""

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
STANDARD_LABELS = (PROD, TEST, DEV)
"""The labels shown for every prompt."""

STALE = "This page has expired. Open the tab again."


@dataclass
class VersionsState:
    """The choices of a session: `selected` is the open version, the diff goes from `old` to `new`.

    `requested` is a prompt that another tab asked to open. `offset` counts the versions newer than the first of the
    page. `conflicts` are the conflicts drawn last; `stamp` identifies the rest of what was drawn.
    """

    key: str = ""
    requested: str = ""
    offset: int = 0
    selected: int = 0
    old: int = 0
    new: int = 0
    label: str = PROD
    unified: bool = False
    show_yaml: bool = False
    stamp: object = None
    conflicts: tuple[PromptConflict, ...] = ()

    def require_prompt(self) -> str:
        """Return the key; raise UserError for a page that was opened before the app restarted."""
        if not self.key:
            raise UserError(STALE)
        return self.key

    def switch(self, key: str) -> None:
        """Switch to a prompt, starting at its latest version."""
        if key != self.key:
            self.key, self.offset, self.selected, self.old, self.new, self.show_yaml = key, 0, 0, 0, 0, False

    def select(self, number: int) -> None:
        """Select a version and its difference to the previous one."""
        self.selected = self.new = number
        self.old = max(1, number - 1)

    def set_defaults(self, newest: int, labels: Mapping[str, int]) -> None:
        """Clamp the page; if nothing is selected, compare the latest version with prod or the previous one."""
        self.offset = max(0, min(self.offset, (newest - 1) // PAGE * PAGE))
        if not self.selected:
            self.select(newest)
            self.old = labels.get(PROD, self.old) if labels.get(PROD) != newest else self.old


@dataclass(frozen=True, slots=True)
class PromptSnapshot:
    """A prompt as it is now: labels with their moves, the versions of the page, and the selected version."""

    newest: int
    labels: Mapping[str, int]
    moves: tuple[LabelMove, ...]
    page: tuple[PromptVersion, ...]
    version: Version
    conflicts: tuple[PromptConflict, ...]

    def conflict(self, key: str) -> PromptConflict | None:
        """Return the conflict of a prompt."""
        return next((conflict for conflict in self.conflicts if conflict.key == key), None)

    @property
    def label_names(self) -> list[str]:
        """The labels to show, the standard ones first."""
        return [*STANDARD_LABELS, *(label for label in self.labels if label not in STANDARD_LABELS)]

    def labels_of(self, number: int) -> list[str]:
        """Return the labels that point at a version."""
        return [label for label in self.label_names if self.labels.get(label) == number]


async def load(studio: Studio, state: VersionsState, who: Principal) -> PromptSnapshot:
    """Load the prompt of a state, and set the state's defaults."""
    labels = await studio.labels(state.key, who)
    found = await studio.versions(state.key, who, limit=state.offset + PAGE)
    found = found or await studio.versions(state.key, who, limit=MANY)
    if not found:
        raise UserError(f"Your role can't see any version of prompt '{state.key}'.", param="prompt")
    newest = found[0].number
    state.set_defaults(newest, labels)
    first = newest - state.offset
    page = tuple(version for version in found if first - PAGE < version.number <= first)
    conflicts = await visible_conflicts(studio, who)
    moves = await studio.label_moves(state.key, who, limit=MANY)
    state.stamp, state.conflicts = _stamp(newest, labels, conflicts), conflicts
    version = await studio.version(state.key, state.selected, who)
    return PromptSnapshot(newest, labels, moves, page, version, conflicts)


async def is_outdated(studio: Studio, state: VersionsState, who: Principal) -> bool:
    """Return whether the prompt changed since it was drawn."""
    newest = await studio.versions(state.key, who, limit=1)
    number = newest[0].number if newest else 0
    stamp = _stamp(number, await studio.labels(state.key, who), await visible_conflicts(studio, who))
    return stamp != state.stamp


async def visible_conflicts(studio: Studio, who: Principal) -> tuple[PromptConflict, ...]:
    """Return the conflicts that the principal may resolve."""
    return await studio.conflicts(who) if SAVE in who.rights else ()


def next_revert(moves: Iterable[LabelMove], label: str) -> LabelMove | None:
    """Return the move of a label that is reverted next; `moves` come newest first."""
    own = [move for move in moves if move.label == label]
    reverted = {move.undoes for move in own}
    return next((move for move in own if move.undoes is None and move.id not in reverted), None)


def can_move(label: str, who: Principal) -> bool:
    """Return whether the principal may move a label."""
    return (PUBLISH if label == PROD else SAVE) in who.rights


def _stamp(newest: int, labels: Mapping[str, int], conflicts: Iterable[PromptConflict]) -> object:
    return newest, tuple(sorted(labels.items())), tuple(conflicts)
