"""The version_cache: which version of a prompt a reference means, and the versions that are in use, ready to run."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from herding.errors import NotFoundError, StoreError
from herding.prompts.model import Prompt, prompt_not_found
from herding.store.prompt_store import PromptStore
from herding.values import PromptState

OLDER = 64
"""Versions that nothing stands for but somebody asked for: so many stay ready."""

NEWEST = "newest"
DEV = "dev"
PROD = "prod"
FILE_LABELS = (PROD, "test", DEV)
"""The labels that a file can name; the first that stands for a version is shown with it."""


@dataclass(frozen=True, slots=True)
class Edition:
    """A version of a prompt as it can be run. `number` is 0 while the store takes no new one."""

    key: str
    number: int
    prompt: Prompt
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """The newest number of a prompt, and the numbers that its labels stand for."""

    newest: int
    labels: Mapping[str, int] = field(default_factory=dict)

    @property
    def served(self) -> int:
        """The number of what a key alone means."""
        return self.labels.get(PROD, self.newest)

    @property
    def pinned(self) -> set[int]:
        """The numbers that a name stands for."""
        return {self.newest, *self.labels.values()}

    def label_of(self, number: int) -> str | None:
        """The label that a file of this version names."""
        return next((label for label in FILE_LABELS if self.labels.get(label) == number), None)


class VersionCache:
    """What is served: `update` says what there is, `put` brings versions along, others come from the store."""

    def __init__(self, store: PromptStore) -> None:
        self._store = store
        self._heads: dict[str, Head] = {}
        self._pinned: dict[str, dict[int, Edition]] = {}
        self._older: OrderedDict[tuple[str, int], Edition] = OrderedDict()
        self._aliases: dict[str, tuple[str, Mapping[str, str]]] | None = None

    @property
    def heads(self) -> Mapping[str, Head]:
        """The prompts that are not deleted, in the order of their keys."""
        return MappingProxyType(self._heads)

    def alias(self, path: str) -> tuple[str, Mapping[str, str]] | None:
        """The key of the prompt with this short address, and its variables by their names there.

        Where several prompts claim an address, it is that of the first by key.
        """
        if self._aliases is None:
            ready = [self._ready(key, head.served) for key, head in self._heads.items()]
            claims = [(found.key, found.prompt.alias) for found in ready if found and found.prompt.alias]
            self._aliases = {alias.path: (key, alias.variables) for key, alias in reversed(claims)}
        return self._aliases.get(path)

    def update(self, states: Mapping[str, PromptState], keys: Collection[str] | None = None) -> None:
        """Take over what the store knows, of all prompts or of those with these keys."""
        kept = {} if keys is None else {key: head for key, head in self._heads.items() if key not in keys}
        found = [states[key] for key in (states if keys is None else keys) if key in states]
        heads = kept | {state.key: Head(state.newest, state.labels) for state in found if not state.retired}
        self._heads = dict(sorted(heads.items()))
        self._aliases = None
        for key in list(self._pinned if keys is None else self._pinned.keys() & keys):
            self._sort(key)

    def put(self, edition: Edition) -> None:
        """Keep a version ready; it may be one that `update` tells of later."""
        self._pinned.setdefault(edition.key, {})[edition.number] = edition
        self._aliases = None

    async def find(self, reference: str) -> Edition:
        """The version that `key`, `key@number`, `key@label` or `key@newest` means.

        A key alone is its version with the label prod, else the newest. While no version has the label dev, it means
        the newest too. NotFoundError names what there is; StoreError where the version cannot be read now.
        """
        key, _, wanted = reference.partition("@")
        head = self._heads.get(key)
        if head is None:
            raise prompt_not_found(key)
        number = _number(head, wanted)
        found = await self.edition(key, number) if number else None
        if found is None:
            labels = ", ".join(f"{label} ({at})" for label, at in head.labels.items()) or "none"
            versions = "version 1" if head.newest == 1 else f"versions 1 to {head.newest}"
            message = f"'{key}' has no '{wanted}'. It has {versions}, and these labels: {labels}."
            raise NotFoundError(message, param="prompt")
        return found

    async def newest(self, key: str) -> Edition | None:
        """The newest version of a prompt that is not deleted."""
        head = self._heads.get(key)
        return await self.edition(key, head.newest) if head else None

    async def edition(self, key: str, number: int) -> Edition | None:
        """One version of a prompt, also of a deleted one; None where there is none."""
        if found := self._ready(key, number):
            return found
        stored = await self._store.version(key, number)
        if stored is None:
            return None
        found = Edition(key, number, parsed(stored.content, key, number))
        head = self._heads.get(key)
        if head and number in head.pinned:
            self.put(found)
        else:
            self._keep(found)
        return found

    def _ready(self, key: str, number: int) -> Edition | None:
        found = self._pinned.get(key, {}).get(number)
        if found is None and (found := self._older.get((key, number))):
            self._older.move_to_end((key, number))
        return found

    def _sort(self, key: str) -> None:
        """Versions that nothing stands for any more go to the older ones."""
        head = self._heads.get(key)
        pinned = head.pinned if head else set()
        for number, edition in list(self._pinned[key].items()):
            if number not in pinned:
                del self._pinned[key][number]
                self._keep(edition)
        if not self._pinned[key]:
            del self._pinned[key]

    def _keep(self, edition: Edition) -> None:
        self._older[edition.key, edition.number] = edition
        while len(self._older) > OLDER:
            self._older.popitem(last=False)


def parsed(content: str, key: str, number: int) -> Prompt:
    """The prompt that a stored version is; StoreError where today's Herding cannot read it."""
    try:
        return Prompt.model_validate(json.loads(content))
    except ValueError:
        raise StoreError(f"Version {number} of '{key}' cannot be read: it was saved by another Herding.") from None


def _number(head: Head, wanted: str) -> int | None:
    """The number that stands behind a key, as a version or by name; None for what is neither."""
    if not wanted:
        return head.served
    if wanted in head.labels:
        return head.labels[wanted]
    if wanted in (NEWEST, DEV):
        return head.newest
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 else 0
    return number if 0 < number <= head.newest and str(number) == wanted else None
