"""A prompt with its versions and labels, as the Versions tab shows it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from herding.access.operations import PUBLISH, SAVE
from herding.errors import NotFoundError, UserError
from herding.studio.studio import MANY, Studio, Version
from herding.studio.version_cache import DEV, PROD
from herding.ui.kit.views import Call
from herding.values import LabelMove, Principal, PromptConflict, PromptVersion

PAGE = 10
TEST = "test"
STANDARD_LABELS = (PROD, TEST, DEV)
"""The labels shown for every prompt."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The choices of the page: the diff goes from version `old` to the open version `new`; 0 is the default.

    `limit` is the number of versions listed, `label` and `note` are typed to move a label.
    """

    key: str
    old: int = 0
    new: int = 0
    unified: bool = False
    limit: int = PAGE
    label: str = PROD
    note: str = ""

    @classmethod
    def read(cls, call: Call, key: str) -> Choice:
        """Return the choices of a request. Raises NotFoundError for what is no number of a version."""
        return cls(
            key,
            old=read_number(call.text("old")),
            new=read_number(call.text("new")),
            unified=call.text("unified") == "on",
            limit=max(PAGE, min(call.whole("limit", PAGE), MANY)),
            label=call.text("label") or PROD,
            note=call.text("note"),
        )

    @property
    def address(self) -> dict[str, str]:
        """The fields that the address keeps."""
        return {"prompt": self.key, "old": str(self.old or ""), "new": str(self.new or "")}


@dataclass(frozen=True, slots=True)
class PromptSnapshot:
    """A prompt as it is now: labels with their moves, the listed versions, and the open one with the older one."""

    key: str
    newest: int
    labels: Mapping[str, int]
    moves: tuple[LabelMove, ...]
    page: tuple[PromptVersion, ...]
    version: Version
    old: int
    conflicts: tuple[PromptConflict, ...]

    @property
    def number(self) -> int:
        """The number of the open version."""
        return self.version.about.number

    @property
    def conflict(self) -> PromptConflict | None:
        """The conflict of the prompt."""
        return next((conflict for conflict in self.conflicts if conflict.key == self.key), None)

    @property
    def label_names(self) -> list[str]:
        """The labels to show, the standard ones first."""
        return [*STANDARD_LABELS, *(label for label in self.labels if label not in STANDARD_LABELS)]

    @property
    def stamp(self) -> str:
        """A text that changes with the prompt."""
        return stamp(self.newest, self.labels, self.conflicts)

    def labels_of(self, number: int) -> list[str]:
        """Return the labels that point at a version."""
        return [label for label in self.label_names if self.labels.get(label) == number]


async def load(studio: Studio, choice: Choice, who: Principal) -> PromptSnapshot:
    """Return the prompt of a choice; by default its latest version, with the differences to the live or previous one.

    Raises NotFoundError for versions that do not exist.
    """
    key = choice.key
    labels = await studio.labels(key, who)
    found = await studio.versions(key, who, limit=choice.limit) or await studio.versions(key, who, limit=MANY)
    if not found:
        raise UserError(f"Your role can't see any version of prompt '{key}'.", param="prompt")
    newest = found[0].number
    new = choice.new or newest
    old = choice.old or (labels.get(PROD, 0) if not choice.new and labels.get(PROD) != newest else 0)
    return PromptSnapshot(
        key,
        newest,
        labels,
        await studio.label_moves(key, who, limit=MANY),
        found,
        await studio.version(key, new, who),
        old or max(1, new - 1),
        await visible_conflicts(studio, who),
    )


async def current_stamp(studio: Studio, key: str, who: Principal) -> str:
    """Return the stamp of a prompt as it is now."""
    newest = await studio.versions(key, who, limit=1)
    number = newest[0].number if newest else 0
    return stamp(number, await studio.labels(key, who), await visible_conflicts(studio, who))


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


def read_number(text: str) -> int:
    """Return the number of a version, 0 without one. Raises NotFoundError for anything else."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise NotFoundError("Version not found. Choose one from the list.", param="version")
    return int(text)


def stamp(newest: int, labels: Mapping[str, int], conflicts: Iterable[PromptConflict]) -> str:
    """Return a text that differs for other versions, labels or conflicts."""
    seen = repr((newest, sorted(labels.items()), tuple(conflicts)))
    return hashlib.sha256(seen.encode()).hexdigest()[:16]
