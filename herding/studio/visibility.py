"""The versions of prompts that a principal may see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from herding.access.prompt_patterns import allows_all, allows_some, allows_version
from herding.access.roles import has_role
from herding.studio.version_cache import Head, RunnableVersion, VersionCache
from herding.values import Principal


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
