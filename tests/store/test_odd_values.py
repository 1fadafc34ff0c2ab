"""Texts and numbers that a database cannot hold are treated alike on all of them."""

from __future__ import annotations

from typing import Any

import pytest

from herding.errors import NotFoundError, UserError
from herding.store import Store
from herding.values import HistoryFilter, NodeRecord, Usage, User

ODD = "a\x00b\ud800c\U0001f999'\"%s :x \\ {} \u202e"
KEPT = ODD.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")


async def test_odd_texts_come_back_with_a_sign_for_what_cannot_be_kept(store: Store, outcome) -> None:
    given = {
        name: ODD
        for name in ("principal", "prompt", "variant", "model", "node", "input", "answer", "error", "finish_reason")
    }
    await store.finish(outcome(1, **given, variables={ODD: [ODD, 1, None, {"deep": ODD}]}, session_id=ODD))
    (entry,) = (await store.history(HistoryFilter(), viewer=ODD, offset=0, limit=9)).entries
    assert [getattr(entry.outcome, name) for name in given] == [KEPT] * len(given)
    assert entry.outcome.variables == {KEPT: [KEPT, 1, None, {"deep": KEPT}]}
    request_id = outcome(1).request_id
    await store.comment(request_id=request_id, principal=ODD, text=ODD, at=1)
    await store.rate(request_id=request_id, principal=ODD, stars=3, at=1)
    found = await store.entry(request_id, viewer=ODD, owner=None)
    assert found is not None
    assert (found.stars, found.comment) == (3, KEPT)
    for name in ("principal", "prompt", "model", "node"):
        where: dict[str, Any] = {name: ODD}
        assert (await store.history(HistoryFilter(**where), viewer="x", offset=0, limit=9)).total == 1
    for _ in range(2):
        assert (await store.history(HistoryFilter(text=ODD.upper()), viewer="x", offset=0, limit=9)).total == 1
        await store.index()
    assert await store.session(principal=ODD, session_id=ODD, limit=9)


async def test_odd_texts_of_prompts_users_and_nodes(store: Store) -> None:
    version = await store.save_version(ODD, ODD, author=ODD, message=ODD, source="api", at=1)
    assert (version.key, version.content) == (KEPT, KEPT)
    assert await store.version(ODD, 1) == version
    await store.save_draft(ODD, ODD, ODD, base=1, at=1)
    draft = await store.draft(ODD, ODD)
    assert draft is not None
    assert draft.content == KEPT
    await store.add_user(User(ODD, ODD, "user"))
    assert [user.id for user in await store.users()] == [KEPT]
    await store.add_node(NodeRecord(ODD, "echo", {"x": ODD}, ODD, ODD, 1, ODD))
    (node,) = await store.nodes()
    assert node.name == KEPT
    assert await store.entry(ODD, viewer=ODD, owner=None) is None
    assert await store.credentials(ODD) is None
    with pytest.raises(NotFoundError):
        await store.revoke_token(ODD, 1)


async def test_large_numbers_are_kept_or_refused_by_name(store: Store, outcome) -> None:
    largest = 2**63 - 1
    await store.finish(outcome(1, usage=Usage(largest, 0), created_at=largest, variables={"n": 2**80, "x": 1e308}))
    (entry,) = (await store.history(HistoryFilter(), viewer="x", offset=0, limit=9)).entries
    assert entry.outcome.usage.input_tokens == entry.outcome.created_at == largest
    assert entry.outcome.variables == {"n": 2**80, "x": 1e308}
    await store.index()
    assert (await store.history(HistoryFilter(text="1208925819"), viewer="x", offset=0, limit=9)).total == 1
    with pytest.raises(UserError, match="too large"):
        await store.finish(outcome(2, created_at=2**63))
    with pytest.raises(UserError, match="no version"):
        await store.save_draft("ada", "p", "x", base=2**31, at=1)
    for number in (2**31, 2**63, -(2**70)):
        assert await store.version("p", number) is None
    await store.finish(outcome(3))
    assert (await store.history(HistoryFilter(), viewer="x", offset=0, limit=9)).total == 2


async def test_truth_and_nothing_are_what_they_were(store: Store, outcome) -> None:
    await store.add_user(User("ada", "Ada", "user", opt_out=True))
    await store.finish(outcome(1, edited=True, variables={"yes": True, "no": False, "nothing": None, "list": []}))
    (entry,) = (await store.history(HistoryFilter(), viewer="x", offset=0, limit=9)).entries
    assert entry.outcome.edited is True
    assert entry.outcome.checks.ok is None
    assert entry.outcome.variables == {"yes": True, "no": False, "nothing": None, "list": []}
    user = await store.user("ada")
    assert user is not None
    assert (user.opt_out, user.disabled) == (True, False)
