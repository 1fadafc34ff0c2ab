"""What monitoring sees, and what it never does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from herding.errors import AccessError, DeadlineError, LimitError, NodeError, NotFoundError
from herding.values import Limit, Request
from tests.support.herding import ADMIN, GUEST, Place, herding
from tests.support.nodes import Scripted, echo

CANARY = "canary-4711"


async def figures(place: Place) -> dict[str, float]:
    """The figures by name and labels."""
    lines = (await place.orchestrator.metrics(ADMIN)).decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


async def test_requests_tokens_and_nodes_are_counted(place: Place) -> None:
    await place.orchestrator.pipeline.run(Request("say"), ADMIN)
    outcome = await place.orchestrator.pipeline.run(Request("say", {"text": CANARY}), GUEST)
    found = await figures(place)
    labels = 'model="echo",node="echo"'
    assert found[f'herding_requests_total{{{labels},prompt="say",status="succeeded"}}'] == 2
    assert found[f'herding_tokens_total{{direction="out",{labels}}}'] >= outcome.usage.output_tokens > 0
    assert found['herding_attempts_total{node="echo",result="answered"}'] == 2
    assert found['herding_request_seconds_count{node="echo"}'] == 2
    assert found['herding_node_models{node="echo"}'] == 1
    assert found["herding_running_requests"] == 0


async def test_failures_are_told_apart(tmp_path: Path) -> None:
    async with herding(tmp_path, Scripted("broken", [DeadlineError("late")], models=["echo"])) as place:
        with pytest.raises(NodeError):
            await place.orchestrator.pipeline.run(Request("say"), ADMIN)
        found = await figures(place)
        assert found['herding_attempts_total{node="broken",result="node_timeout"}'] == 1
        failed = [name for name in found if name.startswith("herding_requests_total") and 'status="failed"' in name]
        assert [found[name] for name in failed] == [1]


async def test_what_a_limit_refuses_is_counted(place: Place) -> None:
    poor = replace(GUEST, limits=(Limit("request", 1, 0),))
    with pytest.raises(LimitError):
        await place.orchestrator.pipeline.run(Request("say"), poor)
    assert (await figures(place))["herding_requests_over_limit_total"] == 1


async def test_nothing_that_a_caller_wrote_becomes_a_label(tmp_path: Path) -> None:
    async with herding(tmp_path, echo()) as place:
        with pytest.raises(NotFoundError):
            await place.orchestrator.pipeline.run(Request("say", model=CANARY), ADMIN)
        await place.orchestrator.pipeline.run(Request("say", {"text": CANARY}, session_id=CANARY), ADMIN)
        assert CANARY.encode() not in await place.orchestrator.metrics(ADMIN)


async def test_a_guest_sees_no_metrics(place: Place) -> None:
    with pytest.raises(AccessError):
        await place.orchestrator.metrics(GUEST)
