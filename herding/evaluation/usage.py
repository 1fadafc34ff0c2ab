"""Statistics of requests: counts, tokens, money and times, by user, token, prompt, model, node and day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from herding.access.operations import HISTORY_ALL, USAGE
from herding.access.roles import only_own, require
from herding.errors import NotFoundError, UserError
from herding.store import Store
from herding.values import GroupName, HistoryFilter, Principal, UsageGroup, UsageSum
from herding.values.durations import DAY_MS

MAX_NAMES = 3
"""The most names that requests are grouped by at once."""

MAX_DAYS = 3_700
"""The most days that are listed one by one, requests or not."""


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The sums of the requests that match `where`, all together and by group.

    Grouped by day alone, it has every day of the period, also those without requests.
    """

    by: tuple[GroupName, ...]
    where: HistoryFilter
    total: UsageSum
    groups: tuple[UsageGroup, ...]

    def table(self) -> pd.DataFrame:
        """Return a row for each group, with its values and its sums; times are texts, costs nano-dollars."""
        rows = [[*group.key, *(getattr(group.sums, name) for name in SUMS)] for group in self.groups]
        table = pd.DataFrame(rows, columns=[*self.by, *SUMS], dtype=object)
        for name in (name for name in self.by if name in TIME_FORMATS):
            times = pd.to_datetime(table[name].astype("int64"), unit="ms", utc=True)
            table[name] = times.dt.strftime(TIME_FORMATS[name]).astype(object)
        return table


TIME_FORMATS = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H:00Z", "minute": "%Y-%m-%dT%H:%MZ"}
"""The names that are times, and how they are written."""

SUMS = tuple(UsageSum.__dataclass_fields__)


class UsageReports:
    """Adds up requests: all of them for principals with that right, else only the principal's own.

    Every method raises AccessError without the right to see the usage, and for a filter that names another user.
    """

    def __init__(self, *, store: Store, clock: Callable[[], int]) -> None:
        self._store, self._clock = store, clock

    async def report(self, by: Sequence[GroupName], where: HistoryFilter, who: Principal) -> UsageReport:
        """Return the sums of the matching requests by up to three names.

        Raises UserError for more names, NotFoundError for a token of another user.
        """
        require(who, USAGE)
        names = tuple(dict.fromkeys(by))
        if len(names) > MAX_NAMES:
            raise UserError(f"Group by at most {MAX_NAMES} names.", param="group_by")
        where = await self._visible(where, who)
        total, groups = await self._store.usage_sums(where, names)
        if names == ("day",):
            groups = self._every_day(groups, where)
        return UsageReport(names, where, total, groups)

    async def users(self, who: Principal) -> tuple[str, ...]:
        """Return the users whose requests the principal may see, in order."""
        require(who, USAGE)
        if HISTORY_ALL not in who.rights:
            return (who.id,)
        return (await self._store.facets(principal=None)).users

    async def _visible(self, where: HistoryFilter, who: Principal) -> HistoryFilter:
        everything = HISTORY_ALL in who.rights
        if where.token is not None and not everything:
            own = {token.id for token in await self._store.tokens(who.id)} | {who.token}
            if where.token not in own:
                raise NotFoundError("Token not found.", param="token")
        return only_own(where, who, None if everything else who.id)

    def _every_day(self, groups: Sequence[UsageGroup], where: HistoryFilter) -> tuple[UsageGroup, ...]:
        """Return a group for each day of the period, or of that with requests where it has no bounds."""
        found = {int(group.key[0] or 0): group for group in groups}
        first = where.since if where.since is not None else min(found, default=None)
        last = where.until - 1 if where.until is not None else max(found, default=None)
        if where.until is None and where.since is not None:
            last = max(self._clock(), last or 0)
        if first is None or last is None or first > last:
            return tuple(groups)
        days = range(first - first % DAY_MS, last + 1, DAY_MS)
        if len(days) > MAX_DAYS:
            raise UserError(f"Choose a period of at most {MAX_DAYS:,} days.", param="from")
        return tuple(found.get(day) or UsageGroup((day,), UsageSum()) for day in days)
