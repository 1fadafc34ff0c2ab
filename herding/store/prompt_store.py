"""What the prompt studio asks of the store: versions, labels, drafts, and what the prompt files hold."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from herding.errors import HerdingError
from herding.store import conflicts, drafts, labels, ledger, saves, versions
from herding.store.reader import Reader
from herding.store.writer import Writer
from herding.values import (
    Draft,
    DraftStep,
    FileState,
    LabelMove,
    NewVersion,
    PromptConflict,
    PromptState,
    PromptVersion,
    Retired,
    Source,
)


class PromptStore:
    """The part of the store that keeps prompts. What is written is durable when a method returns."""

    def __init__(self, *, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def save_version(
        self, key: str, content: str, *, author: str, message: str, source: Source, at: int, base: int | None = None
    ) -> PromptVersion:
        """A new version with the next number, from 1; the newest one where that has the same content.

        `base` is the newest version that the author knows, 0 for a new prompt, None for whatever is there. Raises
        VersionConflictError where another one is the newest, unless it has the same content. A deleted prompt comes
        back by this, with the next number; it counts as new as well as at its newest version.
        """
        task = versions.save(key=key, content=content, author=author, message=message, source=source, at=at, base=base)
        return await self._writer.call(task, locks=[_lock(key)])

    async def save_versions(self, wanted: Sequence[NewVersion]) -> list[PromptVersion | HerdingError]:
        """Many versions, each as `save_version` writes it, with its label and with what its file holds.

        Each is there with all of that or not at all, and what is wrong with one hinders no other. They share a few
        transactions; other rows wait behind them, so ask for some hundreds at once.
        """
        kept = [self._writer.call(saves.save(one), locks=[_lock(one.key)]) for one in wanted]
        found: list[PromptVersion | HerdingError] = []
        for result in await asyncio.gather(*kept, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, HerdingError):
                raise result
            found.append(result)
        return found

    async def versions(self, key: str, *, limit: int, before: int | None = None) -> tuple[PromptVersion, ...]:
        """The newest `limit` versions of a prompt, or of those with a number below `before`, newest first."""
        limit = max(0, limit)
        return await self._reader.run(lambda c: versions.several(c, key, limit=limit, before=before))

    async def version(self, key: str, number: int) -> PromptVersion | None:
        """One version of a prompt, also of a deleted one; None where there is none."""
        return await self._reader.run(lambda c: versions.one(c, key, number))

    async def newest_versions(self) -> dict[str, int]:
        """The newest number of every prompt that is not deleted."""
        return await self._reader.run(versions.newest)

    async def retire(self, key: str, *, author: str, at: int) -> None:
        """Deletes a prompt, until a version of it is saved again; the first time counts. Raises NotFoundError.

        Its versions and labels stay, for the history and for its return.
        """
        await self._writer.call(versions.retire(key=key, author=author, at=at), locks=[_lock(key)])

    async def retired(self) -> dict[str, Retired]:
        """The deleted prompts, by key."""
        return await self._reader.run(versions.retired)

    async def move_label(
        self, key: str, label: str, number: int | None, *, author: str, message: str, at: int
    ) -> LabelMove:
        """Sets a label of a prompt to a version, or takes it away with None.

        Where the label stands for that version already, nothing is written, and the last move of it returns. Raises
        UserError for a label that is no short lower-case word, NotFoundError where there is no such version, or no
        label to take away.
        """
        task = labels.move(key=key, label=label, number=number, author=author, message=message, at=at)
        return await self._writer.call(task, locks=[_lock(key)])

    async def take_back_label(self, key: str, label: str, *, author: str, at: int) -> LabelMove:
        """Takes back the last move of a label, and at each further call the one before; NotFoundError after the first.

        The label then stands for what it stood for before that move; it is gone where that was its first. Taking back
        is a move that says which one it `undoes`, and cannot be taken back itself. A new move after it is the next to
        be taken back; what was taken back stays so. After the moves to 1, 2 and 3: take back gives 2; a move to 5;
        take back gives 2, then 1, then no label.
        """
        task = labels.take_back(key=key, label=label, author=author, at=at)
        return await self._writer.call(task, locks=[_lock(key)])

    async def labels(self, key: str) -> dict[str, int]:
        """The versions that the labels of a prompt stand for."""
        return await self._reader.run(lambda c: labels.current(c, key))

    async def all_labels(self) -> dict[str, dict[str, int]]:
        """The versions that labels stand for, by prompt, deleted ones included; without those that have no label."""
        return await self._reader.run(labels.all_of_them)

    async def label_moves(self, key: str, label: str | None = None, *, limit: int) -> tuple[LabelMove, ...]:
        """The newest `limit` moves of one label of a prompt, or of all with None, newest first."""
        limit = max(0, limit)
        return await self._reader.run(lambda c: labels.moves(c, key, label, limit=limit))

    async def save_draft(
        self, principal: str, key: str, content: str, *, base: int, at: int, known: str | None = None
    ) -> None:
        """Keeps the text that somebody is writing on top of version `base` of a prompt (0 for a new one).

        Its steps are what can be gone back to: the first text; one that differs from the last step and comes 10
        seconds later, or is more than 40 characters longer or shorter; one that stood for 10 seconds; and one that this
        overwrites although it is not the `known` one. The latest 200 are kept. A save that runs at the same time as
        `discard_draft` stays.
        """
        rows = drafts.saved(principal=principal, key=key, content=content, base=base, at=at, known=known)
        await self._writer.put(rows)

    async def draft(self, principal: str, key: str) -> Draft | None:
        """Somebody's draft of a prompt, None where there is none."""
        return await self._reader.run(lambda c: drafts.one(c, principal, key))

    async def drafts(self, principal: str) -> tuple[Draft, ...]:
        """All drafts of somebody, the one that changed last first."""
        return await self._reader.run(lambda c: drafts.several(c, principal))

    async def draft_steps(self, principal: str, key: str) -> tuple[DraftStep, ...]:
        """The steps of somebody's draft, oldest first; its text now may be newer than the last."""
        return await self._reader.run(lambda c: drafts.steps(c, principal, key))

    async def discard_draft(self, principal: str, key: str) -> None:
        """Deletes a draft with its steps; it need not be there."""
        await self._writer.put(drafts.discarded(principal=principal, key=key))

    async def editors(self, key: str, *, since: int) -> tuple[str, ...]:
        """Who changed a draft of a prompt at an instant (Unix milliseconds) or later, by name."""
        return await self._reader.run(lambda c: drafts.editors(c, key, since=since))

    async def file_states(self) -> dict[str, FileState]:
        """On what the file of a prompt and the store agreed last, by key."""
        return await self._reader.run(versions.file_states)

    async def agree(self, key: str, *, number: int, digest: str, at: int, file: str = "") -> None:
        """Notes that a prompt's file, whose text has this SHA-256, holds this version; a conflict of it is over."""
        await self.agree_all([FileState(key, number, digest, at, file)])

    async def agree_all(self, states: Sequence[FileState]) -> None:
        """The same of many files at once."""
        if states:
            await self._writer.call(versions.agree(states))

    async def disagree(self, key: str) -> None:
        """Forgets on what a prompt's file and the store agreed, when either is deleted; nothing need be noted."""
        await self._writer.call(versions.disagree(key))

    async def save_conflict(self, found: PromptConflict, content: str, *, author: str, message: str) -> PromptVersion:
        """Keeps what a file holds, which was edited while its prompt was saved, as a version, and notes the conflict.

        `theirs` of it becomes the number of that version; its base is the newest one, `theirs - 1`. It lasts until
        `agree` or `disagree` ends it. Raises VersionConflictError where another version is the newest by now.
        """
        task = conflicts.save(found, content, author=author, message=message)
        return await self._writer.call(task, locks=[_lock(found.key)])

    async def prompt_states(self, keys: Collection[str] | None = None) -> dict[str, PromptState]:
        """What is known of every prompt, deleted ones included, at one moment; or of a few, by their keys."""
        return await self._reader.run(lambda c: conflicts.states(c, keys))


def _lock(key: str) -> int:
    """The number that stands for a prompt where a database locks numbers."""
    return ledger.key(f"prompt {key}")
