"""Feedback on responses: stars, comments, and which of two responses is better.

The routing learns from stars, which say how good a response is. It does not learn from preferences: a pair only says
which of two is better, and may well compare two versions of a prompt on the same model.
"""

from __future__ import annotations

from collections.abc import Callable

from herding.access.operations import RATE
from herding.access.roles import owner, require
from herding.errors import NotFoundError, UserError
from herding.evaluation.learning import Learning
from herding.prompts.variables import clean_parameter
from herding.store import Store
from herding.values import Entry, Preference, Principal, Score

MAX_COMMENT = 10_000


class Feedback:
    """Stores the feedback of each principal on the requests that they may see; all of it is durable on return.

    Every method raises AccessError without the right to rate, and NotFoundError where there is no such request.
    `shown` is for front doors that show the response of one principal to others, such as a channel of a chat platform:
    who saw it there may rate it.
    """

    def __init__(self, *, store: Store, learning: Learning, clock: Callable[[], int]) -> None:
        self._store, self._learning, self._clock = store, learning, clock

    async def rate(self, request_id: str, stars: int | None, who: Principal, *, shown: bool = False) -> Score:
        """Give a request 1-5 stars; None removes them.

        Stars of a chain count for the step that made its response, too: that is what the routing can choose.
        """
        entry = await self._check_request(request_id, who, shown=shown)
        if stars is not None and (isinstance(stars, bool) or stars not in (1, 2, 3, 4, 5)):
            raise UserError("A score is 1, 2, 3, 4 or 5 stars.", param="score")
        score = await self._store.rate(request_id=request_id, principal=who.id, stars=stars, at=self._clock())
        self._learning.rated(request_id, who.id, stars)
        if entry.children:
            await self.rate(entry.children[-1].request_id, stars, who, shown=shown)
        return score

    async def comment(self, request_id: str, text: str, who: Principal, *, shown: bool = False) -> Score:
        """Comment on a request; an empty text removes the comment."""
        await self._check_request(request_id, who, shown=shown)
        if len(text) > MAX_COMMENT:
            raise UserError(f"A comment has at most {MAX_COMMENT:,} characters.", param="comment")
        if text and who.opt_out:
            raise UserError("You chose that no texts of yours are kept, so no comment is. Give stars.", param="comment")
        cleaned = clean_parameter(text, "comment")
        return await self._store.comment(request_id=request_id, principal=who.id, text=cleaned, at=self._clock())

    async def prefer(self, better: str, worse: str, who: Principal, *, equal: bool = False) -> Preference:
        """Record that one response is better than another, or that they are equal."""
        await self._check_pair(better, worse, who)
        preference = Preference(better, worse, who.id, equal=equal, at=self._clock())
        await self._store.save_preference(preference)
        return preference

    async def remove_preference(self, one: str, other: str, who: Principal) -> None:
        """Remove the preference between two responses, in whichever order."""
        await self._check_pair(one, other, who)
        await self._store.delete_preference(one, other, who.id)

    async def preference(self, one: str, other: str, who: Principal) -> Preference | None:
        """Return the preference of `who` between two responses, in whichever order; None where there is none."""
        await self._check_pair(one, other, who)
        return await self._store.preference(one, other, who.id)

    async def _check_pair(self, one: str, other: str, who: Principal) -> None:
        require(who, RATE)
        if one == other:
            raise UserError("Name two different requests: a response is not better than itself.", param="worse")
        await self._check_request(one, who)
        await self._check_request(other, who)

    async def _check_request(self, request_id: str, who: Principal, *, shown: bool = False) -> Entry:
        require(who, RATE)
        entry = await self._store.entry(request_id, viewer=who.id, owner=None if shown else owner(who))
        if entry is None:
            raise NotFoundError("Request not found.", param="request_id")
        return entry
