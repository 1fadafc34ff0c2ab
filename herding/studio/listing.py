"""The prompts as people see them: the versions that are served, who serves them, and how they did."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from herding.access.roles import may_see
from herding.errors import NotFoundError, StoreError
from herding.herd.fleet import Fleet
from herding.herd.listing import usable
from herding.prompts.body import dump_body
from herding.prompts.library import Library
from herding.prompts.model import Prompt
from herding.studio.cached_stats import CachedStats
from herding.studio.sync import Sync
from herding.studio.version_cache import DEV, Edition, Head, VersionCache
from herding.values import Principal, PromptInfo, PromptStats


class Listing:
    """Gathers what is known of prompts. Who may ask is checked before; what they may see, here."""

    def __init__(
        self, *, library: Library, version_cache: VersionCache, sync: Sync, tally: CachedStats, fleet: Fleet
    ) -> None:
        self._library, self._version_cache, self._sync = library, version_cache, sync
        self._tally, self._fleet = tally, fleet
        self._bodies: dict[str, tuple[Prompt, str]] = {}

    async def visible(self, who: Principal) -> list[Edition]:
        """The prompts that `who` may see, as they are served; without a number while the store takes no new one."""
        await asyncio.to_thread(self._library.refresh)
        found: dict[str, Edition] = {}
        try:
            await self._sync.settle()
        except StoreError:
            for key, loaded in self._library.snapshot.prompts.items():
                found[key] = Edition(key, 0, loaded.prompt, loaded.notes)
        for key in list(self._version_cache.heads):
            with suppress(StoreError, NotFoundError):
                found[key] = await self._version_cache.find(key)
        return [found[key] for key in sorted(found) if may_see(who, key, found[key].prompt.roles)]

    async def infos(self, prompts: Sequence[Edition], who: Principal) -> list[PromptInfo]:
        """The prompts with their figures, for somebody who may see them."""
        stats = await self._tally.read()
        return [self._info(found, stats, who) for found in prompts]

    async def sketch(self, found: Edition, who: Principal) -> PromptInfo:
        """The same of a prompt that is written and not saved."""
        (info,) = await self.infos([found], who)
        self._bodies.pop(found.key, None)
        return info

    def _info(self, found: Edition, stats: Mapping[str, PromptStats], who: Principal) -> PromptInfo:
        prompt, herd = found.prompt, usable(self._fleet, who)
        head = self._version_cache.heads.get(found.key, Head(found.number))
        served = {m: tuple(node.name for node in herd if m in node.serves) for m in prompt.target_models}
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
            parameters=prompt.parameters.value(),
            checks=prompt.checks.model_dump(exclude_none=True),
            served=served,
            stats=stats.get(found.key, PromptStats()),
            notes=found.notes,
            version=found.number,
            roles=None if prompt.roles is None else tuple(prompt.roles),
            cors=tuple(prompt.cors or ()),
            content=prompt.content,
            newest=head.newest,
            labels=dict(head.labels),
        )

    def _body(self, found: Edition) -> str:
        """The prompt's text as YAML; it is written anew when another version is served."""
        known = self._bodies.get(found.key)
        if known is None or known[0] is not found.prompt:
            known = self._bodies[found.key] = (found.prompt, dump_body(found.prompt))
        return known[1]
