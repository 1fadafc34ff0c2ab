"""A request on its way: its answer is judged while others go on."""

from __future__ import annotations

import asyncio

from herding.plugins import Plugins
from herding.prompts.compose import compose
from herding.prompts.prompt_file import parse_prompt
from herding.serving.request import PreparedRequest, RequestRun
from herding.values import Chunk
from tests.support.herding import ADMIN

HARD = """
name: Hard
target_models: [echo]
prompt: say x
checks: {regex: "(x+x+)+y"}
"""


def answered(text: str) -> RequestRun:
    """A request for `HARD` that got `text` for an answer."""
    prompt = parse_prompt("hard", HARD)
    request = PreparedRequest(
        id="1", arrived_at=0, principal=ADMIN, key="hard", prompt=prompt, rendered=compose(prompt, {})
    )
    run = RequestRun(request)
    run.received.add(Chunk(text=text))
    run.received.add(Chunk(finish_reason="stop"))
    return run


async def test_a_pattern_that_takes_long_holds_up_nobody_else() -> None:
    run = answered("x" * 5_000)
    judging = asyncio.create_task(run.judge(Plugins()))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not judging.done()
    await judging
    run.end("succeeded")
    verdict = run.outcome().checks
    assert (verdict.ok, "took too long" in (verdict.reason or "")) == (False, True)


async def test_an_answer_that_was_stopped_meanwhile_has_no_verdict() -> None:
    run = answered("xxy")
    await run.judge(Plugins())
    run.stop()
    run.end("cancelled")
    assert run.outcome().checks.ok is None
