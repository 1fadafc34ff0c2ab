"""Finds patterns of roles that match no prompt, such as `greeting@prod` where nothing has the label prod."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase

from herding.access.operations import ADMINISTER, USERS
from herding.access.role_file import Roles
from herding.access.roles import require, split_pattern
from herding.studio.version_cache import DEV, NEWEST, VersionCache
from herding.values import Principal

WATCH_SECONDS = 2.0

log = logging.getLogger(__name__)


class RolePatterns:
    """Compares the patterns of `allow_prompts` with the prompts that exist."""

    def __init__(self, version_cache: VersionCache, roles: Roles) -> None:
        self._version_cache, self._roles = version_cache, roles

    def unmatched(self, who: Principal) -> Sequence[str]:
        """Return a warning for each pattern that matches no prompt, or no version of one. Raises AccessError."""
        require(who, USERS)
        require(who, ADMINISTER)
        return self._unmatched()

    async def watch(self) -> None:
        """Log each pattern that begins to match nothing; never returns."""
        logged: Sequence[str] = ()
        while True:
            found = self._unmatched()
            for warning in found:
                if warning not in logged:
                    log.warning("prompt pattern without effect: %s", warning)
            logged = found
            await asyncio.sleep(WATCH_SECONDS)

    def _unmatched(self) -> Sequence[str]:
        return [
            f"Role '{name}': the pattern '{pattern}' of allow_prompts matches nothing."
            for name in self._roles.names
            for pattern in self._roles.get(name).prompts
            if not self._matches(pattern)
        ]

    def _matches(self, pattern: str) -> bool:
        glob, version = split_pattern(pattern)
        heads = [head for key, head in self._version_cache.heads.items() if fnmatchcase(key, glob)]
        if version is None or not heads:
            return bool(heads) or pattern == "*"
        return any(
            fnmatchcase(name, version)
            for head in heads
            for name in (*head.labels, NEWEST, DEV, *map(str, range(1, head.newest + 1)))
        )
