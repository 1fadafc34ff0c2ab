"""Nodes and their models: list, load a model, add, test, change and remove."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import ConfigDict, Field, StrictBool
from pydantic.config import JsonDict

from herding.api.http.errors import Responses, error_responses
from herding.api.http.models import Instant, RequestModel, ResponseModel
from herding.api.http.request import Caller, until_disconnect
from herding.api.http.response import json_response
from herding.api.http.sse import EVENT_SCHEMA, encode_event, event_stream
from herding.errors import NodeError, NotFoundError, UserError
from herding.nodes.catalog import REMOTE_KINDS
from herding.nodes.spec import is_file_only
from herding.orchestrator import Orchestrator
from herding.values import LoadProgress, ModelCapabilities, ModelStats, NodeInfo, SmallModel

_NODE: JsonDict = {
    "kind": "template",
    "name": "chatglm",
    "models": ["chatglm2-6b"],
    "url": "http://127.0.0.1:8008/api/generate",
    "headers": {"Authorization": "Bearer {SECRET}"},
    "body": {"input": "{USER_PROMPT}", "model_name": "{MODEL_NAME}", "temperature": "{MODEL_TEMPERATURE}"},
    "response_extract": "data.items[].attributes.answer",
    "secret": "sk-...",
    "owner": "operategpt",
}
_NO_NODE = NotFoundError("There is no node 'slow-box'.", param="node")
_LISTED = UserError("'owner/name' is in the nodes file. Remove it there, then restart Herding.", param="model")
_BAD_NODE = UserError("'url' is missing.", param="url")
_PROGRESS: Responses = {
    200: {
        "content": {
            "text/event-stream": {
                "schema": EVENT_SCHEMA,
                "example": 'event: progress\ndata: {"fraction": 0.5, "stage": "loading", "done": false}\n\n',
            }
        }
    }
}


class LoadModelRequest(RequestModel):
    """The model that a node loads."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "herding/cria", "stream": False}]})

    model: str = Field(min_length=1, max_length=300)
    stream: StrictBool = True


def _describe_kinds(schema: JsonDict) -> None:
    """Add the fields of all kinds of node to a schema, each with its kinds."""
    properties: Any = schema["properties"]
    kinds: dict[str, list[str]] = {}
    for kind, config in REMOTE_KINDS.items():
        for name, found in config.model_json_schema()["properties"].items():
            if name in NodeRequest.model_fields or is_file_only(name):
                continue
            kinds.setdefault(name, []).append(kind)
            named = {key: value for key, value in found.items() if key not in ("default", "minItems")}
            shown = {} if "$ref" in str(found) else named
            properties[name] = shown if properties.setdefault(name, shown) == shown else {}
    for name, having in kinds.items():
        properties[name] = {"title": name, **properties[name], "description": f"for {', '.join(having)}"}
    schema["examples"] = [{**_NODE, "prompt": "Who are you?"} if "prompt" in properties else _NODE]


class NodeRequest(RequestModel):
    """A node with the keys of the nodes file. Keys of other kinds of nodes are refused."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_describe_kinds)

    kind: str = Field(json_schema_extra={"enum": list(REMOTE_KINDS)})
    name: str
    owner: str | None = None
    secret: str | None = Field(
        default=None,
        description="API key of openai, shared secret of herding, {SECRET} of template; stored encrypted, never "
        "shown. Omitted in a change, it stays as long as the address does; an empty one is removed.",
    )
    secrets: dict[str, str] | None = Field(default=None, description="{SECRET:NAME} of template")

    def to_config(self) -> dict[str, Any]:
        """Return the fields that were sent."""
        return self.model_dump(exclude_unset=True)


class TestNodeRequest(NodeRequest):
    """A node and the prompt to send to it."""

    prompt: str = Field(default="Hello! Who are you?", max_length=4_000)


class NodeList(ResponseModel):
    """The nodes that you may use."""

    nodes: list[NodeInfo]


class NodeEventResponse(ResponseModel):
    """A change of a node."""

    at: Instant = Field(validation_alias="at_ms")
    node: str
    kind: str
    detail: str


class NodeEventList(ResponseModel):
    """Changes of nodes, newest first."""

    events: list[NodeEventResponse]


class RetryNodeResponse(ResponseModel):
    """A node that gets requests again."""

    node: str
    mended: bool = True


class DeletedFilesResponse(ResponseModel):
    """A model whose files were deleted, with the bytes that are free now."""

    node: str
    model: str
    bytes: int


class ModelResponse(ResponseModel):
    """A model with its nodes, the prompts that target it, and its statistics of the last 24 hours."""

    id: str
    nodes: tuple[str, ...]
    embeds: tuple[str, ...]
    reranks: tuple[str, ...]
    offered_by: tuple[str, ...]
    prompts: tuple[str, ...]
    stats: ModelStats = ModelStats()
    capabilities: dict[str, ModelCapabilities]


class ModelList(ResponseModel):
    """The models that you may use."""

    models: list[ModelResponse]


class SmallModelList(ResponseModel):
    """Models of the hub for a small machine, smallest first."""

    models: list[SmallModel]


class AddedNodeResponse(ResponseModel):
    """A node that was added at run time, without its secrets."""

    name: str
    kind: str
    config: dict[str, Any]
    origin: str
    owner: str
    added_by: str
    at: Instant


class ExchangeResponse(ResponseModel):
    """A request to a node and its response, with secrets masked and long texts cut.

    `sent` and `received` are header lines. `status` is null without a response, `extracted` is the text that was found
    in it, and `error` the reason for finding none.
    """

    line: str
    sent: tuple[str, ...]
    body: str
    status: int | None
    received: tuple[str, ...]
    answer: str
    extracted: str
    error: str | None
    milliseconds: float


class AddedNodeList(ResponseModel):
    """The nodes that were added at run time."""

    nodes: list[AddedNodeResponse]


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the routes of nodes and models."""
    routes = APIRouter(prefix="/api/v1", tags=["nodes"])
    routes.include_router(_herd(orchestrator))
    routes.include_router(_node_models(orchestrator))
    routes.include_router(_added_nodes(orchestrator))
    return routes


def _herd(orchestrator: Orchestrator) -> APIRouter:
    routes = APIRouter()

    @routes.get("/nodes", responses=error_responses())
    async def list_nodes(who: Caller) -> NodeList:
        """List the nodes that you may use, with their state and their statistics of the last 24 hours."""
        return NodeList(nodes=await orchestrator.nodes.list_all(who))

    @routes.get("/nodes/events", responses=error_responses())
    async def list_node_events(who: Caller) -> NodeEventList:
        """List the changes of nodes since the app started, newest first."""
        found = await orchestrator.nodes.events(who)
        return NodeEventList(events=[NodeEventResponse.model_validate(event) for event in found])

    @routes.post("/nodes/{node}/mend", responses=error_responses(_NO_NODE))
    async def retry_node(node: str, who: Caller) -> RetryNodeResponse:
        """Send requests to a failed node again at once, after its key, address or program was fixed."""
        await orchestrator.nodes.retry(node, who)
        return RetryNodeResponse(node=node)

    @routes.get("/models/small", responses=error_responses())
    async def list_small_models(who: Caller) -> SmallModelList:
        """List good models of the hub for a small machine, with their size and the nodes that offer them."""
        return SmallModelList(models=await orchestrator.nodes.small_models(who))

    @routes.get("/models", responses=error_responses())
    async def list_models(who: Caller) -> ModelList:
        """List the models with their nodes, the prompts that target them, and their statistics of the last 24 hours.

        `nodes` answer with the model, `embeds` make embeddings with it, `reranks` score documents with it, `offered_by`
        can load it. `stats` count its attempts for all prompts and chats, `share` is its part of all attempts; rates
        are null without attempts. The probability that it is chosen for a prompt is in the insights of that prompt.
        """
        models, stats = await orchestrator.nodes.models(who), await orchestrator.insights.models(who)
        found = [ModelResponse.model_validate(model) for model in models]
        return ModelList(models=[one.model_copy(update={"stats": stats.get(one.id, one.stats)}) for one in found])

    return routes


def _node_models(orchestrator: Orchestrator) -> APIRouter:
    routes = APIRouter()

    @routes.post("/nodes/{node}/model", response_model=NodeInfo, responses=_PROGRESS | error_responses(_NO_NODE))
    async def load_model(node: str, body: LoadModelRequest, request: Request, who: Caller) -> Response | NodeInfo:
        """Load another model on a node. Sends `progress` events, or without `stream` the node when it is ready.

        The loaded models stay where there is room. Loading continues when the client disconnects.
        """
        steps = orchestrator.nodes.load_model(node, body.model, who)
        if body.stream:
            return await event_stream(request, steps, lambda step: encode_event(asdict(step), "progress"))
        with until_disconnect(request.receive):
            await _wait_for_end(steps)
        return next(info for info in await orchestrator.nodes.list_all(who) if info.name == node)

    @routes.delete("/nodes/{node}/model", status_code=204, responses=error_responses(_NO_NODE))
    async def unload_model(node: str, who: Caller, model: Annotated[str, Query(max_length=300)] = "") -> None:
        """Free the memory of a loaded model, or cancel its loading. Refused while requests use the model."""
        await orchestrator.nodes.unload_model(node, model, who)

    @routes.delete("/nodes/{node}/models", status_code=204, responses=error_responses(_NO_NODE, _LISTED))
    async def remove_node_model(
        node: str,
        who: Caller,
        model: Annotated[str, Query(max_length=300)] = "",
        delete_files: Annotated[bool, Query(description="also delete what was downloaded or converted")] = False,
    ) -> None:
        """Remove a model that was added at run time from the list of a node. A model of the nodes file stays.

        It is unloaded first, or its loading cancelled. Refused while requests use the model.
        """
        await orchestrator.nodes.remove_model(node, model, who, delete_files=delete_files)

    @routes.delete("/nodes/{node}/files", responses=error_responses(_NO_NODE))
    async def delete_model_files(
        node: str, who: Caller, model: Annotated[str, Query(max_length=300)] = ""
    ) -> DeletedFilesResponse:
        """Delete the downloaded or converted files of a model that is not loaded. It can be loaded again."""
        size = await orchestrator.nodes.delete_model_files(node, model, who)
        return DeletedFilesResponse(node=node, model=model, bytes=size)

    return routes


def _added_nodes(orchestrator: Orchestrator) -> APIRouter:
    routes = APIRouter(prefix="/nodes")
    registry = orchestrator.registry

    @routes.post("", status_code=201, responses=error_responses(_BAD_NODE))
    async def add_node(body: NodeRequest, who: Caller) -> NodeInfo:
        """Add a node. It gets requests at once, and is still there after a restart."""
        return await registry.add(body.to_config(), who)

    @routes.get("/added", responses=error_responses())
    async def list_added_nodes(who: Caller) -> AddedNodeList:
        """List the nodes that were added at run time, without their secrets."""
        found = await registry.records(who)
        return AddedNodeList(nodes=[AddedNodeResponse.model_validate(record) for record in found])

    @routes.post(
        "/test",
        response_model=ExchangeResponse,
        responses=error_responses(_BAD_NODE, NodeError("slow-box did not answer.")),
    )
    async def test_node(body: TestNodeRequest, who: Caller) -> Response:
        """Send a prompt to a node before it is added, and return what was sent and received."""
        config = body.to_config()
        config.pop("prompt", None)
        exchange = await registry.test_call(config, body.prompt, who)
        return json_response(ExchangeResponse.model_validate(exchange))

    @routes.put("/{node}", responses=error_responses(_NO_NODE, _BAD_NODE))
    async def replace_node(node: str, body: NodeRequest, who: Caller) -> NodeInfo:
        """Replace the configuration of a node except its name and kind, once its running requests have ended."""
        return await registry.update(node, body.to_config(), who)

    @routes.delete("/{node}", status_code=204, responses=error_responses(_NO_NODE))
    async def remove_node(node: str, who: Caller) -> None:
        """Remove a node. It gets no new requests, and goes when its running requests have ended."""
        await registry.remove(node, who)

    return routes


async def _wait_for_end(steps: AsyncIterator[LoadProgress]) -> None:
    async for _ in steps:
        pass
