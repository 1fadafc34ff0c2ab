"""The studio: where prompts are written, labelled, compared, taken in and deleted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from herding.access.operations import PROMPTS, PUBLISH, SAVE
from herding.access.role_file import Roles
from herding.access.roles import require
from herding.errors import ConfigError, HerdingError, NotFoundError, UserError
from herding.prompts import bundle
from herding.prompts.diff import PromptDiff, compare
from herding.prompts.library import Library
from herding.prompts.yaml_dump import dump_file
from herding.store.prompt_store import PromptStore
from herding.studio.batches import in_parts
from herding.studio.file_writer import Written
from herding.studio.importer import Importer, Saved, Wanted, check_version
from herding.studio.permissions import PromptPermissions, no_version
from herding.studio.sync import Sync
from herding.studio.version_cache import Edition, Head, VersionCache
from herding.values import LabelMove, Principal, PromptConflict, PromptVersion, Source

MAX_MESSAGE = 500
MANY = 1_000
"""Versions, or moves of labels, that are shown at once."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Version:
    """A version with what it holds, in the words of a prompt file, and the labels that stand for it.

    `filed` is the version that the prompt's file holds, None where it has no file.
    """

    about: PromptVersion
    content: Mapping[str, Any]
    labels: tuple[str, ...] = ()
    filed: int | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one prompt of a bundle. `error` says why it was not taken."""

    key: str
    saved: Saved | None = None
    error: str | None = None


class Studio:
    """Saves, labels, compares and deletes prompts, one change at a time; whoever asks next gets them.

    Every method takes the principal who asks and raises AccessError where their role does not allow it. `permissions`
    says which prompts they may see and change. `roles` are the roles there are.
    """

    def __init__(
        self,
        *,
        library: Library,
        store: PromptStore,
        version_cache: VersionCache,
        sync: Sync,
        roles: Roles,
        clock: Callable[[], int],
    ) -> None:
        self._library = library
        self._store = store
        self._version_cache = version_cache
        self._sync = sync
        self._clock = clock
        self.permissions = PromptPermissions(version_cache, roles)
        shared: Any = {"library": library, "store": store, "version_cache": version_cache, "sync": sync, "clock": clock}
        self._intake = Importer(**shared, permissions=self.permissions)

    # Saving

    async def save(
        self,
        key: str,
        data: Mapping[str, Any],
        who: Principal,
        *,
        expected: Collection[int] | None = None,
        base: int | None = None,
        message: str = "",
        source: Source = "ui",
        typed: str | None = None,
    ) -> Saved:
        """Make `data`, in the words of a prompt file, the newest version of a prompt; durable on return.

        `typed` is the same as YAML, as somebody wrote it, for the file. A label in it moves to that version. UserError
        says what is wrong with it; ConflictError comes where the newest version is none of `expected`,
        VersionConflictError where it is not `base` (0: there is none) and has another content. A file that cannot be
        written does not hinder the version.
        """
        require(who, PROMPTS)
        require(who, SAVE)
        wanted = Wanted(key, data, expected=expected, base=base, message=_message(message), source=source, typed=typed)
        async with self._sync.changing({key}):
            (saved,) = await self._intake.save([wanted], who)
        if isinstance(saved, HerdingError):
            raise saved
        return saved

    async def _write(self, key: str, *, again: bool = True) -> Written:
        """Bring the newest version and its label into the file."""
        await self._sync.reload({key})
        return (await self._sync.files.write([key], again=again))[key]

    async def delete(self, key: str, who: Principal, *, expected: Collection[int] | None = None) -> None:
        """Delete a prompt with its file; its numbered versions stay in the store. NotFoundError where there is none.

        Where the file cannot be deleted, it has no effect any more until it is edited.
        """
        require(who, PROMPTS)
        require(who, PUBLISH)
        async with self._sync.changing():
            old, _ = await self.permissions.seen(key, who)
            check_version(key, old, expected)
            gone = await self._without_file(key)
            await self._store.retire(key, author=who.id, at=self._clock())
            if gone:
                await self._store.forget_file(key)

    async def _without_file(self, key: str) -> bool:
        """Delete a prompt's file; whether there is none now."""
        if key in self._library.snapshot.prompts:
            try:
                await asyncio.to_thread(self._library.delete, key)
            except ConfigError as error:
                log.warning("The file of prompt %s stays as it is: %s", key, error)
                return False
        return True

    # Labels

    async def labels(self, key: str, who: Principal) -> Mapping[str, int]:
        """The labels of a prompt with the numbers that they stand for."""
        require(who, PROMPTS)
        await self._sync.look()
        _, head = await self.permissions.seen(key, who)
        return dict(head.labels)

    async def move_label(
        self, key: str, label: str, number: int | None, who: Principal, message: str = ""
    ) -> LabelMove:
        """Set a label to a version, or take it away with None; the file says it too. Raises NotFoundError, UserError.

        Where it stands there already, the last move of it returns.
        """
        self.permissions.check_label(label, who)
        said = _message(message)
        async with self._sync.changing():
            _, head = await self.permissions.seen(key, who)
            await self.permissions.check_goal(key, head, number, who)
            author: Any = {"author": who.id, "message": said, "at": self._clock()}
            move = await self._store.move_label(key, label, number, **author)
            await self._write(key, again=False)
            return move

    async def take_back(self, key: str, label: str, who: Principal) -> LabelMove:
        """Take back the last move of a label, and at each further call the one before."""
        self.permissions.check_label(label, who)
        async with self._sync.changing():
            await self.permissions.seen(key, who)
            move = await self._store.undo_label_move(key, label, author=who.id, at=self._clock())
            await self._write(key, again=False)
            return move

    async def label_moves(
        self, key: str, who: Principal, *, limit: int = 100, label: str | None = None
    ) -> tuple[LabelMove, ...]:
        """The moves of one label of a prompt, or of all with None, newest first."""
        require(who, PROMPTS)
        await self._sync.look()
        await self.permissions.seen(key, who)
        return await self._store.label_moves(key, label, limit=min(limit, MANY))

    # Versions

    async def versions(self, key: str, who: Principal, *, limit: int = 100) -> tuple[PromptVersion, ...]:
        """The newest versions of a prompt that `who` may see, newest first."""
        require(who, PROMPTS)
        await self._sync.look()
        await self.permissions.seen(key, who)
        found = await self._store.versions(key, limit=max(1, min(limit, MANY)))
        return tuple([version for version in found if await self.permissions.visible(key, version.number, who)])

    async def version(self, key: str, number: int, who: Principal) -> Version:
        """One version of a prompt, of which NotFoundError says that it is not there."""
        require(who, PROMPTS)
        await self._sync.look()
        _, head = await self.permissions.seen(key, who)
        edition = await self.permissions.edition(key, number, who)
        about = await self._store.version(key, number)
        if about is None:
            raise no_version(key, number)
        labels, file = tuple(label for label, at in head.labels.items() if at == number), self._sync.state(key).file
        return Version(about, edition.prompt.content, labels, file.number if file else None)

    async def yaml(self, key: str, number: int | None, who: Principal) -> str:
        """A version (None: the newest) as the text of a prompt file, with the label that a file would name."""
        require(who, PROMPTS)
        await self._sync.look()
        newest, head = await self.permissions.seen(key, who)
        edition = await self.permissions.edition(key, newest.number if number is None else number, who)
        return _text(edition, head)

    async def diff(self, key: str, a: int | None, b: int | None, who: Principal) -> PromptDiff:
        """What is different in version `b` (None: the newest) of a prompt from version `a` (None: the one before)."""
        require(who, PROMPTS)
        await self._sync.look()
        newest, _ = await self.permissions.seen(key, who)
        b = newest.number if b is None else b
        a = max(1, b - 1) if a is None else a
        one, other = [(await self.permissions.edition(key, number, who)).prompt for number in (a, b)]
        return await asyncio.to_thread(compare, one.content, other.content)

    # Conflicts

    async def conflicts(self, who: Principal) -> tuple[PromptConflict, ...]:
        """The prompts that were saved while their files were edited, and wait for somebody to decide."""
        require(who, PROMPTS)
        require(who, SAVE)
        await self._sync.look()
        found = [state.conflict for state in self._sync.states.values() if state.conflict and not state.retired]
        return tuple([conflict for conflict in found if await self.permissions.sees(conflict.key, who)])

    async def resolve(self, key: str, number: int, who: Principal, *, message: str = "") -> Saved:
        """End a conflict: version `number` is the newest from now on, and its content goes into the file.

        NotFoundError where there is no conflict, or no such version.
        """
        require(who, PROMPTS)
        require(who, SAVE)
        said = _message(message)
        async with self._sync.changing():
            newest, _ = await self.permissions.seen(key, who)
            conflict = self._sync.state(key).conflict
            if conflict is None:
                raise NotFoundError(f"The file of '{key}' and its versions agree; there is no conflict.", param="key")
            await self.permissions.check_old(key, newest, who)
            chosen = await self.permissions.edition(key, number, who)
            self.permissions.check_new(chosen.prompt, who)
            entry: Any = {"author": who.id, "at": self._clock(), "message": said or f"chosen: version {number}"}
            content = chosen.prompt.content_json
            if number != newest.number:
                saved = await self._store.save_version(key, content, source="ui", base=newest.number, **entry)
                self._version_cache.put(Edition(key, saved.number, chosen.prompt))
            await self._sync.keep(key, conflict.theirs)
            file = await self._write(key)
            at = self._sync.state(key).newest
            return Saved(key, at, new=False, changed=at != newest.number, file=file)

    # Bundles

    async def export(self, who: Principal) -> bytes:
        """All prompts that `who` may see, at their newest version that they may see, as a zip of prompt files."""
        require(who, PROMPTS)
        await self._sync.look()
        texts: dict[str, str] = {}
        for key, head in self._version_cache.heads.items():
            if await self.permissions.sees(key, who):
                visible = head.newest if await self.permissions.visible(key, head.newest, who) else head.served
                edition = await self.permissions.edition(key, visible, who)
                texts[key] = _text(edition, head)
        return await asyncio.to_thread(bundle.pack, texts)

    async def import_bundle(self, data: bytes, who: Principal) -> list[Imported]:
        """Save every prompt of a zip of prompt files, each by itself; the same once more changes nothing."""
        require(who, PROMPTS)
        require(who, SAVE)
        found = await asyncio.to_thread(bundle.unpack, data)
        told = [Imported(one.key, error=one.error) for one in found]
        for places in _rounds(found):
            wanted = [Wanted(found[at].key, found[at].data, message="imported", source="import") for at in places]
            for at, saved in zip(places, await self._imported(wanted, who), strict=True):
                told[at] = _told(found[at].key, saved)
        return told

    async def _imported(self, wanted: Sequence[Wanted], who: Principal) -> Sequence[Saved | HerdingError]:
        """Some prompts of a bundle; between them others have their turn."""
        try:
            async with self._sync.changing({one.key for one in wanted}):
                return await self._intake.save(wanted, who)
        except HerdingError as error:
            return [error for _ in wanted]


def _told(key: str, saved: Saved | HerdingError) -> Imported:
    return Imported(key, error=saved.message) if isinstance(saved, HerdingError) else Imported(key, saved)


def _rounds(found: Sequence[bundle.BundleEntry]) -> Iterator[Sequence[int]]:
    """The places of the prompts that go together; of those with one key, each goes after the one before."""
    left = [at for at, one in enumerate(found) if not one.error]
    while left:
        first = {found[at].key: at for at in reversed(left)}
        places = sorted(first.values())
        yield from in_parts(places)
        left = [at for at in left if first[found[at].key] != at]


def _message(text: str) -> str:
    if len(text) > MAX_MESSAGE:
        raise UserError(f"A message has at most {MAX_MESSAGE} characters.", param="message")
    return text


def _text(edition: Edition, head: Head) -> str:
    label = head.label_of(edition.number)
    return dump_file(edition.prompt.content | ({"label": label} if label else {}))
