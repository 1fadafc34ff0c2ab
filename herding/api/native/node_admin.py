"""Nodes that are added, tried, changed and removed while Herding runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field, StrictBool

from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.reply import reply
from herding.api.native import responses
from herding.api.native.requests import Body
from herding.orchestrator import Orchestrator


class NodeBody(Body):
    """A node in the words of the nodes file. What a kind has no use for is refused."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.NEW_NODE]})

    kind: Literal["openai", "herding", "template"]
    name: str
    models: list[str] = Field(default_factory=list, description="of openai and template; an engine tells them itself")
    base_url: str | None = Field(default=None, description="of openai and herding")
    embedding_models: list[str] | None = Field(default=None, description="of openai")
    response_format: StrictBool | None = Field(default=None, description="of openai")
    url: str | None = Field(default=None, description="of template, as all that follow to `stream`")
    method: Literal["POST", "GET"] | None = None
    headers: dict[str, str] | None = None
    query: dict[str, Any] | None = None
    body: Any = None
    response_extract: str | None = None
    stream: Literal[False, "sse", "lines"] | None = None
    context_length: int | None = None
    concurrency: int | None = None
    deadlines: dict[str, float] | None = None
    auto_switch: dict[str, float] | None = Field(
        default=None, description="of herding: may follow demand, `after_seconds` of it, once in `every_minutes`"
    )
    owner: str | None = None
    secret: str | None = Field(
        default=None,
        description="key of openai, shared secret of herding, {SECRET} of template; kept encrypted, never shown. "
        "Left out in a change, it stays where the node stays where it is; an empty one goes.",
    )
    secrets: dict[str, str] | None = Field(default=None, description="{SECRET:NAME} of template")

    def words(self) -> dict[str, Any]:
        """What was given, and nothing else."""
        return self.model_dump(exclude_unset=True)


class TrialBody(NodeBody):
    """A node to be, and what to ask it."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.TRIAL]})

    prompt: str = Field(default="Hello! Who are you?", max_length=4_000)


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes for whoever manages nodes."""
    routes = APIRouter(prefix="/api/v1/nodes", tags=["nodes"])
    registry = orchestrator.registry

    @routes.post("", status_code=201, responses=examples.answers(examples.NODE, status=201))
    async def add(body: NodeBody, who: Caller) -> Response:
        """Add a node. It gets requests at once, and is there again after a restart."""
        return reply(responses.node(await registry.add(body.words(), who)), 201)

    @routes.get("/added", responses=examples.answers({"nodes": [examples.ADDED_NODE]}))
    async def added(who: Caller) -> Response:
        """The nodes that were added at run time, as they were given, without their secrets."""
        return reply({"nodes": [responses.node_record(record) for record in await registry.records(who)]})

    @routes.post("/test", responses=examples.answers(examples.EXCHANGE))
    async def trial(body: TrialBody, who: Caller) -> Response:
        """Send one prompt to a node that need not be added yet; the answer is all that went to and fro."""
        words = body.words()
        words.pop("prompt", None)
        return reply(asdict(await registry.test_call(words, body.prompt, who)))

    @routes.put("/{node}", responses=examples.answers(examples.NODE))
    async def change(node: str, body: NodeBody, who: Caller) -> Response:
        """Give all of a node anew, but its name and kind. It changes when the requests that it has are over."""
        return reply(responses.node(await registry.update(node, body.words(), who)))

    @routes.delete("/{node}", status_code=204, responses=examples.refusals())
    async def remove(node: str, who: Caller) -> Response:
        """Take a node away: it gets no more requests, and is gone when those that it has are over."""
        await registry.remove(node, who)
        return Response(status_code=204)

    return routes
