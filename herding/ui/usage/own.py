"""The sections on the reader: the limits, the account, and the browsers that are logged in."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from herding.people.authenticator import OPERATOR
from herding.ui.kit.charts.bars import meter
from herding.ui.kit.fields import confirm_button
from herding.ui.kit.format import chip, datetime_tag, el, empty_state, join, key_values, rough_duration
from herding.ui.kit.identity import LOCAL, display_name
from herding.ui.kit.limits import interval, limit_text
from herding.ui.kit.live import live
from herding.values import LimitUse, LoginSession, Principal, User, format_dollars

NO_LIMITS = empty_state("No limits apply to you", "Your requests are still recorded in the history.")
LOG_OUT_QUESTION = "This logs you out in all browsers, including this one. Your tokens stay valid."


def limits(uses: Sequence[LimitUse], now: int, *, shared: bool = False) -> Markup:
    """Return each limit with a meter; `shared` means that all guests of a network use the same limits."""
    if not uses:
        return live("div", "usage-limits-none", NO_LIMITS)
    texts = ["A request must fit within all limits."] if len(uses) > 1 else []
    texts += ["Guests on the same network share these limits."] if shared else []
    rows = (_row(number, use, now) for number, use in enumerate(uses))
    note = live("p", "usage-limits-note", " ".join(texts), cls="muted small") if texts else None
    return join([live("ul", "usage-limits-list", *rows, cls="usage-limits"), note])


def _row(number: int, use: LimitUse, now: int) -> Markup:
    most, kind = use.limit.limit, use.limit.type
    percent = 100 * use.used / most if most else 100
    what = "Cost" if kind == "cost" else f"{kind.capitalize()}s"
    name = el("b", f"{what} per {interval(use.limit.interval_hours)}")
    amounts = [format_dollars(part) if kind == "cost" else f"{part:,}" for part in (use.used, most)]
    text = f"{' of '.join(amounts)} · {_percent(percent)}"
    return live("li", f"usage-limit-{number}", meter(name, percent, text, label=limit_text(use.limit)), _left(use, now))


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
    return el("section", el("h2", "Your account"), table)


def _token(principal: Principal) -> Markup:
    if principal.token is not None:
        return el("span", "operator token") if principal.token == OPERATOR else el("code", f"hl_{principal.token}")
    none = "not needed on this machine" if principal.id == LOCAL else "none (guest)"
    return el("span", none, cls="muted")


def sessions(found: Sequence[LoginSession], principal: Principal) -> Markup | None:
    """Return the browsers in which the reader is logged in, and a button that ends all; None without any."""
    if not found:
        return None
    rows = (_session(session, current=session.digest == principal.session) for session in found)
    end = confirm_button(
        "Log out everywhere", LOG_OUT_QUESTION, "Log out", id="usage-log-out", hx_post="ui/usage/log_out"
    )
    return el(
        "section", el("h2", "Your sessions"), el("ul", *rows), el("div", end, cls="answers"), cls="usage-sessions"
    )


def _session(session: LoginSession, *, current: bool) -> Markup:
    seen = "This browser, logged in " if current else "Last used "
    return el("li", seen, datetime_tag(session.created_at if current else session.seen_at))
