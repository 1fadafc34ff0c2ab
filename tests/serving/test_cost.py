"""What requests cost, and limits on it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from herding.errors import HerdingError, LimitError, UserError
from herding.nodes.echo import EchoConfig, EchoNode
from herding.nodes.prices import ConfiguredPrice, Price
from herding.values import NANO, Limit, Message, Outcome, Parameters, Principal, Request
from tests.support.herding import ADMIN, GUEST, Place, herding
from tests.support.nodes import Scripted, echo

SAY = Request("say", parameters=Parameters(max_tokens=100))
DOLLAR = ConfiguredPrice(input=1_000, output=10_000, request=0.5)
"""A tenth of a cent an input token, a cent an output token, and half a dollar a request."""


class Unpriced(EchoNode):
    """A node without known prices."""

    def known_price(self, model: str) -> Price | None:  # type: ignore[override]
        return None


def priced(name: str = "echo", *models: str) -> EchoNode:
    node = echo(name, *models)
    node.prices = {"*": DOLLAR}
    return node


def unpriced(name: str = "echo", *models: str) -> Unpriced:
    return Unpriced(EchoConfig(kind="echo", name=name, models=list(models) or ["echo"]))


def limited(dollars: float, who: Principal = GUEST) -> Principal:
    return replace(who, limits=(Limit.of("cost", 1, dollars),))


async def test_a_request_costs_what_its_tokens_cost_and_the_row_keeps_it(tmp_path: Path) -> None:
    async with herding(tmp_path, priced()) as place:
        outcome = await place.orchestrator.pipeline.run(SAY, ADMIN)
        assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (3, 3)
        assert outcome.cost == round((0.5 + 3 * 0.001 + 3 * 0.01) * NANO)
        assert (await place.row()).cost == outcome.cost
        assert b'herding_cost_dollars_total{model="echo",node="echo"} 0.533' in await place.orchestrator.metrics(ADMIN)


async def test_an_unknown_price_is_no_cost_and_not_zero(tmp_path: Path) -> None:
    async with herding(tmp_path, unpriced()) as place:
        assert (await place.orchestrator.pipeline.run(SAY, ADMIN)).cost is None
        assert (await place.row()).cost is None


async def test_models_of_our_own_are_free(place: Place) -> None:
    assert (await place.orchestrator.pipeline.run(SAY, ADMIN)).cost == 0


async def test_a_failure_before_the_response_costs_nothing_and_one_within_it_does(tmp_path: Path) -> None:
    node = Scripted("echo", [HerdingError("no")])
    node.prices = {"*": DOLLAR}
    async with herding(tmp_path / "a", node) as place:
        with pytest.raises(HerdingError):
            await place.orchestrator.pipeline.run(SAY, ADMIN)
        assert (await place.row()).cost == 0
    node = Scripted("echo", ["some ", "text", HerdingError("no")])
    node.prices = {"*": DOLLAR}
    async with herding(tmp_path / "b", node) as place:
        with pytest.raises(HerdingError):
            await place.orchestrator.pipeline.run(SAY, ADMIN)
        row = await place.row()
        assert row.cost is not None
        assert row.cost > 0.5 * NANO


async def test_money_is_reserved_for_the_longest_response_and_settled(tmp_path: Path) -> None:
    async with herding(tmp_path, priced()) as place:
        with pytest.raises(LimitError, match=r"may take \$1\.5\d of \$1\.00"):
            await place.orchestrator.pipeline.run(SAY, limited(1))
        who = limited(2)
        await place.orchestrator.pipeline.run(SAY, who)
        [use] = await place.store.usage(who.id, who.limits)
        assert use.used == round(0.544 * NANO)
        with pytest.raises(LimitError, match=r"\$0\.54 of .* used, and this request may take \$1\.5"):
            await place.orchestrator.pipeline.run(SAY, who)


async def test_requests_side_by_side_stay_within_the_money(tmp_path: Path) -> None:
    async with herding(tmp_path, priced()) as place:
        who = limited(10)
        runs = (place.orchestrator.pipeline.run(SAY, who) for _ in range(40))
        ends = await asyncio.gather(*runs, return_exceptions=True)
        admitted = [end for end in ends if isinstance(end, Outcome)]
        assert all(isinstance(end, (Outcome, LimitError)) for end in ends)
        assert 6 <= len(admitted) <= 18  # reserved $1.52 each, settled to $0.544
        assert sum(one.cost or 0 for one in admitted) <= 10 * NANO


async def test_under_a_limit_on_money_only_known_prices_serve(tmp_path: Path) -> None:
    async with herding(tmp_path, unpriced("a"), priced("b")) as place:
        for _ in range(4):
            assert (await place.orchestrator.pipeline.run(SAY, limited(100))).node == "b"
    async with herding(tmp_path / "2", unpriced("a")) as place:
        with pytest.raises(UserError, match=r"The price of echo on a is unknown, and you have a limit on cost"):
            await place.orchestrator.pipeline.run(SAY, limited(100))
        assert await place.rows() == []


async def test_the_dearest_candidate_is_reserved(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("free"), priced("dear")) as place:
        with pytest.raises(LimitError, match=r"may take \$1\.5"):
            await place.orchestrator.pipeline.run(SAY, limited(1))


async def test_rows_have_the_kind_of_their_request_and_its_token(place: Place) -> None:
    who = replace(ADMIN, token="abc")
    await place.orchestrator.pipeline.run(SAY, who)
    await place.orchestrator.pipeline.run(Request(messages=(Message("user", "hi"),), model="echo"), who)
    await place.orchestrator.pipeline.run(Request(text="hi", model="echo"), who)
    assert [(row.kind, row.token) for row in await place.rows()] == [
        ("completion", "abc"),
        ("chat", "abc"),
        ("prompt", "abc"),
    ]
