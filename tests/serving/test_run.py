"""A request on its way: its answer is judged while others go on."""

from __future__ import annotations

import asyncio

from herding.prompts.compose import compose
from herding.prompts.reading import parse_prompt
from herding.serving.run import Flight
from herding.values import Chunk, Parameters
from tests.support.herding import ADMIN

HARD = """
name: Hard
target_models: [echo]
prompt: say x
checks: {regex: "(x+x+)+y"}
"""


def answered(text: str) -> Flight:
    """A request for `HARD` that got `text` for an answer."""
    prompt = parse_prompt("hard", HARD)
    flight = Flight(
        request_id="1",
        arrived_at=0,
        who=ADMIN,
        key="hard",
        prompt=prompt,
        session_id=None,
        variables={},
        rendered=compose(prompt, {}),
        parameters=Parameters(),
        model=None,
    )
    flight.take(Chunk(text=text))
    flight.take(Chunk(finish_reason="stop"))
    return flight


async def test_a_pattern_that_takes_long_holds_up_nobody_else() -> None:
    flight = answered("x" * 5_000)
    judging = asyncio.create_task(flight.judge())
    for _ in range(3):
        await asyncio.sleep(0)
    assert not judging.done()
    await judging
    flight.end("succeeded")
    verdict = flight.outcome().checks
    assert (verdict.ok, "in the time there is" in (verdict.reason or "")) == (False, True)


async def test_an_answer_that_was_stopped_meanwhile_has_no_verdict() -> None:
    flight = answered("xxy")
    await flight.judge()
    flight.stop()
    flight.end("cancelled")
    assert flight.outcome().checks.ok is None
