"""Resolves references such as `key@prod` to versions of prompts, and caches the versions in use."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from herding.errors import NotFoundError, StoreError
from herding.prompts.model import Prompt, prompt_not_found
from herding.store.prompts.store import PromptStore
from herding.values import PromptState

MAX_OLDER = 64
"""Maximum number of cached versions that are neither the newest nor have a label."""

NEWEST = "newest"
DEV = "dev"
PROD = "prod"
FILE_LABELS = (PROD, "test", DEV)
"""The labels that a file can set. If a version has several, the first is shown."""


@dataclass(frozen=True, slots=True)
class RunnableVersion:
    """A version of a prompt, parsed and ready to run. `number` is 0 while it is not saved."""

    key: str
    number: int
    prompt: Prompt
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """The newest version number of a prompt, and the number of each label."""

    newest: int
    labels: Mapping[str, int] = field(default_factory=dict)

    @property
    def live(self) -> int:
        """The number of the live version: the one with the label prod, else the newest."""
        return self.labels.get(PROD, self.newest)

    @property
    def pinned(self) -> set[int]:
        """The numbers of the newest version and of all labels."""
        return {self.newest, *self.labels.values()}

    def names_of(self, number: int) -> tuple[str, ...]:
        """Return the references of a version: its number, its labels, `newest`, and `dev` until that is set."""
        names = [str(number), *(label for label, at in self.labels.items() if at == number)]
        if number == self.newest:
            names += [NEWEST] if DEV in self.labels else [NEWEST, DEV]
        return tuple(names)

    def label_of(self, number: int) -> str | None:
        """Return the label of a version that its file shows, or None."""
        return next((label for label in FILE_LABELS if self.labels.get(label) == number), None)


class VersionCache:
    """The heads of all prompts, and their parsed versions. Versions that are not cached are read from the store."""

    def __init__(self, store: PromptStore) -> None:
        self._store = store
        self._heads: dict[str, Head] = {}
        self._pinned: dict[str, dict[int, RunnableVersion]] = {}
        self._older: OrderedDict[tuple[str, int], RunnableVersion] = OrderedDict()
        self._aliases: dict[str, tuple[str, Mapping[str, str]]] | None = None
        self._holders: dict[str, str] = {}

    @property
    def heads(self) -> Mapping[str, Head]:
        """The heads of all prompts that are not deleted, in the order of their keys."""
        return MappingProxyType(self._heads)

    def alias(self, path: str) -> tuple[str, Mapping[str, str]] | None:
        """Return the key of the prompt with this short path, and its variables by query parameter.

        If several prompts have the same path, it stays with the one that had it, else the first key gets it.
        """
        if self._aliases is None:
            ready = [self._cached(key, head.live) for key, head in self._heads.items()]
            claims = [(found.key, found.prompt.alias) for found in ready if found and found.prompt.alias]
            claims.sort(key=lambda claim: self._holders.get(claim[1].path) != claim[0])
            self._aliases = {alias.path: (key, alias.variables) for key, alias in reversed(claims)}
            self._holders = {path: key for path, (key, _) in self._aliases.items()}
        return self._aliases.get(path)

    async def author_of(self, key: str, number: int) -> str | None:
        """Return the author of a version, or None without one."""
        stored = await self._store.version(key, number)
        return stored.author if stored else None

    async def alias_holder(self, path: str, other_than: str) -> str | None:
        """Return the key of another prompt whose live or newest version has this short path, or None."""
        for key, head in self._heads.items():
            for number in {head.live, head.newest} if key != other_than else ():
                found = await self.get(key, number)
                if found and found.prompt.alias and found.prompt.alias.path == path:
                    return key
        return None

    def update(self, states: Mapping[str, PromptState], keys: Collection[str] | None = None) -> None:
        """Set the states of all prompts, or of those with these keys."""
        kept = {} if keys is None else {key: head for key, head in self._heads.items() if key not in keys}
        found = [states[key] for key in (states if keys is None else keys) if key in states]
        heads = kept | {state.key: Head(state.newest, state.labels) for state in found if not state.retired}
        self._heads = dict(sorted(heads.items()))
        self._aliases = None
        for key in list(self._pinned if keys is None else self._pinned.keys() & keys):
            self._unpin(key)

    def put(self, edition: RunnableVersion) -> None:
        """Cache a version, also before `update` makes it known."""
        self._pinned.setdefault(edition.key, {})[edition.number] = edition
        self._aliases = None

    async def resolve(self, reference: str) -> RunnableVersion:
        """Return the version that `key`, `key@number`, `key@label` or `key@newest` means.

        A key alone means the live version. The label dev means the newest version until it is set. Raises NotFoundError
        with the existing versions and labels, and StoreError.
        """
        key, _, wanted = reference.partition("@")
        head = self._heads.get(key)
        if head is None:
            raise prompt_not_found(key)
        number = _resolve_number(head, wanted)
        found = await self.get(key, number) if number else None
        if found is None:
            labels = ", ".join(f"{label} ({at})" for label, at in head.labels.items()) or "none"
            versions = "version 1" if head.newest == 1 else f"versions 1 to {head.newest}"
            message = f"'{key}' has no '{wanted}'. It has {versions}, and these labels: {labels}."
            raise NotFoundError(message, param="prompt")
        return found

    async def live(self, key: str) -> RunnableVersion | None:
        """Return the live version of a prompt, or None if the prompt does not exist."""
        head = self._heads.get(key)
        return await self.get(key, head.live) if head else None

    async def newest(self, key: str) -> RunnableVersion | None:
        """Return the newest version of a prompt, or None if the prompt does not exist."""
        head = self._heads.get(key)
        return await self.get(key, head.newest) if head else None

    async def get(self, key: str, number: int) -> RunnableVersion | None:
        """Return a version of a prompt, also of a deleted one, or None."""
        if found := self._cached(key, number):
            return found
        stored = await self._store.version(key, number)
        if stored is None:
            return None
        found = RunnableVersion(key, number, parse_stored(stored.content, key, number))
        head = self._heads.get(key)
        if head and number in head.pinned:
            self.put(found)
        else:
            self._cache_older(found)
        return found

    def _cached(self, key: str, number: int) -> RunnableVersion | None:
        found = self._pinned.get(key, {}).get(number)
        if found is None and (found := self._older.get((key, number))):
            self._older.move_to_end((key, number))
        return found

    def _unpin(self, key: str) -> None:
        """Move versions without a label to the cache of older versions."""
        head = self._heads.get(key)
        pinned = head.pinned if head else set()
        for number, edition in list(self._pinned[key].items()):
            if number not in pinned:
                del self._pinned[key][number]
                self._cache_older(edition)
        if not self._pinned[key]:
            del self._pinned[key]

    def _cache_older(self, edition: RunnableVersion) -> None:
        self._older[edition.key, edition.number] = edition
        while len(self._older) > MAX_OLDER:
            self._older.popitem(last=False)


def parse_stored(content: str, key: str, number: int) -> Prompt:
    """Return the prompt of a stored version. Raises StoreError if this version of Herding cannot read it."""
    try:
        return Prompt.model_validate(json.loads(content))
    except ValueError:
        raise StoreError(
            f"Version {number} of '{key}' can't be read. It was saved by another version of Herding."
        ) from None


def _resolve_number(head: Head, wanted: str) -> int | None:
    """Return the number that the part after `@` means, or None."""
    if not wanted:
        return head.live
    if wanted in head.labels:
        return head.labels[wanted]
    if wanted in (NEWEST, DEV):
        return head.newest
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 else 0
    return number if 0 < number <= head.newest and str(number) == wanted else None
