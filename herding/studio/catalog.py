"""The prompts that a principal may use: resolves references to versions, and describes prompts for lists."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath

from herding.access.operations import EDIT, PROMPTS, RUN, SAVE
from herding.access.roles import allows, allows_all, allows_some, allows_version, has_role, require
from herding.errors import AccessError, ConfigError, NotFoundError, StoreError
from herding.nodes.base import Node
from herding.prompts.library import Library
from herding.prompts.model import Prompt, check_key, dump_body, prompt_not_found
from herding.prompts.prompt_file import parse_body, parse_prompt
from herding.studio.sync import Sync
from herding.studio.version_cache import DEV, Head, RunnableVersion, VersionCache
from herding.values import Principal, PromptInfo, PromptStats, Request

SLOW_SECONDS = 0.2
"""A count that takes longer is cached."""

CACHE_FACTOR = 10
"""A slow count is cached for this multiple of its duration."""

Stats = Mapping[str, PromptStats]


class CachedStats:
    """Reads the statistics of prompts, and caches them for ten times as long as a slow count takes."""

    def __init__(self, count: Callable[[], Awaitable[Stats]], clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._clock = count, clock
        self._known: Stats = {}
        self._until = float("-inf")

    async def read(self) -> Stats:
        """Return the statistics by prompt key."""
        began = self._clock()
        if began < self._until:
            return self._known
        self._known = await self._count()
        ended = self._clock()
        took = ended - began
        self._until = ended + CACHE_FACTOR * took if took > SLOW_SECONDS else float("-inf")
        return self._known


class Visibility:
    """Decides by the role's patterns (`greeting`, `greeting@prod`, `greeting@3`) and the roles of the prompt itself."""

    def __init__(self, version_cache: VersionCache) -> None:
        self._version_cache = version_cache

    def may_see(self, found: RunnableVersion, who: Principal) -> bool:
        """Return whether `who` may see and run a version."""
        return has_role(who, found.prompt.roles) and self._allows(found.key, found.number, who)

    async def live(self, key: str, who: Principal) -> RunnableVersion | None:
        """Return the version that `who` gets for a key alone; None if they may see no version.

        That is the live version or, for a role that may not see it, the newest one that it may see. The roles of the
        live version hold for all.
        """
        live = await self._version_cache.live(key)
        if live is None or not has_role(who, live.prompt.roles):
            return None
        if allows_all(who.prompts, key) or self._allows(key, live.number, who):
            return live
        head = self._version_cache.heads.get(key, Head(0))
        for number in range(head.newest if allows_some(who.prompts, key) else 0, 0, -1):
            if self._allows(key, number, who):
                found = await self._version_cache.get(key, number)
                if found is not None and has_role(who, found.prompt.roles):
                    return found
        return None

    async def versions(self, key: str, who: Principal) -> frozenset[int]:
        """Return the numbers of all saved versions that `who` may see."""
        head = self._version_cache.heads.get(key, Head(0))
        allowed = [number for number in range(1, head.newest + 1) if self._allows(key, number, who)]
        return frozenset([number for number in allowed if await self._has_role(key, number, who)])

    async def visible_among(self, key: str, numbers: Iterable[int], who: Principal) -> frozenset[int]:
        """Return which of some saved versions `who` may see."""
        return frozenset([n for n in numbers if self._allows(key, n, who) and await self._has_role(key, n, who)])

    async def _has_role(self, key: str, number: int, who: Principal) -> bool:
        found = await self._version_cache.get(key, number)
        return found is not None and has_role(who, found.prompt.roles)

    def labels(self, key: str, head: Head, who: Principal) -> Mapping[str, int]:
        """Return the labels of the versions that `who` may see."""
        return {label: number for label, number in head.labels.items() if self._allows(key, number, who)}

    async def head(self, key: str, who: Principal) -> tuple[RunnableVersion, Head] | None:
        """Return the newest version that `who` may see, and the head as they see it."""
        head, live = self._version_cache.heads.get(key), await self.live(key, who)
        if head is None or live is None:
            return None
        if allows_all(who.prompts, key):
            newest = await self._version_cache.newest(key)
            return (newest, head) if newest else None
        return live, replace(head, newest=live.number, labels=self.labels(key, head, who))

    def _allows(self, key: str, number: int, who: Principal) -> bool:
        head = self._version_cache.heads.get(key)
        return allows_version(who.prompts, key, head.names_of(number) if head else (str(number),))


class PromptCatalog:
    """Finds and lists prompts. Every method raises AccessError if the role of the principal does not allow it.

    `resolve` and `resolve_request` are for the services that have checked the right to run or to edit; they raise
    NotFoundError for what the principal may not see.
    """

    def __init__(
        self,
        *,
        library: Library,
        version_cache: VersionCache,
        sync: Sync,
        nodes: Mapping[str, Node],
        stats: CachedStats,
    ) -> None:
        self._library, self._version_cache, self._sync = library, version_cache, sync
        self._visibility = Visibility(version_cache)
        self._nodes, self._stats = nodes, stats
        self._bodies: dict[str, tuple[Prompt, str]] = {}

    # Resolve

    async def resolve(self, reference: str, who: Principal) -> RunnableVersion:
        """Return the version that `key`, `key@<number>`, `key@<label>` or `key@newest` means.

        A key alone means the live version: the one with the label prod, else the newest. A role that may not see it
        gets the newest version that it may see. Raises NotFoundError.
        """
        await self._sync.sync()
        key, _, version = reference.partition("@")
        live = await self._visibility.live(key, who)
        if live is None:
            raise prompt_not_found(key)
        if not version:
            return live
        found = None
        try:
            found = await self._version_cache.resolve(reference)
        except NotFoundError:
            if allows_all(who.prompts, key):
                raise
        if found is None or not self._visibility.may_see(found, who):
            raise NotFoundError(f"'{key}' has no '{version}' for you.", param="prompt")
        return found

    async def resolve_request(self, request: Request, who: Principal) -> tuple[RunnableVersion, Prompt]:
        """Return the version that a request means, and the prompt to run: that version, or an unsaved edit of it."""
        if request.whole is not None:
            return await self._resolve_unsaved(request.prompt, request.whole, who)
        found = await self.resolve(request.prompt, who)
        if request.template is None:
            return found, found.prompt
        require(who, EDIT)
        require_drafts(found.key, who)
        edited = parse_body(request.template, found.prompt)
        return found, found.prompt if edited.digest == found.prompt.digest else edited

    async def _resolve_unsaved(self, reference: str, text: str, who: Principal) -> tuple[RunnableVersion, Prompt]:
        """Return the saved version (number 0 for a new prompt) and the prompt in the YAML `text`."""
        require(who, SAVE)  # the caller could also save the text and run it
        key = reference.partition("@")[0]
        saved = None
        try:
            saved = await self.resolve(reference, who)
            require_drafts(key, who)
        except NotFoundError:
            if key in self._version_cache.heads or not allows_all(who.prompts, key):
                raise
        prompt = await asyncio.to_thread(parse_prompt, key, text)
        if saved is None:
            check_key(key)
            return RunnableVersion(key, 0, prompt), prompt
        return saved, saved.prompt if prompt.digest == saved.prompt.digest else prompt

    async def visible_versions(self, key: str, who: Principal) -> frozenset[int] | None:
        """Return the numbers of the versions that `who` may see; None for those who may see all, and drafts."""
        return None if allows_all(who.prompts, key) else await self._visibility.versions(key, who)

    async def visible_among(self, key: str, numbers: Iterable[int], who: Principal) -> frozenset[int]:
        """Return which of some versions `who` may see, by their own roles and by those of the prompt."""
        return await self._visibility.visible_among(key, numbers, who)

    def resolve_alias(self, path: str) -> tuple[str, Mapping[str, str]] | None:
        """Return the key of the prompt with this short address, and its variables by their names in the query."""
        return self._version_cache.alias(path)

    # List

    async def find(self, reference: str, who: Principal) -> RunnableVersion:
        """Resolve a reference for a principal who may run prompts."""
        require(who, RUN)
        return await self.resolve(reference, who)

    async def runnable(self, who: Principal) -> Sequence[RunnableVersion]:
        """Return the live versions that `who` may run."""
        require(who, RUN)
        return await self.visible(who)

    async def list_all(self, who: Principal) -> list[PromptInfo]:
        """Return all visible prompts with the nodes that serve them and their statistics."""
        require(who, PROMPTS)
        return await self._infos(await self.visible(who), who)

    async def get(self, reference: str, who: Principal) -> PromptInfo:
        """Return one prompt. Raises the errors of `resolve`."""
        require(who, PROMPTS)
        await asyncio.to_thread(self._library.refresh)
        (info,) = await self._infos([await self.resolve(reference, who)], who)
        if SAVE not in who.rights:
            return info
        return replace(info, text=await self._sync.files.text(info.key, info.version))

    async def sketch(self, key: str, whole: str, who: Principal) -> PromptInfo:
        """Return an unsaved prompt, given as YAML. Raises UserError with the line and the key of an error."""
        require(who, PROMPTS)
        found, prompt = await self._resolve_unsaved(key, whole, who)
        (info,) = await self._infos([replace(found, prompt=prompt)], who)
        self._bodies.pop(found.key, None)
        return info

    async def broken(self, who: Principal) -> tuple[ConfigError, ...]:
        """Return the errors of the files that did not load, for those who may save the prompts in them."""
        require(who, PROMPTS)
        if SAVE not in who.rights:
            return ()
        return tuple(error for error in self._library.snapshot.broken if _is_of(error, who))

    async def visible(self, who: Principal) -> Sequence[RunnableVersion]:
        """Return the live versions that `who` may see. Their number is 0 while the store is not available."""
        await asyncio.to_thread(self._library.refresh)
        found: dict[str, RunnableVersion] = {}
        try:
            await self._sync.sync()
        except StoreError:
            for key, loaded in self._library.snapshot.prompts.items():
                if allows_all(who.prompts, key) and has_role(who, loaded.prompt.roles):
                    found[key] = RunnableVersion(key, 0, loaded.prompt, loaded.notes)
        for key in tuple(self._version_cache.heads):
            with suppress(StoreError):
                live = await self._visibility.live(key, who)
                found.pop(key, None)
                if live:
                    found[key] = live
        return [found[key] for key in sorted(found)]

    async def _infos(self, prompts: Sequence[RunnableVersion], who: Principal) -> list[PromptInfo]:
        stats = await self._stats.read()
        nodes = [node for name, node in self._nodes.items() if allows(who.nodes, name)]
        return [self._info(found, stats, nodes, who) for found in prompts]

    def _info(
        self, found: RunnableVersion, stats: Mapping[str, PromptStats], nodes: Sequence[Node], who: Principal
    ) -> PromptInfo:
        prompt = found.prompt
        head = self._version_cache.heads.get(found.key, Head(found.number))
        if not allows_all(who.prompts, found.key):
            head = replace(head, newest=found.number, labels=self._visibility.labels(found.key, head, who))
        served = {model: tuple(node.name for node in nodes if model in node.serves) for model in prompt.target_models}
        return PromptInfo(
            key=found.key,
            name=prompt.name,
            description=prompt.description,
            tags=tuple(prompt.tags),
            label=head.label_of(found.number) or DEV,
            chat=prompt.chat,
            target_models=tuple(prompt.target_models),
            variables={name: variable.model_dump() for name, variable in prompt.variables.items()},
            body=self._body(found),
            parameters=prompt.parameters.value,
            checks=prompt.checks.model_dump(exclude_none=True),
            served=served,
            stats=stats.get(found.key, PromptStats()),
            notes=(*found.notes, *prompt.notes),
            version=found.number,
            roles=None if prompt.roles is None else tuple(prompt.roles),
            cors=tuple(prompt.cors or ()),
            content=prompt.content,
            newest=head.newest,
            labels=dict(head.labels),
        )

    def _body(self, found: RunnableVersion) -> str:
        """Return the prompt's text as YAML, cached until another version is live."""
        known = self._bodies.get(found.key)
        if known is None or known[0] is not found.prompt:
            known = self._bodies[found.key] = (found.prompt, dump_body(found.prompt))
        return known[1]


def require_drafts(key: str, who: Principal) -> None:
    """Raise AccessError unless `who` may run every version of a prompt, and so unsaved changes of it."""
    if allows_some(who.prompts, key) and not allows_all(who.prompts, key):
        raise AccessError(f"The role '{who.role}' may run only some saved versions of this prompt.", param="prompt")


def _is_of(error: ConfigError, who: Principal) -> bool:
    """Return whether the role may see the prompt of a file, or it concerns the whole directory."""
    key = PurePosixPath(*PurePosixPath(error.file or "").parts[1:]).with_suffix("") if error.file else None
    return key is None or not key.name or allows_all(who.prompts, str(key))
