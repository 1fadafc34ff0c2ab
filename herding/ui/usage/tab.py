"""The layout of the Usage tab: the limits and the account of the reader, and statistics of requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import USAGE
from herding.orchestrator import Orchestrator
from herding.people.authenticator import OPERATOR
from herding.store import now_ms
from herding.ui.kit.bars import meter
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import chip, datetime_tag, el, empty_state, join, key_values, rough_duration
from herding.ui.kit.identity import LOCAL, display_name, find_user
from herding.ui.kit.limits import interval, limit_text
from herding.ui.kit.tab import Tab
from herding.ui.usage.privacy import PrivacyPane
from herding.ui.usage.sessions import SessionsPane
from herding.ui.usage.statistics import StatisticsPane
from herding.values import LimitUse, Principal, User, format_dollars

REFRESH_SECONDS = 3.0
NO_LIMITS = empty_state("No limits apply to you", "Your requests are still recorded in the history.")


class UsageTab(Tab):
    """The tab: its layout and its handlers."""

    key = "usage"
    label = "Usage"
    rights = frozenset({USAGE})

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._accounts = orchestrator.accounts
        self.timer = gr.Timer(REFRESH_SECONDS, active=False)
        self.timers = [self.timer]
        with gr.Row(elem_classes=["two-panes"]):
            with gr.Column(scale=6, min_width=320):
                self.limits = gr.HTML(elem_id="usage-limits")
            with gr.Column(scale=5, min_width=320, elem_id="usage-own"):
                self.me = gr.HTML(elem_id="usage-me")
                self.sessions = SessionsPane(orchestrator)
                self.data = PrivacyPane(orchestrator)
        self.statistics = StatisticsPane(orchestrator)
        on(self.timer.tick, self.refresh, [], [self.limits], name="usage_open", queue=False)

    @property
    def outputs(self) -> list[Any]:
        own = [*self.sessions.outputs, *self.data.outputs]
        return [self.timer, self.limits, self.me, *own, *self.statistics.outputs]

    @property
    def open_inputs(self) -> list[Any]:
        return self.statistics.inputs

    @requires(USAGE)
    async def opened(self, group: Any, request: gr.Request, *choices: Any) -> list[Any]:
        """Open the tab and start refreshing."""
        principal = principal_of(request)
        user = await find_user(principal, self._accounts)
        own = [*await self.sessions.show(principal), *await self.data.show(principal, user)]
        statistics = await self.statistics.show(principal, (group, *choices))
        return [gr.update(active=True), await self._limits(principal), account(principal, user), *own, *statistics]

    @requires(USAGE)
    async def refresh(self, request: gr.Request) -> Any:
        """Show the current use of the limits."""
        return await self._limits(principal_of(request))

    async def _limits(self, principal: Principal) -> Markup:
        return limits(await self._accounts.usage(principal), now_ms(), shared=bool(principal.account))


def limits(uses: Sequence[LimitUse], now: int, *, shared: bool = False) -> Markup:
    """Return each limit with a meter; `shared` means that all guests of a network use the same limits."""
    if not uses:
        return join([el("h2", "Your limits"), NO_LIMITS])
    several = el("p", "A request must fit within all limits.", cls="muted") if len(uses) > 1 else None
    note = " Guests on the same network share these limits." if shared else ""
    foot = el("p", f"Refreshed every {REFRESH_SECONDS:.0f} seconds.{note}", cls="muted why")
    rows = el("ul", *(_row(use, now) for use in uses), cls="plain limits")
    return join([el("h2", "Your limits"), several, rows, foot])


def _row(use: LimitUse, now: int) -> Markup:
    most, kind = use.limit.limit, use.limit.type
    percent = 100 * use.used / most if most else 100
    what = "Cost" if kind == "cost" else f"{kind.capitalize()}s"
    name = el("b", f"{what} per {interval(use.limit.interval_hours)}")
    amounts = [format_dollars(part) if kind == "cost" else f"{part:,}" for part in (use.used, most)]
    text = f"{' of '.join(amounts)} · {_percent(percent)}"
    return el("li", meter(name, percent, text, label=limit_text(use.limit)), _left(use, now))


def _percent(percent: float) -> str:
    return "below 1 %" if 0 < percent < 1 else f"{int(min(percent, 999))} %"


def _left(use: LimitUse, now: int) -> Markup:
    """Return what is left, and when more is available."""
    left, more = max(0, use.limit.limit - use.used), None
    if use.frees_at is not None:
        more = f" More available in {rough_duration(max(0, use.frees_at - now))}."
    if left:
        shown = format_dollars(left) if use.limit.type == "cost" else f"{left:,}"
        return el("p", f"{shown} left.", more if use.used else None, cls="muted")
    return el("p", chip("Limit reached", "bad"), more or " Ask an admin for a higher limit.")


def account(principal: Principal, user: User | None) -> Markup:
    """Return the name, role and token of the reader."""
    ends = None
    if principal.token is not None:
        ends = datetime_tag(principal.expires_at) if principal.expires_at is not None else "never"
    table = key_values(
        [
            ("Name", display_name(principal, user)),
            ("User ID", principal.id if principal.token is not None else None),
            ("Role", chip(principal.role, "accent")),
            ("Token", _token(principal)),
            ("Token expires", ends),
        ],
        cls="facts me",
    )
    return join([el("h2", "Your account"), table])


def _token(principal: Principal) -> Markup:
    if principal.token is not None:
        return el("span", "operator token") if principal.token == OPERATOR else el("code", f"hl_{principal.token}")
    none = "not needed on this machine" if principal.id == LOCAL else "none (guest)"
    return el("span", none, cls="muted")
