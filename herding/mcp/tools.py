"""The tools that clients may call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Literal

import mcp_types as types
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from herding.access.operations import COLLECTIONS, RATE, RUN
from herding.errors import NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.prompts.parameters import PromptParameters
from herding.values import Delta, Done, Outcome, Principal, Queued, Request, Started, StepChanged

PROGRESS_CHARS = 200
"""Characters of a response between two notifications of progress."""

Progress = Callable[[float, float | None, str | None], Awaitable[None]]
Result = tuple[str, dict[str, Any]]


class _Arguments(BaseModel):
    """The arguments of a tool."""

    model_config = ConfigDict(extra="forbid")


class RunPromptArguments(_Arguments):
    """A run of a prompt."""

    prompt: Annotated[str, Field(min_length=1, max_length=300)] = Field(
        description="ID of the prompt, or `id@version`, or `id@label`"
    )
    variables: dict[str, Any] = Field(default_factory=dict, max_length=1_000, description="values of its variables")
    model: str | None = Field(default=None, description="one of its target models; default: the routing chooses")
    parameters: PromptParameters = Field(default=PromptParameters(), description="such as max_tokens, temperature")
    session_id: str | None = Field(default=None, max_length=200, description="continues a chat of this ID")


class RateArguments(_Arguments):
    """Stars, a comment, or both."""

    request_id: str = Field(description="from the result of run_prompt")
    stars: Literal[1, 2, 3, 4, 5] | None = Field(default=None, description="1 (bad) to 5 (good)")
    comment: str | None = Field(default=None, max_length=10_000)

    @model_validator(mode="after")
    def _says_something(self) -> RateArguments:
        if self.stars is None and self.comment is None:
            raise ValueError("give stars, a comment, or both")
        return self


class SearchArguments(_Arguments):
    """A question to a collection."""

    collection: str = Field(description="name of the collection")
    text: str = Field(min_length=1, max_length=10_000, description="a question or some words")
    top_k: int = Field(default=5, ge=1, le=50, description="number of matches")
    rerank: str | None = Field(default=None, max_length=300, description="a reranker, which orders the matches")


class _Tool(BaseModel):
    """A tool with the right that it needs."""

    model_config = ConfigDict(frozen=True)

    title: str
    description: str
    right: str
    arguments: type[_Arguments]
    reads_only: bool = False


class Tools:
    """Lists and calls the tools. Calls raise the errors of the services."""

    ALL: ClassVar[dict[str, _Tool]] = {
        "run_prompt": _Tool(
            title="Run prompt",
            description="Run a prompt on a model and return the response, its request_id and metrics.",
            right=RUN,
            arguments=RunPromptArguments,
        ),
        "rate": _Tool(
            title="Rate response",
            description="Rate a response by its request_id. The routing prefers models with good ratings.",
            right=RATE,
            arguments=RateArguments,
        ),
        "search_collection": _Tool(
            title="Search collection",
            description="Search a collection of documents by meaning and words; a reranker may order what is found.",
            right=COLLECTIONS,
            arguments=SearchArguments,
            reads_only=True,
        ),
    }

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    def listing(self, who: Principal) -> list[types.Tool]:
        """Return the tools that the role of `who` allows."""
        return [_describe(name, tool) for name, tool in self.ALL.items() if tool.right in who.rights]

    async def call(self, name: str, arguments: dict[str, Any], who: Principal, progress: Progress) -> Result:
        """Call a tool and return its text and its structured result. Raises UserError for wrong arguments."""
        tool = self.ALL.get(name)
        if tool is None:
            raise NotFoundError(f"There is no tool '{name[:80]}'. Tools: {', '.join(self.ALL)}.", param="name")
        match _checked(tool, arguments):
            case RunPromptArguments() as given:
                return await self._run(given, who, progress)
            case RateArguments() as given:
                return await self._rate(given, who)
            case SearchArguments() as given:
                return await self._search(given, who)
        raise AssertionError(f"the tool {name} has no handler")

    async def _run(self, given: RunPromptArguments, who: Principal, progress: Progress) -> Result:
        """Run a prompt; a client that asked for progress sees the place in the queue, the node and the text so far."""
        request = Request(
            given.prompt,
            given.variables,
            model=None if given.model == "auto" else given.model,
            parameters=given.parameters.value,
            session_id=given.session_id,
        )
        text, told, steps = "", 0, 0
        async with aclosing(self._orchestrator.pipeline.stream(request, who)) as events:
            async for event in events:
                said = None
                match event:
                    case Queued():
                        said = f"Queued, position {event.position}: {event.reason}"
                    case Started():
                        said = f"Request {event.request_id}: {event.model} on {event.node}"
                    case StepChanged():
                        where = "" if event.position is None else f" {event.position}"
                        said = f"Step {event.name}{where}: {event.state}"
                    case Delta():
                        text += event.text
                        if len(text) - told >= PROGRESS_CHARS:
                            told, said = len(text), text[-2_000:]
                    case Done():
                        return event.outcome.answer or event.outcome.note or "", _outcome(event.outcome)
                if said is not None:
                    steps += 1
                    await progress(steps, None, said)
        raise AssertionError("a run ends with Done or raises")

    async def _rate(self, given: RateArguments, who: Principal) -> Result:
        feedback = self._orchestrator.feedback
        if given.stars is not None:
            score = await feedback.rate(given.request_id, given.stars, who)
        if given.comment is not None:
            score = await feedback.comment(given.request_id, given.comment, who)
        result = {"request_id": score.request_id, "stars": score.stars, "comment": score.comment}
        return "Rating saved.", result

    async def _search(self, given: SearchArguments, who: Principal) -> Result:
        found = await self._orchestrator.collections.query(
            given.collection, given.text, who, top_k=given.top_k, rerank=given.rerank
        )
        matches = [
            {
                "document": match.document,
                "title": match.title,
                "chunk": match.chunk.number,
                "place": match.chunk.place,
                "text": match.chunk.text,
                "score": match.score,
                "similarity": match.similarity,
                "metadata": dict(match.metadata),
                "reranker": match.reranker,
            }
            for match in found
        ]
        texts = [f"[{n}] {match['title']}, {match['place']}\n{match['text']}" for n, match in enumerate(matches, 1)]
        return "\n\n".join(texts) or "No matches.", {"matches": matches}


def _describe(name: str, tool: _Tool) -> types.Tool:
    schema = tool.arguments.model_json_schema()
    hints = types.ToolAnnotations(
        read_only_hint=tool.reads_only, destructive_hint=False, idempotent_hint=tool.reads_only, open_world_hint=False
    )
    return types.Tool(name=name, title=tool.title, description=tool.description, input_schema=schema, annotations=hints)


def _checked(tool: _Tool, arguments: dict[str, Any]) -> _Arguments:
    """Return the arguments. Raises UserError, which names the first wrong one."""
    try:
        return tool.arguments.model_validate(arguments)
    except ValidationError as error:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"]) or None
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{param or 'The arguments'}: {message}.", param=param) from None


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "request_id": outcome.request_id,
        "text": outcome.answer,
        "prompt": outcome.prompt,
        "version": outcome.version,
        "variant": outcome.variant,
        "model": outcome.model,
        "node": outcome.node,
        "reason": outcome.reason,
        "status": outcome.status,
        "finish_reason": outcome.finish_reason,
        "reasoning": outcome.reasoning or None,
        "tool_calls": [dict(call) for call in outcome.tool_calls] or None,
        "checks": {"ok": outcome.checks.ok, "reason": outcome.checks.reason},
        "usage": {"input_tokens": outcome.usage.input_tokens, "output_tokens": outcome.usage.output_tokens},
        "cost": outcome.dollars,
        "total_ms": round(outcome.timings.total_ms, 1),
        "steps": None if outcome.steps is None else [asdict(step) for step in outcome.steps],
        "references": None if outcome.references is None else [asdict(one) for one in outcome.references],
    }
