"""The tab with one's limits and one's data."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest

from herding.errors import AccessError
from herding.prompts.edits import Edits
from herding.ui.usage.own import limits, sessions
from herding.values import Limit, LimitUse, LoginSession, Request, User
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
    guest = replace(GUEST, limits=(Limit("request", 1, 60),), account="guests:1")
    shown = await desktop.get("usage", who=guest)
    assert 'hx-get="ui/usage/limits"' in shown
    assert "0 of 60" in shown
    assert "share these limits" in shown
    await run(desktop, guest)
    assert "1 of 60" in await desktop.get("usage/limits", who=guest)


async def test_the_own_token_is_told_without_its_secret(desktop: Desktop) -> None:
    shown = await desktop.get("usage", who=ADA)
    assert "hl_abcdefghijkl<" in shown
    assert "2026-11-21T01:00:00+00:00" in shown
    assert "never" in await desktop.get("usage", who=replace(ADA, expires_at=None))
    assert "operator token" in await desktop.get("usage", who=replace(ADA, token="operator"))
    assert "not needed on this machine" in await desktop.get("usage", who=principal("local", "admin"))


async def test_only_a_user_with_a_token_can_keep_no_texts(desktop: Desktop) -> None:
    shown = await desktop.get("usage", who=GUEST)
    assert 'name="opt_out"' not in shown
    assert "users who log in with a token" in shown
    assert "Only users who have a token" in await desktop.post("usage/opt_out", who=GUEST, opt_out="on")
    await desktop.place.accounts.add_user(User("ada", "Ada", "user"), desktop.who)
    assert 'name="opt_out"' in await desktop.get("usage", who=ADA)
    shown = await desktop.post("usage/opt_out", who=ADA, opt_out="on")
    assert (await desktop.place.accounts.user("ada", desktop.who)).opt_out is True
    assert "Content of new requests and drafts is not stored" in shown
    assert "checked" in shown
    assert "usage-delete-drafts" not in shown
    assert "Content of new requests and drafts is stored" in await desktop.post("usage/opt_out", who=ADA)
    assert (await desktop.place.accounts.user("ada", desktop.who)).opt_out is False


async def test_opting_out_offers_to_delete_the_drafts_that_are_stored(desktop: Desktop) -> None:
    store = desktop.place.orchestrator.drafts
    await desktop.place.accounts.add_user(User("ada", "Ada", "user"), desktop.who)
    for key in ("say", "varied"):
        await store.store(key, Edits({"text": "mine"}), ADA)
    shown = await desktop.post("usage/opt_out", who=ADA, opt_out="on")
    assert "2 earlier drafts are still stored." in shown
    assert "usage-delete-drafts" in shown
    assert len(await store.list_all(ADA)) == 2
    assert "2 earlier drafts are still stored." in await desktop.get("usage", who=ADA)
    shown = await desktop.post("usage/delete_drafts", who=ADA)
    assert "Deleted 2 drafts." in shown
    assert shown.told["stale"] == "engineer"
    assert await store.list_all(ADA) == ()


async def test_deleting_all_texts_asks_first_and_takes_only_ones_own(desktop: Desktop) -> None:
    for who in (GUEST, GUEST, OTHER):
        await run(desktop, who)
    shown = await desktop.get("usage", who=GUEST)
    assert 'hx-confirm="This deletes the variables' in shown
    assert f"api/v1/history.jsonl?user={quote(GUEST.id, safe='')}" in shown
    assert all(row.answer for row in await desktop.place.rows())
    shown = await desktop.post("usage/delete", who=GUEST)
    assert "Deleted the content of 2 requests and all drafts." in shown
    assert {row.principal: bool(row.answer) for row in await desktop.place.rows()} == {GUEST.id: False, OTHER.id: True}


async def test_deleting_all_texts_takes_the_drafts_too(desktop: Desktop) -> None:
    drafts = desktop.place.orchestrator.drafts
    assert "and your drafts" in await desktop.get("usage")
    await drafts.store("say", Edits({"text": "a secret"}), desktop.who)
    await drafts.store("varied", Edits({"note": "mine"}), desktop.who)
    await drafts.store("say", Edits({"text": "theirs"}), ADA)
    assert "Deleted all drafts. You have no requests." in await desktop.post("usage/delete")
    assert await drafts.list_all(desktop.who) == ()
    assert await drafts.steps("say", desktop.who) == ()
    assert [kept.edits.variables for kept in await drafts.list_all(ADA)] == [{"text": "theirs"}]
    assert "a secret" not in await desktop.get("engineer", prompt="say")


async def test_the_own_sessions_are_listed_and_ended(desktop: Desktop) -> None:
    assert "Your sessions" not in await desktop.get("usage", who=GUEST)
    here = LoginSession("here", "ada", "abcdefghijkl", created_at=1, seen_at=2, expires_at=3)
    shown = str(sessions((here, replace(here, digest="there")), replace(ADA, session="here")))
    assert shown.count("This browser, logged in") == shown.count("Last used") == 1
    assert 'hx-confirm="This logs you out in all browsers' in shown
    ended = await desktop.post("usage/log_out", who=ADA)
    assert ended.html == ""


async def test_whoever_may_not_is_refused(desktop: Desktop) -> None:
    nobody = replace(GUEST, rights=frozenset())
    for path in ("usage", "usage/limits", "usage/statistics"):
        with pytest.raises(AccessError):
            await desktop.get(path, who=nobody)
    for path in ("usage/delete", "usage/opt_out", "usage/delete_drafts", "usage/log_out"):
        with pytest.raises(AccessError):
            await desktop.post(path, who=nobody)
