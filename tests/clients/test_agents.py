"""Agent frameworks with a tool, on every way: pydantic-ai and openai-agents."""

from __future__ import annotations

from typing import Any

import agents
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent
from pydantic_ai.messages import ThinkingPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.conftest import Way

ASKED = "How is the weather in 'Paris'?"
ANSWER = "The tools returned: 18 degrees in Paris"


def get_weather(location: str) -> str:
    """The weather at a place."""
    return f"18 degrees in {location}"


class Report(BaseModel):
    """A structured response."""

    place: str
    degrees: int


def pydantic_model(way: Way, name: str | None = None) -> OpenAIChatModel:
    """A model of pydantic-ai."""
    return OpenAIChatModel(name or way.chat, provider=OpenAIProvider(openai_client=way.async_sdk()))


async def test_pydantic_ai_with_a_tool(way: Way) -> None:
    agent = Agent(pydantic_model(way), tools=[get_weather], instructions="Be brief.")
    result = await agent.run(ASKED)
    assert result.output == ANSWER
    assert result.usage.requests == 2
    assert result.usage.tool_calls == 1
    assert result.usage.cache_read_tokens > 0


async def test_pydantic_ai_streams(way: Way) -> None:
    agent = Agent(pydantic_model(way), tools=[get_weather])
    async with agent.run_stream(ASKED) as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    assert "".join(pieces) == ANSWER


async def test_pydantic_ai_with_a_structured_response(way: Way) -> None:
    agent: Agent[None, Report] = Agent(pydantic_model(way), output_type=Report, tools=[get_weather])
    result = await agent.run(f"{ASKED} Say 18.")
    assert result.output == Report(place="Paris", degrees=18)


async def test_pydantic_ai_with_a_picture_and_reasoning(way: Way) -> None:
    agent = Agent(pydantic_model(way, way.reasoner))
    result = await agent.run(["What is it?", BinaryContent(b"\x89PNG", media_type="image/png")])
    assert "[image image/png, 4 bytes]" in result.output
    thoughts = [part for one in result.all_messages() for part in one.parts if isinstance(part, ThinkingPart)]
    assert thoughts[0].content.startswith("The user wrote")


def openai_agent(way: Way, **more: Any) -> agents.Agent[Any]:
    """An agent of openai-agents with the tool."""
    model = agents.OpenAIChatCompletionsModel(model=way.chat, openai_client=way.async_sdk())
    return agents.Agent(name="Forecaster", model=model, tools=[agents.function_tool(get_weather)], **more)


async def test_openai_agents_with_a_tool(way: Way) -> None:
    agents.set_tracing_disabled(True)
    result = await agents.Runner.run(openai_agent(way, instructions="Be brief."), ASKED)
    assert result.final_output == ANSWER
    assert len(result.raw_responses) == 2


async def test_openai_agents_streams(way: Way) -> None:
    agents.set_tracing_disabled(True)
    result = agents.Runner.run_streamed(openai_agent(way), ASKED)
    kinds = [event.data.type async for event in result.stream_events() if event.type == "raw_response_event"]
    assert "response.function_call_arguments.delta" in kinds
    assert "response.output_text.delta" in kinds
    assert result.final_output == ANSWER


async def test_openai_agents_with_a_structured_response(way: Way) -> None:
    agents.set_tracing_disabled(True)
    result = await agents.Runner.run(openai_agent(way, output_type=Report), "'Rome', 21")
    assert result.final_output == Report(place="Rome", degrees=21)
