"""The tab "Usage": how much of each limit is used, who the reader is, and what is kept of them."""

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
from herding.ui.kit.limits import interval, words
from herding.ui.kit.tab import Tab
from herding.ui.usage.privacy import PrivacyPane
from herding.values import LimitUse, Principal, User

EVERY = 3.0
NO_LIMITS = empty_state("No limits apply to you", "Your requests are counted all the same: they are in the history.")


class UsageTab(Tab):
    """Layout of the tab, and its handlers."""

    key = "usage"
    label = "Usage"
    rights = frozenset({USAGE})

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._accounts = orchestrator.accounts
        self.timer = gr.Timer(EVERY, active=False)
        self.timers = [self.timer]
        with gr.Row(elem_classes=["bench"]):
            with gr.Column(scale=6, min_width=320):
                self.limits = gr.HTML(elem_id="usage-limits")
            with gr.Column(scale=5, min_width=320, elem_id="usage-own"):
                self.me = gr.HTML(elem_id="usage-me")
                self.data = PrivacyPane(orchestrator)
        on(self.timer.tick, self.look, [], [self.limits], name="usage_look", queue=False)

    @property
    def outputs(self) -> list[Any]:
        return [self.timer, self.limits, self.me, *self.data.outputs]

    @requires(USAGE)
    async def opened(self, request: gr.Request) -> list[Any]:
        """The tab is opened; from now on its figures follow."""
        principal = principal_of(request)
        user = await find_user(principal, self._accounts)
        own = self.data.show(principal, user)
        return [gr.update(active=True), await self._limits(principal), me(principal, user), *own]

    @requires(USAGE)
    async def look(self, request: gr.Request) -> Any:
        """The figures as they are now."""
        return await self._limits(principal_of(request))

    async def _limits(self, principal: Principal) -> Markup:
        return limits(await self._accounts.usage(principal), now_ms(), shared=bool(principal.account))


def limits(uses: Sequence[LimitUse], now: int, *, shared: bool = False) -> Markup:
    """Every limit with a meter; `shared` by all guests of one address."""
    if not uses:
        return join([el("h2", "Your limits"), NO_LIMITS])
    several = el("p", "All of them must have room.", cls="muted") if len(uses) > 1 else None
    together = "Guests who come from the same network share these limits." if shared else ""
    foot = el("p", f"Figures refresh every {EVERY:.0f} seconds. {together}", cls="muted why")
    rows = el("ul", *(_row(use, now) for use in uses), cls="plain limits")
    return join([el("h2", "Your limits"), several, rows, foot])


def _row(use: LimitUse, now: int) -> Markup:
    most, kind = use.limit.limit, use.limit.type
    percent = 100 * use.used / most if most else 100
    name = el("b", f"{kind.capitalize()}s in any {interval(use.limit.interval_hours)}")
    told = f"{use.used:,} of {most:,} · {_percent(percent)}"
    return el("li", meter(name, percent, told, label=words(use.limit)), _left(use, now))


def _percent(percent: float) -> str:
    return "below 1 %" if 0 < percent < 1 else f"{int(min(percent, 999))} %"


def _left(use: LimitUse, now: int) -> Markup:
    """What is left, and when more comes back."""
    left, back = max(0, use.limit.limit - use.used), None
    if use.frees_at is not None:
        back = f" Some comes back in {rough_duration(max(0, use.frees_at - now))}."
    if left:
        return el("p", f"{left:,} left.", back if use.used else None, cls="muted")
    return el("p", chip("used up", "bad"), back or " Ask an admin for more.")


def me(principal: Principal, user: User | None) -> Markup:
    """Who the reader is, and with what token they came."""
    ends = None
    if principal.token is not None:
        ends = datetime_tag(principal.expires_at) if principal.expires_at is not None else "never"
    shown = key_values(
        [
            ("Name", display_name(principal, user)),
            ("User id", principal.id if principal.token is not None else None),
            ("Role", chip(principal.role, "accent")),
            ("Token", _token(principal)),
            ("Token expires", ends),
        ],
        cls="facts me",
    )
    return join([el("h2", "You"), shown])


def _token(principal: Principal) -> Markup:
    if principal.token is not None:
        return el("span", "the operator's") if principal.token == OPERATOR else el("code", f"hl_{principal.token}")
    none = "none needed at this machine" if principal.id == LOCAL else "none: you came as a guest"
    return el("span", none, cls="muted")
