"""The model registry of older clients: `/api/server/register`, `workers` and `offline`.

A failure is `success` false in a response of status 200. Missing rights are refused as everywhere else.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import ConfigDict, Field, StrictBool, field_validator
from pydantic.config import JsonDict

from herding.api.http.errors import error_responses
from herding.api.http.models import RequestModel, ResponseModel
from herding.api.http.request import Caller
from herding.errors import UserError
from herding.orchestrator import Orchestrator

DEFAULT_URL = "http://localhost:8008/api/generate"
_WORKER: JsonDict = {"model_name": "chatglm2-6b", "req_url_template": "http://127.0.0.1:8008/api/generate"}
_REGISTRATION: JsonDict = {
    **_WORKER,
    "body": {"input": "{USER_PROMPT}", "model_name": "{MODEL_NAME}"},
    "owner": "operategpt",
    "response_extract": "",
}


class RegisterRequest(RequestModel):
    """A model at a URL. URL, header, parameters and body may contain placeholders such as {USER_PROMPT}."""

    model_config = ConfigDict(json_schema_extra={"examples": [_REGISTRATION]}, protected_namespaces=())

    model_name: str = Field(min_length=1, max_length=300)
    req_url_template: str = DEFAULT_URL
    req_type: Literal["POST", "GET"] = "POST"
    req_param: dict[str, str | int | float | bool] | None = Field(default=None, description="the query of the URL")
    header: dict[str, str] | None = None
    body: Any = None
    response_extract: str | None = Field(default=None, description="JMESPath to the text; empty: the whole response")
    is_stream: StrictBool = Field(default=False, description="the model answers with server-sent events")
    owner: str | None = None
    worker_type: Literal["REMOTE", "LOCAL"] | None = Field(default=None, description="ignored")
    secret: str | None = Field(default=None, description="replaces {SECRET}; stored encrypted, never shown")
    secrets: dict[str, str] | None = Field(default=None, description="replace {SECRET:NAME}")

    @field_validator("req_type", mode="before")
    @classmethod
    def _to_upper_case(cls, given: Any) -> Any:
        return given.upper() if isinstance(given, str) else given

    def to_config(self) -> dict[str, Any]:
        """Return the node with the keys of the nodes file."""
        return {
            "kind": "template",
            "url": self.req_url_template,
            "method": self.req_type,
            "query": self.req_param or {},
            "headers": self.header or {},
            "body": self.body,
            "response_extract": self.response_extract or "",
            "stream": "sse" if self.is_stream else False,
            "owner": self.owner,
            "secret": self.secret,
            "secrets": self.secrets,
        }


class OfflineRequest(RequestModel):
    """The model to remove, and its URL."""

    model_config = ConfigDict(json_schema_extra={"examples": [_WORKER]}, protected_namespaces=())

    model_name: str = ""
    req_url_template: str = ""


class RegistryResponse(ResponseModel):
    """The result of a change of the registry."""

    success: bool
    msg: str


class WorkerResponse(ResponseModel):
    """A model at a URL."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    req_url_template: str


class WorkersResponse(ResponseModel):
    """All models that were added at run time."""

    success: bool = True
    data: list[WorkerResponse]


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the routes of the model registry."""
    routes = APIRouter(prefix="/api/server", tags=["nodes"])
    registry = orchestrator.registry

    @routes.post("/register", responses=error_responses())
    async def register_model(body: RegisterRequest, who: Caller) -> RegistryResponse:
        """Add a model at a URL. A model at several URLs is called at each of them in turn."""
        try:
            await registry.register(body.to_config(), body.model_name, who)
        except UserError as error:
            return RegistryResponse(success=False, msg=error.message)
        return RegistryResponse(success=True, msg=f"register LLM {body.model_name} succeed!")

    @routes.get("/workers", responses=error_responses())
    async def list_workers(who: Caller) -> WorkersResponse:
        """List the models that were added at run time with their URLs."""
        found = await registry.workers(who)
        return WorkersResponse(data=[WorkerResponse(model_name=model, req_url_template=url) for model, url in found])

    @routes.post("/offline", responses=error_responses())
    async def remove_model(body: OfflineRequest, who: Caller) -> RegistryResponse:
        """Remove the model at a URL, once its running requests have ended."""
        try:
            await registry.offline(body.model_name, body.req_url_template, who)
        except UserError as error:
            return RegistryResponse(success=False, msg=error.message)
        worker = f"llm worker(model_name={body.model_name}, url={body.req_url_template})"
        return RegistryResponse(success=True, msg=f"remove {worker} succeed!")

    return routes
