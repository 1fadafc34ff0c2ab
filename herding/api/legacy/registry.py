"""Models that register themselves: `/api/server/register`, `workers` and `offline`, with the answers of the older form.

What cannot be is said with `success` false in an answer of status 200; who may not is refused like everywhere else.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field, StrictBool, field_validator

from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.reply import reply
from herding.api.native.requests import Body
from herding.errors import UserError
from herding.orchestrator import Orchestrator

DEFAULT_URL = "http://localhost:8008/api/generate"


class RegisterBody(Body):
    """A model at a URL. Texts in URL, header, parameters and body may have placeholders such as {USER_PROMPT}."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.REGISTER]}, protected_namespaces=())

    model_name: str = Field(min_length=1, max_length=300)
    req_url_template: str = DEFAULT_URL
    req_type: Literal["POST", "GET"] = "POST"
    req_param: dict[str, str | int | float | bool] | None = Field(default=None, description="the query of the URL")
    header: dict[str, str] | None = None
    body: Any = None
    response_extract: str | None = Field(default=None, description="JMESPath to the text; empty: the whole answer")
    is_stream: StrictBool = Field(default=False, description="the model answers with server-sent events")
    owner: str | None = None
    worker_type: Literal["REMOTE", "LOCAL"] | None = Field(default=None, description="without effect")
    secret: str | None = Field(default=None, description="stands for {SECRET}; kept encrypted, never shown")
    secrets: dict[str, str] | None = Field(default=None, description="stand for {SECRET:NAME}")

    @field_validator("req_type", mode="before")
    @classmethod
    def _any_case(cls, given: Any) -> Any:
        return given.upper() if isinstance(given, str) else given

    def words(self) -> dict[str, Any]:
        """The same in the words of the nodes file."""
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


class OfflineBody(Body):
    """The model at a URL that is to go."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.OFFLINE]}, protected_namespaces=())

    model_name: str = ""
    req_url_template: str = ""


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes for models that come and go."""
    routes = APIRouter(prefix="/api/server", tags=["nodes"])
    registry = orchestrator.registry

    @routes.post("/register", responses=examples.answers(examples.REGISTERED))
    async def register(body: RegisterBody, who: Caller) -> Response:
        """Add a model at a URL. One that is registered at several URLs is called at each of them in turn."""
        try:
            await registry.register(body.words(), body.model_name, who)
        except UserError as error:
            return _failed(error)
        return reply({"success": True, "msg": f"register LLM {body.model_name} succeed!"})

    @routes.get("/workers", responses=examples.answers(examples.WORKERS))
    async def workers(who: Caller) -> Response:
        """Every model that was added at run time, with its URL."""
        found = [{"model_name": model, "req_url_template": url} for model, url in await registry.workers(who)]
        return reply({"success": True, "data": found})

    @routes.post("/offline", responses=examples.answers(examples.GONE_OFFLINE))
    async def offline(body: OfflineBody, who: Caller) -> Response:
        """Take the model at a URL away, once the requests that it has are over."""
        try:
            await registry.offline(body.model_name, body.req_url_template, who)
        except UserError as error:
            return _failed(error)
        worker = f"llm worker(model_name={body.model_name}, url={body.req_url_template})"
        return reply({"success": True, "msg": f"remove {worker} succeed!"})

    return routes


def _failed(error: UserError) -> Response:
    return reply({"success": False, "msg": error.message})
