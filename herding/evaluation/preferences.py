"""Which of two answers people find better: "A is better" of the tab where answers stand side by side.

Preferences are kept for people and for evaluations to read. The routing does not learn from them: its record counts
stars, which say how good an answer is, while a pair only says which of two is better, and may well compare two versions
of a prompt on one and the same model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from herding.access.operations import RATE
from herding.access.roles import require
from herding.errors import UserError
from herding.store import Store
from herding.values import Preference, Principal


class Preferences:
    """Keeps, gives back and takes back preferences; everybody has their own, one for two requests.

    Every method takes the principal who asks and raises AccessError without the right to rate. `see` raises
    NotFoundError where there is no such request for them.
    """

    def __init__(
        self, *, store: Store, see: Callable[[str, Principal], Awaitable[None]], clock: Callable[[], int]
    ) -> None:
        self._store, self._see, self._clock = store, see, clock

    async def prefer(self, better: str, worse: str, who: Principal, *, equal: bool = False) -> Preference:
        """Say that one answer is better than another, or that they are equal; durable on return."""
        await self._check(better, worse, who)
        said = Preference(better, worse, who.id, equal=equal, at=self._clock())
        await self._store.save_preference(said)
        return said

    async def take_back(self, one: str, other: str, who: Principal) -> None:
        """Say nothing of two answers any more, whichever was the better one; durable on return."""
        await self._check(one, other, who)
        await self._store.delete_preference(one, other, who.id)

    async def of(self, one: str, other: str, who: Principal) -> Preference | None:
        """What `who` said of two answers, in whichever order; None where nothing."""
        await self._check(one, other, who)
        return await self._store.preference(one, other, who.id)

    async def _check(self, one: str, other: str, who: Principal) -> None:
        require(who, RATE)
        if one == other:
            raise UserError("Name two different requests: an answer is not better than itself.", param="worse")
        await self._see(one, who)
        await self._see(other, who)
