"""The studio: where prompts are written. Who may change, publish and delete which of them is decided here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from herding.access.operations import ADMINISTER, PROMPTS, PUBLISH, SAVE
from herding.access.roles import allows, may_see, require
from herding.errors import AccessError, ConflictError, NotFoundError, UserError
from herding.prompts.library import Library, Loaded
from herding.prompts.model import Prompt
from herding.values import Principal


@dataclass(frozen=True, slots=True)
class Saved:
    """A prompt after it was saved. `changed` is false where it was like that before."""

    key: str
    version: int
    new: bool
    changed: bool


class Studio:
    """Saves and deletes prompts, one at a time; the library knows of it when a method returns.

    Every method takes the principal who asks and raises AccessError where their role does not allow it. `version` gives
    the number of a prompt's content, `roles` the names of the roles there are.

    The right `save` allows to write prompts; `publish` allows what others build upon: the label prod, web pages that
    may call a prompt, and the end of a prompt.
    """

    def __init__(
        self,
        *,
        library: Library,
        version: Callable[[Loaded], Awaitable[int]],
        roles: Callable[[], Sequence[str]],
    ) -> None:
        self._library = library
        self._version = version
        self._roles = roles
        self._lock = asyncio.Lock()

    async def save(
        self, key: str, data: Mapping[str, Any], who: Principal, *, expected: Collection[int] | None = None
    ) -> Saved:
        """Make `data`, in the words of a prompt file, the content of a prompt; durable on return.

        UserError says what is wrong with it; ConflictError comes where the prompt is at none of the versions
        `expected`, or where a file cannot be changed from here.
        """
        require(who, PROMPTS)
        require(who, SAVE)
        if not allows(who.prompts, key):
            fitting = ", ".join(who.prompts) or "none"
            raise AccessError(f"The role '{who.role}' may save only prompts whose keys fit: {fitting}.", param="key")
        async with self._lock:
            old = await self._look(key)
            if old:
                _check_old(old, who)
            await self._check_version(old, expected)

            def approve(now: Loaded | None, new: Loaded | None) -> None:
                _refuse_stale(old, now)
                if new:
                    self._check_new(new.prompt, who)

            loaded = await asyncio.to_thread(self._library.save, key, data, approve)
            version = await self._version(loaded)
        changed = old is None or old.prompt.digest != loaded.prompt.digest
        return Saved(key, version, new=old is None, changed=changed)

    async def delete(self, key: str, who: Principal, *, expected: Collection[int] | None = None) -> None:
        """Delete a prompt with its file; its numbered versions stay in the store. NotFoundError where there is none."""
        require(who, PROMPTS)
        require(who, PUBLISH)
        async with self._lock:
            old = await self._look(key)
            if old is None or not may_see(who, key, old.prompt.roles):
                raise NotFoundError(f"There is no prompt '{key}'.", param="prompt")
            await self._check_version(old, expected)
            await asyncio.to_thread(self._library.delete, key, lambda now, _: _refuse_stale(old, now))

    async def _look(self, key: str) -> Loaded | None:
        """The prompt as its file is now."""
        snapshot = await asyncio.to_thread(self._library.refresh)
        return snapshot.prompts.get(key)

    async def _check_version(self, old: Loaded | None, expected: Collection[int] | None) -> None:
        """Also gives what is about to be replaced its number, so that it is kept."""
        version = await self._version(old) if old else None
        if expected is None or (version is not None and version in expected):
            return
        state = f"at version {version}" if version else "not there"
        raise ConflictError(f"The prompt is {state}. Load it again, and repeat your change on it.", param="version")

    def _check_new(self, prompt: Prompt, who: Principal) -> None:
        """Whether `who` may bring a prompt into this form."""
        if _published(prompt):
            require(who, PUBLISH)
        known = self._roles()
        for role in prompt.roles or ():
            if role not in known:
                raise UserError(f"There is no role '{role}'; there are: {', '.join(known)}.", param="roles")
        if prompt.roles and who.role not in prompt.roles and ADMINISTER not in who.rights:
            raise UserError(f"This would hide the prompt from you. Add your own role '{who.role}'.", param="roles")


def _check_old(old: Loaded, who: Principal) -> None:
    """Whether `who` may change the prompt that is there."""
    if not may_see(who, old.key, old.prompt.roles):
        raise AccessError(f"The role '{who.role}' may not save this prompt. Choose another key.", param="key")
    if _published(old.prompt):
        require(who, PUBLISH)


def _published(prompt: Prompt) -> bool:
    return prompt.label == "prod" or bool(prompt.cors)


def _refuse_stale(seen: Loaded | None, now: Loaded | None) -> None:
    """What was checked must be what is changed."""
    if (seen and seen.prompt.digest) != (now and now.prompt.digest):
        raise ConflictError("The prompt's file changed at this moment. Load it again, and repeat your change on it.")
