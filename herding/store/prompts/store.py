"""The part of the store that keeps prompts: versions, labels, drafts, and what the prompt files hold."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from herding.errors import HerdingError
from herding.store.database import Reader
from herding.store.ledger import lock_number
from herding.store.prompts import drafts, files, labels, versions
from herding.store.rows import storable
from herding.store.writer import Writer
from herding.values import (
    ANY_DRAFT,
    Draft,
    DraftStep,
    FileState,
    LabelMove,
    NewVersion,
    PromptConflict,
    PromptState,
    PromptVersion,
    SeenDraft,
    Source,
)


class PromptStore:
    """Keeps prompts. What is written is durable when a method returns.

    `place` is the directory whose prompt files it keeps the state of, and `place_is_new` is true until all of them were
    compared for the first time.
    """

    place = ""
    place_is_new = False

    def __init__(self, *, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def save_version(
        self, key: str, content: str, *, author: str, message: str, source: Source, at: int, base: int | None = None
    ) -> PromptVersion:
        """Save a version with the next number, from 1; return the newest one if it has the same content.

        `base` is the newest version that the author knows, 0 for a new prompt, None for any. Raises
        VersionConflictError if another one is the newest, unless it has the same content. A deleted prompt is restored
        with the next number; both 0 and its newest version are a valid base.
        """
        new = NewVersion(key, content, author=author, message=message, source=source, at=at, base=base)
        return await self._writer.call(lambda c: files.save_version(c, new, self.place), locks=[_lock(key)])

    async def save_versions(self, new_versions: Sequence[NewVersion]) -> list[PromptVersion | HerdingError]:
        """Save many versions, each with its label and the state of its file, and return a result for each.

        Each is saved completely or not at all, and independently of the others. They share a few transactions; other
        rows wait behind them, so pass some hundreds at once.
        """
        writes = [
            self._writer.call(partial(files.save_version, new=new, place=self.place), locks=[_lock(new.key)])
            for new in new_versions
        ]
        results: list[PromptVersion | HerdingError] = []
        for result in await asyncio.gather(*writes, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, HerdingError):
                raise result
            results.append(result)
        return results

    async def versions(self, key: str, *, limit: int, before: int | None = None) -> tuple[PromptVersion, ...]:
        """Return the newest `limit` versions of a prompt, or of those with a number below `before`, newest first."""
        limit = max(0, limit)
        return await self._reader.run(lambda c: versions.newest(c, key, limit=limit, before=before))

    async def version(self, key: str, number: int) -> PromptVersion | None:
        """Return one version of a prompt, also of a deleted one."""
        return await self._reader.run(lambda c: versions.find(c, key, number))

    async def retire(self, key: str, *, author: str, at: int) -> None:
        """Mark a prompt as deleted, until a version of it is saved again; the first time counts. Raises NotFoundError.

        Its versions and labels stay, for the history and for its return.
        """
        await self._writer.call(lambda c: versions.retire(c, key=key, author=author, at=at), locks=[_lock(key)])

    async def move_label(
        self, key: str, label: str, number: int | None, *, author: str, message: str, at: int
    ) -> LabelMove:
        """Set a label of a prompt to a version, or remove it with None.

        If the label is there already, nothing is written and its last move is returned. Raises UserError for an
        invalid label, NotFoundError for an unknown version or for a label to remove that does not exist.
        """
        labels.check(label)
        return await self._writer.call(
            lambda c: labels.move(c, key=key, label=label, number=number, author=author, message=message, at=at),
            locks=[_lock(key)],
        )

    async def undo_label_move(self, key: str, label: str, *, author: str, at: int) -> LabelMove:
        """Undo the last move of a label, and with each further call the one before; NotFoundError after the first.

        The label returns to where it was before that move; it is removed if that was its first. An undo is a move
        that names the one it `undoes`, and cannot be undone itself. After moves to 1, 2 and 3: undo gives 2; a move
        to 5; undo gives 2, then 1, then no label.
        """
        return await self._writer.call(
            lambda c: labels.undo(c, key=key, label=label, author=author, at=at), locks=[_lock(key)]
        )

    async def labels(self, key: str) -> dict[str, int]:
        """Return the versions of a prompt's labels."""
        return await self._reader.run(lambda c: labels.current(c, key))

    async def label_moves(self, key: str, label: str | None = None, *, limit: int) -> tuple[LabelMove, ...]:
        """Return the newest `limit` moves of one label of a prompt, or of all with None, newest first."""
        limit = max(0, limit)
        return await self._reader.run(lambda c: labels.moves(c, key, label, limit=limit))

    async def save_draft(
        self,
        principal: str,
        key: str,
        content: str,
        *,
        base: int,
        at: int,
        known: str | None = None,
        seen: SeenDraft = ANY_DRAFT,
    ) -> Draft:
        """Save the draft of a principal, based on version `base` of a prompt (0 for a new one).

        Steps to go back to are added for the first text; for a text that comes 10 seconds after the last step, or is
        more than 40 characters longer or shorter; for one that stood for 10 seconds; and for one that is overwritten
        although it is not the `known` one. The latest 200 are kept.

        Return the draft as it is stored. Raises DraftConflictError if another page than those of `seen` changed it
        since.
        """
        draft = Draft(principal, key, storable(content), base, at, seen.page)
        await self._writer.call(lambda c: drafts.save(c, draft, known, seen), locks=[_draft_lock(principal, key)])
        return draft

    async def draft(self, principal: str, key: str) -> Draft | None:
        """Return the draft that a principal has of a prompt."""
        return await self._reader.run(lambda c: drafts.find(c, principal, key))

    async def drafts(self, principal: str) -> tuple[Draft, ...]:
        """Return all drafts of a principal, the last changed first."""
        return await self._reader.run(lambda c: drafts.all_of(c, principal))

    async def draft_steps(self, principal: str, key: str) -> tuple[DraftStep, ...]:
        """Return the steps of a draft, oldest first; its text may be newer than the last."""
        return await self._reader.run(lambda c: drafts.steps(c, principal, key))

    async def discard_draft(self, principal: str, key: str, *, seen: SeenDraft = ANY_DRAFT) -> None:
        """Delete a draft with its steps, if there is one. Raises DraftConflictError as `save_draft` does."""
        await self._writer.call(lambda c: drafts.discard(c, principal, key, seen), locks=[_draft_lock(principal, key)])

    async def editors(self, key: str, *, since: int) -> tuple[str, ...]:
        """Return who changed a draft of a prompt at an instant (Unix milliseconds) or later, by name."""
        return await self._reader.run(lambda c: drafts.editors(c, key, since=since))

    async def record_files(self, states: Sequence[FileState], *, place: str | None = None) -> None:
        """Note which version each prompt file of a directory (default: ours) holds; this ends their conflicts."""
        if states:
            await self._writer.call(lambda c: files.record(c, states, self.place if place is None else place))

    async def find_versions(self, contents: Mapping[str, str]) -> dict[str, int]:
        """Return the newest version of each prompt that has this content, by key."""
        return await self._reader.run(lambda c: files.numbers(c, contents)) if contents else {}

    async def forget_file(self, key: str) -> None:
        """Delete the state of a prompt's file, and its conflict, if there is any."""
        await self._writer.call(lambda c: files.forget(c, key, self.place))

    async def save_conflict(
        self, conflict: PromptConflict, content: str, *, author: str, message: str, file: str = ""
    ) -> PromptVersion:
        """Save what a file holds, which was edited while its prompt was saved, as a version, and note the conflict.

        `theirs` becomes the number of that version; its base is the newest one, `theirs - 1`. The conflict lasts until
        `record_files` or `forget_file` ends it. Raises VersionConflictError if another version is the newest by now.
        """
        return await self._writer.call(
            lambda c: files.save_conflict(c, conflict, content, author=author, message=message, file=file),
            locks=[_lock(conflict.key)],
        )

    async def prompt_states(self, keys: Collection[str] | None = None) -> dict[str, PromptState]:
        """Return the state of every prompt, deleted ones included, at one moment; or of a few, by their keys."""
        return await self._reader.run(lambda c: files.states(c, keys, self.place))


def _lock(key: str) -> int:
    return lock_number(f"prompt {key}")


def _draft_lock(principal: str, key: str) -> int:
    return lock_number(f"draft {principal} {key}")
