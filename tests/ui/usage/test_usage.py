"""The tab with one's limits and one's data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from herding.errors import AccessError
from herding.prompts.edits import Edits
from herding.ui.usage.tab import limits
from herding.values import Limit, LimitUse, Request, User
from tests.support.herding import GUEST, OTHER
from tests.support.people import principal
from tests.ui.conftest import Desktop

ADA = replace(principal("ada", "user"), token="abcdefghijkl", expires_at=1_795_222_800_000)
HOUR = 3_600_000


async def run(desktop: Desktop, who: object, text: str = "a secret") -> None:
    await desktop.place.orchestrator.pipeline.run(Request("say", {"text": text}), who)  # type: ignore[arg-type]


def test_without_limits_the_page_says_so() -> None:
    assert "No limits apply to you" in limits((), 0)


@pytest.mark.parametrize(
    ("used", "most", "told"),
    [
        (0, 60, "0 of 60 · 0 %"),
        (1, 500, "1 of 500 · below 1 %"),
        (37, 60, "37 of 60 · 61 %"),
        (60, 60, "60 of 60 · 100 %"),
        (70, 60, "70 of 60 · 116 %"),
        (0, 0, "0 of 0 · 100 %"),
        (10**9, 1, "1,000,000,000 of 1 · 999 %"),
    ],
)
def test_a_limit_is_told_in_numbers(used: int, most: int, told: str) -> None:
    shown = limits((LimitUse(Limit("request", 24, most), used, HOUR * 5 if used else None),), HOUR)
    assert told in shown
    assert "Requests per 24 hours" in shown
    assert ("Limit reached" in shown) is (used >= most)
    assert ("More available in 4 h." in shown) is (used > 0)


async def test_the_figures_follow_while_the_tab_is_open(desktop: Desktop) -> None:
    guest, usage = replace(GUEST, limits=(Limit("request", 1, 60),), account="guests:1"), desktop.page.usage
    await desktop.fire("usage", who=guest)
    assert desktop.prop(usage.timer, "active") is True
    assert "0 of 60" in desktop.value(usage.limits)
    assert "share these limits" in desktop.value(usage.limits)
    await run(desktop, guest)
    await desktop.fire("usage_open", who=guest)
    assert "1 of 60" in desktop.value(usage.limits)


async def test_the_own_token_is_told_without_its_secret(desktop: Desktop) -> None:
    await desktop.fire("usage", who=ADA)
    shown = desktop.value(desktop.page.usage.me)
    assert "hl_abcdefghijkl<" in shown
    assert "2026-11-21T01:00:00+00:00" in shown
    await desktop.fire("usage", who=replace(ADA, expires_at=None))
    assert "never" in desktop.value(desktop.page.usage.me)
    await desktop.fire("usage", who=replace(ADA, token="operator"))
    assert "operator token" in desktop.value(desktop.page.usage.me)
    await desktop.fire("usage", who=principal("local", "admin"))
    assert "not needed on this machine" in desktop.value(desktop.page.usage.me)


async def test_only_a_user_with_a_token_can_keep_no_texts(desktop: Desktop) -> None:
    data = desktop.page.usage.data
    await desktop.fire("usage", who=GUEST)
    assert desktop.prop(data.opt_out, "visible") is False
    assert "users who log in with a token" in desktop.value(data.why)
    desktop.set(data.opt_out, True)
    await desktop.fire("opt_out", who=GUEST)
    assert desktop.value(data.opt_out) is False
    assert "Only users who have a token" in desktop.value(data.choice_note)
    await desktop.place.accounts.add_user(User("ada", "Ada", "user"), desktop.who)
    await desktop.fire("usage", who=ADA)
    assert desktop.prop(data.opt_out, "visible") is True
    desktop.set(data.opt_out, True)
    await desktop.fire("opt_out", who=ADA)
    assert (await desktop.place.accounts.user("ada", desktop.who)).opt_out is True
    assert "Content of new requests and drafts is not stored" in desktop.value(data.choice_note)
    assert desktop.prop(data.drafts.box, "visible") is False


async def test_opting_out_offers_to_delete_the_drafts_that_are_stored(desktop: Desktop) -> None:
    data, store = desktop.page.usage.data, desktop.place.orchestrator.drafts
    await desktop.place.accounts.add_user(User("ada", "Ada", "user"), desktop.who)
    for key in ("say", "varied"):
        await store.store(key, Edits({"text": "mine"}), ADA)
    desktop.set(data.opt_out, True)
    await desktop.fire("opt_out", who=ADA)
    assert "2 earlier drafts are still stored." in desktop.value(data.choice_note)
    assert desktop.prop(data.drafts.box, "visible") is True
    assert len(await store.list_all(ADA)) == 2
    await desktop.fire("usage", who=ADA)
    assert "2 earlier drafts are still stored." in desktop.value(data.choice_note)
    await desktop.fire("forget_drafts", who=ADA)
    assert "Deleted 2 drafts." in desktop.value(data.choice_note)
    assert await store.list_all(ADA) == ()


async def test_deleting_all_texts_asks_first_and_takes_only_ones_own(desktop: Desktop) -> None:
    forget, note = desktop.page.usage.data.forget, desktop.page.usage.data.forget_note
    for who in (GUEST, GUEST, OTHER):
        await run(desktop, who)
    await desktop.fire("usage", who=GUEST)
    assert [desktop.prop(part, "visible") for part in forget.outputs] == [True, False]
    await desktop.fire("forget_all_ask", who=GUEST)
    assert desktop.prop(forget.row, "visible") is True
    await desktop.fire("forget_all_keep", who=GUEST)
    assert desktop.prop(forget.row, "visible") is False
    assert all(row.answer for row in await desktop.place.rows())
    await desktop.fire("forget_all", who=GUEST)
    assert "Deleted the content of 2 requests and all drafts." in desktop.value(note)
    assert desktop.prop(forget.row, "visible") is False
    assert {row.principal: bool(row.answer) for row in await desktop.place.rows()} == {GUEST.id: False, OTHER.id: True}


async def test_deleting_all_texts_takes_the_drafts_too(desktop: Desktop) -> None:
    drafts = desktop.place.orchestrator.drafts
    forget, note = desktop.page.usage.data.forget, desktop.page.usage.data.forget_note
    assert "and your drafts" in desktop.value(forget.question)
    await drafts.store("say", Edits({"text": "a secret"}), desktop.who)
    await drafts.store("varied", Edits({"note": "mine"}), desktop.who)
    await drafts.store("say", Edits({"text": "theirs"}), ADA)
    await desktop.fire("forget_all")
    assert "Deleted all drafts. You have no requests." in desktop.value(note)
    assert await drafts.list_all(desktop.who) == ()
    assert await drafts.steps("say", desktop.who) == ()
    assert [kept.edits.variables for kept in await drafts.list_all(ADA)] == [{"text": "theirs"}]
    assert "a secret" not in await desktop.get("engineer", prompt="say")


async def test_whoever_may_not_is_refused(desktop: Desktop) -> None:
    with pytest.raises(AccessError):
        await desktop.fire("usage_open", who=replace(GUEST, rights=frozenset()))
    with pytest.raises(AccessError):
        await desktop.fire("forget_all", who=replace(GUEST, rights=frozenset()))
