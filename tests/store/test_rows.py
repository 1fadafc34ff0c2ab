"""Outcomes to rows and back."""

from __future__ import annotations

import string
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from herding.store import Store
from herding.store.rows import attempt_rows, request_row, storable, to_attempt, to_outcome
from herding.store.tables import request
from herding.values import Attempt, CheckResult, Choice, Outcome, Parameters, Status, Timings, Usage

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
maybe = st.none() | text
count = st.integers(0, 2**62)
span = st.floats(0, 1e12)
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
ids = st.text(string.hexdigits, min_size=32, max_size=32)
attempts = st.builds(Attempt, st.just(0), text, text, count, span, maybe, maybe)
fields = st.dictionaries(text, json, max_size=2)
choices = st.builds(Choice, st.integers(0, 9), text, text, fields, fields, st.sampled_from([None, "stop", "length"]))
outcomes = st.builds(
    Outcome,
    request_id=ids,
    principal=text,
    prompt=text,
    created_at=count,
    version=st.integers(0, 2**31),
    variant=maybe,
    edited=st.booleans(),
    session_id=maybe,
    variables=st.dictionaries(text, json, max_size=4),
    parameters=st.builds(
        Parameters,
        st.none() | st.floats(0, 2),
        st.none() | st.floats(0, 1),
        st.none() | count,
        st.none() | count,
        st.lists(text, max_size=3).map(tuple),
        st.none() | count,
        st.dictionaries(text.map("own_{}".format), json, max_size=2),
    ),
    input=text,
    answer=text,
    model=maybe,
    node=maybe,
    status=st.sampled_from(get_args(Status)),
    finish_reason=st.none() | st.sampled_from(["stop", "length", "tool_calls"]),
    usage=st.builds(Usage, count, count, st.sampled_from(["node", "counted"]), fields),
    timings=st.builds(Timings, span, st.none() | span, span),
    checks=st.builds(CheckResult, st.none() | st.booleans(), maybe),
    policy=maybe,
    reason=maybe,
    attempts=st.lists(attempts, max_size=3).map(
        lambda found: tuple(replace(one, number=number) for number, one in enumerate(found))
    ),
    error_type=maybe,
    error=maybe,
    choices=st.lists(choices, max_size=2).map(tuple),
    extra=fields,
    ignored=st.lists(text, max_size=2).map(tuple),
)


@given(outcomes)
def test_an_outcome_survives_its_rows(outcome: Outcome) -> None:
    row, tries = request_row(outcome), attempt_rows(outcome)
    assert set(row) == set(request.columns.keys())
    assert to_outcome(row, [to_attempt(one) for one in tries]) == outcome


@settings(max_examples=5, deadline=None)
@given(st.lists(outcomes, max_size=20, unique_by=lambda one: one.request_id))
async def test_outcomes_survive_the_database(found: list[Outcome]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = await Store.open(f"sqlite:///{Path(directory) / 'db'}")
        for one in found:
            await store.finish(one)
        for one in found:
            entry = await store.entry(one.request_id, viewer="x", owner=None)
            assert entry is not None
            assert entry.outcome == one
        await store.close()


def test_what_no_database_takes_is_replaced() -> None:
    assert storable({"a\x00": ["\ud800é", float("nan"), (1, True)]}) == {"a\ufffd": ["\ufffdé", "nan", [1, True]]}


async def test_strange_text_is_stored(store: Store, outcome) -> None:
    strange = outcome(1, answer="half \udc80 pair", variables={"x": float("inf"), "\ud800": ("\x00",)})
    await store.finish(strange)
    entry = await store.entry(strange.request_id, viewer="ada", owner=None)
    assert entry is not None
    assert entry.outcome.answer == "half \ufffd pair"
    assert entry.outcome.variables == {"x": "inf", "\ufffd": ["\ufffd"]}


def test_temperature_zero_is_not_left_out() -> None:
    row = request_row(Outcome("1", "ada", "p", 0, parameters=Parameters(temperature=0.0, seed=0)))
    assert row["parameters"] == {"temperature": 0.0, "seed": 0}
