"""The tab "Usage": the limits, the account and the data of the reader, and statistics of requests.

The address has the choices of the statistics: `group`, `metric`, `user`, `period`, `from` and `to`.
"""

from __future__ import annotations

from markupsafe import Markup
from starlette.responses import Response

from herding.access.operations import HISTORY, USAGE
from herding.errors import HerdingError
from herding.store import now_ms
from herding.ui.kit.format import el, failure, join, plural, success
from herding.ui.kit.identity import find_user
from herding.ui.kit.live import poll
from herding.ui.kit.views import Call, Reply, View, fragment
from herding.ui.usage.own import account, limits, sessions
from herding.ui.usage.privacy import privacy
from herding.ui.usage.statistics import Choices, filters, statistics
from herding.values import Principal

REFRESH_SECONDS = 3.0
LIMITS = "usage-limits"
DRAFTS_GONE = {"stale": "engineer"}
"""The drafts on the page are gone: the tab is filled anew when it is opened next."""

LOGIN = "login?out=1"


class UsageTab(View):
    """The limits and the account side by side, and the statistics below."""

    key = "usage"
    label = "Usage"
    rights = frozenset({USAGE})

    @fragment("GET", "", USAGE)
    async def open(self, call: Call) -> Markup:
        """Return the whole tab, with the statistics that the address names."""
        who, orchestrator = call.principal, self._orchestrator
        choices = Choices.read(call)
        try:
            shown = await statistics(choices, orchestrator, who)
        except HerdingError as error:  # such as a day in the address that is none
            shown = failure("Can't show statistics", error.message)
        used = el(
            "section",
            el("h2", "Your limits"),
            el("div", await self._limits(who), id=LIMITS),
            poll("ui/usage/limits", LIMITS, seconds=REFRESH_SECONDS),
            cls="usage-card",
        )
        user = await find_user(who, orchestrator.accounts)
        own = [account(who, user), sessions(await orchestrator.accounts.sessions(who), who)]
        data = await self._data(who)
        side = el("div", used, el("div", data, cls="usage-card") if data else None, cls="usage-side")
        return join(
            [
                el("div", side, el("div", *(part for part in own if part), cls="usage-card"), cls="usage-top"),
                el("h2", "Statistics"),
                await filters(choices, orchestrator, who),
                el("div", shown, id="usage-statistics", cls="usage-statistics"),
            ]
        )

    @fragment("GET", "/limits", USAGE)
    async def limits(self, call: Call) -> Markup:
        """Return the present use of the limits."""
        return await self._limits(call.principal)

    @fragment("GET", "/statistics", USAGE)
    async def statistics(self, call: Call) -> Reply:
        """Return the statistics for other choices, which the address keeps."""
        choices = Choices.read(call)
        return Reply(await statistics(choices, self._orchestrator, call.principal), address=choices.address())

    @fragment("POST", "/opt_out", USAGE)
    async def opt_out(self, call: Call) -> Markup:
        """Turn the storage of this user's content on or off; offer to delete the drafts that are stored."""
        off = call.text("opt_out") == "on"
        try:
            await self._orchestrator.accounts.opt_out(off, call.principal)
        except HerdingError as error:
            return await self._data(call.principal, failure("Not changed", error.message))
        text = "is not stored" if off else "is stored"
        return await self._data(call.principal, success(f"Content of new requests and drafts {text}."))

    @fragment("POST", "/delete_drafts", USAGE)
    async def delete_drafts(self, call: Call) -> Reply:
        """Delete all drafts of the reader."""
        count = await self._orchestrator.accounts.forget_drafts(call.principal)
        note = success(f"Deleted {plural(count, 'draft')}.")
        return Reply(await self._data(call.principal, note), events=DRAFTS_GONE)

    @fragment("POST", "/delete", HISTORY)
    async def delete(self, call: Call) -> Reply:
        """Delete the content of all of the reader's requests, and their drafts."""
        count = await self._orchestrator.accounts.forget(None, call.principal)
        text = f"Deleted the content of {plural(count, 'request')} and all drafts."
        note = success(text if count else "Deleted all drafts. You have no requests.")
        return Reply(await self._data(call.principal, note), events=DRAFTS_GONE)

    @fragment("POST", "/log_out", USAGE)
    async def log_out(self, call: Call) -> Response:
        """End all sessions of the reader."""
        await self._orchestrator.accounts.end_sessions(call.principal)
        return Response(headers={"HX-Redirect": LOGIN})

    async def _limits(self, who: Principal) -> Markup:
        return limits(await self._orchestrator.accounts.usage(who), now_ms(), shared=bool(who.account))

    async def _data(self, who: Principal, note: Markup | None = None) -> Markup:
        accounts = self._orchestrator.accounts
        user = await find_user(who, accounts)
        drafts = await accounts.stored_drafts(who) if user is not None and user.opt_out else 0
        return privacy(who, user, drafts, note=note)
