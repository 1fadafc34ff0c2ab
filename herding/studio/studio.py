"""The prompt repository: saves, labels, compares, imports, exports and deletes prompts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from herding.access.operations import PROMPTS, PUBLISH, SAVE
from herding.access.role_file import Roles
from herding.access.roles import allows_all, require
from herding.errors import ConfigError, HerdingError, NotFoundError, UserError
from herding.prompts import bundle
from herding.prompts.diff import PromptDiff, compare
from herding.prompts.library import Library
from herding.prompts.yaml_dump import dump_file
from herding.store.prompts.store import PromptStore
from herding.studio.file_writer import FileStatus
from herding.studio.importer import Importer, SaveRequest, SaveResult, check_version
from herding.studio.permissions import PromptPermissions, version_not_found
from herding.studio.sync import Sync, in_batches
from herding.studio.version_cache import PROD, Head, RunnableVersion, VersionCache
from herding.values import LabelMove, Principal, PromptConflict, PromptVersion, Source

MAX_MESSAGE = 500
MANY = 1_000
"""Maximum number of versions, or of moves of labels, in one result."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Version:
    """A version with its content (the data of a prompt file) and its labels.

    `filed` is the number of the version in the prompt's file, or None if there is no file.
    """

    about: PromptVersion
    content: Mapping[str, Any]
    labels: tuple[str, ...] = ()
    filed: int | None = None


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of importing one prompt of a bundle, or its `error`."""

    key: str
    saved: SaveResult | None = None
    error: str | None = None


class Studio:
    """Saves, labels, compares and deletes prompts, one change at a time.

    Every method takes the principal and raises AccessError if their role does not allow it, or NotFoundError for
    prompts that they may not see (see `permissions`).
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
        self._importer = Importer(
            library=library,
            store=store,
            version_cache=version_cache,
            sync=sync,
            clock=clock,
            permissions=self.permissions,
        )

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
    ) -> SaveResult:
        """Save `data`, as in a prompt file, as the newest version of a prompt. Durable on return.

        A label in it moves to the version. `typed` is the same as YAML, as its author typed it, for the file. A file
        that cannot be written does not prevent the version.

        Raises UserError for an invalid prompt, ConflictError if the newest version is not in `expected`, and
        VersionConflictError if it is not `base` (0: none) and has another content.
        """
        require(who, PROMPTS)
        require(who, SAVE)
        wanted = SaveRequest(
            key, data, expected=expected, base=base, message=_check_message(message), source=source, typed=typed
        )
        async with self._sync.lock({key}):
            (saved,) = await self._importer.save([wanted], who)
        if isinstance(saved, HerdingError):
            raise saved
        return saved

    async def _write_file(self, key: str, *, again: bool = True) -> FileStatus:
        """Write the newest version and its label into the file."""
        await self._sync.reload({key})
        return (await self._sync.files.write([key], again=again))[key]

    async def delete(self, key: str, who: Principal, *, expected: Collection[int] | None = None) -> None:
        """Delete a prompt with its file. Its versions stay in the store.

        A file that cannot be deleted has no effect until it is edited.
        """
        require(who, PROMPTS)
        require(who, PUBLISH)
        async with self._sync.lock():
            old, _ = await self.permissions.require_changeable(key, who)
            check_version(key, old, expected)
            gone = await self._delete_file(key)
            await self._store.retire(key, author=who.id, at=self._clock())
            if gone:
                await self._store.forget_file(key)

    async def _delete_file(self, key: str) -> bool:
        """Delete a prompt's file. Return whether it is gone."""
        if key in self._library.snapshot.prompts:
            try:
                await asyncio.to_thread(self._library.delete, key)
            except ConfigError as error:
                log.warning("delete prompt file failed (%s): %s", key, error)
                return False
        return True

    # Labels

    async def labels(self, key: str, who: Principal) -> Mapping[str, int]:
        """Return the labels of a prompt with their version numbers."""
        require(who, PROMPTS)
        await self._sync.refresh()
        _, head = await self.permissions.require_visible(key, who)
        return dict(head.labels)

    async def move_label(
        self, key: str, label: str, number: int | None, who: Principal, message: str = ""
    ) -> LabelMove:
        """Move a label to a version, or remove it with None, also in the file. Raises NotFoundError and UserError.

        If the label is there already, return its last move.
        """
        self.permissions.check_label(label, who)
        message = _check_message(message)
        async with self._sync.lock():
            _, head = await self.permissions.require_changeable(key, who)
            await self.permissions.check_label_target(key, head, number, who)
            if label == PROD and number is not None:  # its alias becomes an address
                await self.permissions.check_alias(
                    key, (await self.permissions.get_version(key, number, who)).prompt, who
                )
            move = await self._store.move_label(key, label, number, author=who.id, message=message, at=self._clock())
            await self._write_file(key, again=False)
            return move

    async def undo_label_move(self, key: str, label: str, who: Principal) -> LabelMove:
        """Undo the last move of a label that is not undone yet."""
        self.permissions.check_label(label, who)
        async with self._sync.lock():
            await self.permissions.require_changeable(key, who)
            move = await self._store.undo_label_move(key, label, author=who.id, at=self._clock())
            await self._write_file(key, again=False)
            return move

    async def label_moves(
        self, key: str, who: Principal, *, limit: int = 100, label: str | None = None
    ) -> tuple[LabelMove, ...]:
        """Return the moves of one label of a prompt, or of all labels, newest first."""
        require(who, PROMPTS)
        await self._sync.refresh()
        await self.permissions.require_visible(key, who)
        moves = await self._store.label_moves(key, label, limit=min(limit, MANY))
        if allows_all(who.prompts, key):
            return moves
        numbers = {number for move in moves for number in (move.number, move.previous) if number}
        hidden = {number for number in numbers if not await self.permissions.can_see_version(key, number, who)}
        return tuple(move for move in moves if not hidden & {move.number, move.previous})

    # Versions

    async def versions(self, key: str, who: Principal, *, limit: int = 100) -> tuple[PromptVersion, ...]:
        """Return the versions of a prompt, newest first."""
        require(who, PROMPTS)
        await self._sync.refresh()
        await self.permissions.require_visible(key, who)
        found = await self._store.versions(key, limit=max(1, min(limit, MANY)))
        return tuple([version for version in found if await self.permissions.can_see_version(key, version.number, who)])

    async def version(self, key: str, number: int, who: Principal) -> Version:
        """Return one version of a prompt. Raises NotFoundError."""
        require(who, PROMPTS)
        await self._sync.refresh()
        _, head = await self.permissions.require_visible(key, who)
        edition = await self.permissions.get_version(key, number, who)
        about = await self._store.version(key, number)
        if about is None:
            raise version_not_found(key, number)
        labels, file = tuple(label for label, at in head.labels.items() if at == number), self._sync.state(key).file
        return Version(about, edition.prompt.content, labels, file.number if file else None)

    async def yaml(self, key: str, number: int | None, who: Principal) -> str:
        """Return a version (None: the newest) as the text of a prompt file, with its label."""
        require(who, PROMPTS)
        await self._sync.refresh()
        newest, head = await self.permissions.require_visible(key, who)
        edition = await self.permissions.get_version(key, newest.number if number is None else number, who)
        return _to_text(edition, head)

    async def diff(self, key: str, a: int | None, b: int | None, who: Principal) -> PromptDiff:
        """Compare version `a` (None: the one before `b`) of a prompt with version `b` (None: the newest)."""
        require(who, PROMPTS)
        await self._sync.refresh()
        newest, _ = await self.permissions.require_visible(key, who)
        b = newest.number if b is None else b
        a = max(1, b - 1) if a is None else a
        one, other = [(await self.permissions.get_version(key, number, who)).prompt for number in (a, b)]
        return await asyncio.to_thread(compare, one.content, other.content)

    # Conflicts

    async def conflicts(self, who: Principal) -> tuple[PromptConflict, ...]:
        """Return the conflicts: prompts that were saved while their files were edited."""
        require(who, PROMPTS)
        require(who, SAVE)
        await self._sync.refresh()
        found = [state.conflict for state in self._sync.states.values() if state.conflict and not state.retired]
        return tuple([conflict for conflict in found if await self.permissions.can_see(conflict.key, who)])

    async def resolve(self, key: str, number: int, who: Principal, *, message: str = "") -> SaveResult:
        """Resolve a conflict: make the content of version `number` the newest version, and write it into the file.

        Raises NotFoundError if there is no conflict or no version with this number.
        """
        require(who, PROMPTS)
        require(who, SAVE)
        message = _check_message(message)
        async with self._sync.lock():
            newest, _ = await self.permissions.require_changeable(key, who)
            conflict = self._sync.state(key).conflict
            if conflict is None:
                raise NotFoundError(f"Prompt '{key}' has no conflict.", param="key")
            await self.permissions.check_overwrite(key, newest, who)
            chosen = await self.permissions.get_version(key, number, who)
            self.permissions.check_content(chosen.prompt, who)
            await self.permissions.check_changes(key, chosen.prompt, newest, who)
            if number != newest.number:
                saved = await self._store.save_version(
                    key,
                    chosen.prompt.content_json,
                    author=who.id,
                    message=message or f"chosen: version {number}",
                    source="ui",
                    at=self._clock(),
                    base=newest.number,
                )
                self._version_cache.put(RunnableVersion(key, saved.number, chosen.prompt))
            await self._sync.resolve_conflict(key, conflict.theirs)
            file = await self._write_file(key)
            at = self._sync.state(key).newest
            return SaveResult(key, at, new=False, changed=at != newest.number, file=file)

    # Bundles

    async def export(self, who: Principal) -> bytes:
        """Return all visible prompts, each at the newest visible version, as a zip of prompt files."""
        require(who, PROMPTS)
        await self._sync.refresh()
        texts: dict[str, str] = {}
        for key, head in self._version_cache.heads.items():
            if live := await self.permissions.visibility.live(key, who):
                newest = await self.permissions.can_see_version(key, head.newest, who)
                edition = await self.permissions.get_version(key, head.newest, who) if newest else live
                texts[key] = _to_text(edition, head)
        return await asyncio.to_thread(bundle.pack, texts)

    async def import_bundle(self, data: bytes, who: Principal) -> list[ImportResult]:
        """Import every prompt of a zip of prompt files separately. Unchanged prompts are skipped."""
        require(who, PROMPTS)
        require(who, SAVE)
        found = await asyncio.to_thread(bundle.unpack, data)
        results = [ImportResult(one.key, error=one.error) for one in found]
        for places in _batches(found):
            requests = [
                SaveRequest(found[at].key, found[at].data, message="imported", source="import") for at in places
            ]
            for at, saved in zip(places, await self._import_batch(requests, who), strict=True):
                results[at] = _import_result(found[at].key, saved)
        return results

    async def _import_batch(
        self, requests: Sequence[SaveRequest], who: Principal
    ) -> Sequence[SaveResult | HerdingError]:
        """Save some prompts of a bundle. Other changes may happen between batches."""
        try:
            async with self._sync.lock({one.key for one in requests}):
                return await self._importer.save(requests, who)
        except HerdingError as error:
            return [error for _ in requests]


def _import_result(key: str, saved: SaveResult | HerdingError) -> ImportResult:
    return ImportResult(key, error=saved.message) if isinstance(saved, HerdingError) else ImportResult(key, saved)


def _batches(found: Sequence[bundle.BundleEntry]) -> Iterator[Sequence[int]]:
    """Yield the positions of prompts to save together. No batch contains a key twice."""
    left = [at for at, one in enumerate(found) if not one.error]
    while left:
        first = {found[at].key: at for at in reversed(left)}
        places = sorted(first.values())
        yield from in_batches(places)
        left = [at for at in left if first[found[at].key] != at]


def _check_message(text: str) -> str:
    if len(text) > MAX_MESSAGE:
        raise UserError(f"The change note is longer than {MAX_MESSAGE} characters. Shorten it.", param="message")
    return text


def _to_text(edition: RunnableVersion, head: Head) -> str:
    label = head.label_of(edition.number)
    return dump_file(edition.prompt.content | ({"label": label} if label else {}))
