"""What hosted servers are known to refuse is left out, and said; what others take is sent."""

from __future__ import annotations

from typing import Any

import pytest

from herding.nodes.openai import OpenAIConfig, OpenAINode
from herding.values import Parameters


async def sent(url: str, parameters: Parameters, **config: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The parameters that a node at a URL gets, and those that are said to be left out."""
    node = OpenAINode(
        OpenAIConfig(kind="openai", name="n", base_url=url, models=["m"], **config), secret=lambda _: None
    )
    found, ignored = node.capabilities("m").accepted(parameters)
    await node.close()
    return dict(found.given()), ignored


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://mine.openai.azure.com/openai/v1",
        "https://api.groq.com/openai/v1",
        "https://api.mistral.ai/v1",
    ],
)
async def test_top_k_is_left_out_for_hosts_that_refuse_it(url: str) -> None:
    assert await sent(url, Parameters(temperature=0.5, top_k=20)) == ({"temperature": 0.5}, ("top_k",))
    assert await sent(url, Parameters(temperature=0.5)) == ({"temperature": 0.5}, ())


@pytest.mark.parametrize(
    "url", ["https://openrouter.ai/api/v1", "http://127.0.0.1:8000/v1", "https://api.openai.com.example/v1"]
)
async def test_other_servers_get_it(url: str) -> None:
    assert await sent(url, Parameters(top_k=20)) == ({"top_k": 20}, ())


async def test_a_list_of_parameters_in_the_nodes_file_counts_instead() -> None:
    listed = {"parameters": ["temperature", "top_k"]}
    found = await sent("https://api.openai.com/v1", Parameters(top_k=20, seed=3), capabilities=listed)
    assert found == ({"top_k": 20}, ("seed",))
    narrowed = await sent("https://api.openai.com/v1", Parameters(top_k=20), capabilities={"tools": False})
    assert narrowed == ({}, ("top_k",))
