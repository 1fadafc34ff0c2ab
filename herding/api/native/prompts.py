"""Prompts and your drafts of them: list, read, save and delete."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, StrictInt
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from herding.api.http.errors import Responses, error_responses
from herding.api.http.models import Instant, RequestModel, ResponseModel
from herding.api.http.request import Caller
from herding.api.http.response import json_response
from herding.errors import ConflictError, DraftConflictError, NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.prompts.edits import Edits
from herding.prompts.model import Prompt
from herding.values import PromptInfo, PromptStats, SeenDraft

_NO_PROMPT = NotFoundError("There is no prompt 'greetings'.", param="prompt")
_NEWER = ConflictError("The prompt is at version 4. Load it again and repeat your change.")
_CHANGED = DraftConflictError()
_DRAFT = "/api/v1/prompts/{key:path}/draft"
_PROMPT = "/api/v1/prompts/{key:path}"

IfMatch = Annotated[
    str | None,
    Header(description='the version that you change, such as `"3"`; 409 where the prompt is at another one'),
]


class SavePromptRequest(BaseModel):
    """A prompt with the keys of a prompt file, and a change note."""

    model_config = ConfigDict(
        extra="allow",  # the keys of a file are checked where files are read
        json_schema_extra={
            "examples": [
                {
                    "name": "Greeting",
                    "description": "Greets a person by name.",
                    "label": "dev",
                    "target_models": ["herding/cria"],
                    "variables": {"name": {"type": "text", "default": "Ada", "max_chars": 60}},
                    "messages": [{"role": "user", "content": "Greet {{name}} in one sentence."}],
                    "parameters": {"temperature": 0.3, "max_tokens": 30},
                    "message": "first draft",
                }
            ]
        },
    )

    message: str | None = Field(default=None, max_length=500, description="change note; not stored in the file")

    @property
    def content(self) -> dict[str, Any]:
        """The prompt without the change note."""
        return dict(self.model_extra or {})

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the keys of a prompt file to the schema."""
        own = handler.resolve_ref_schema(handler(core))
        prompt = handler.resolve_ref_schema(handler(Prompt.__pydantic_core_schema__))
        properties = prompt["properties"] | own["properties"]
        return own | {"properties": properties, "required": prompt["required"], "additionalProperties": False}


class SaveDraftRequest(RequestModel):
    """Unsaved edits of a prompt. Omitted fields are those of the prompt."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"variables": {"name": "Hanna"}, "parameters": {"temperature": 0.2}}]}
    )

    variables: dict[str, Any] = Field(default_factory=dict, description="inputs; they are not checked yet")
    template: str | None = Field(default=None, description="its text (`messages`, `prompt` or `variants`) as YAML")
    parameters: dict[str, Any] = Field(default_factory=dict, description="sampling parameters, not checked yet")
    whole: str | None = Field(default=None, description="the whole prompt as YAML, instead of the other edits")
    base: StrictInt | None = Field(default=None, ge=0, description="the version of the edits; null: the newest")
    revision: str | None = Field(
        default=None, description="that of the draft that you change; 409 if it was changed since. null: replace any"
    )

    def to_edits(self) -> Edits:
        """Return the edits as a value."""
        return Edits(self.variables, self.template, self.parameters, self.whole)


class PromptResponse(ResponseModel):
    """A prompt with its text, the nodes that serve it, and its statistics."""

    key: str
    name: str
    description: str
    tags: tuple[str, ...]
    version: int
    newest: int
    label: str
    labels: dict[str, int]
    roles: tuple[str, ...] | None
    cors: tuple[str, ...]
    chat: bool
    target_models: tuple[str, ...]
    variables: dict[str, Any]
    body: str
    parameters: Annotated[dict[str, Any], BeforeValidator(lambda parameters: parameters.given())]
    checks: dict[str, Any]
    served: dict[str, tuple[str, ...]]
    stats: PromptStats
    notes: tuple[str, ...]


class PromptList(ResponseModel):
    """The prompts that you may use."""

    prompts: list[PromptResponse]


class PromptDetailResponse(PromptResponse):
    """A prompt with its `content`, which can be edited and saved again."""

    content: dict[str, Any]


class SavedPromptResponse(PromptDetailResponse):
    """A prompt after it was saved. `file` says whether its file was written; null where nothing was saved."""

    file: str | None = None


class DraftResponse(ResponseModel):
    """Your draft of a prompt, on top of version `base`; 0 is a prompt that was never saved."""

    key: str
    variables: dict[str, Any] = Field(validation_alias=AliasPath("edits", "variables"))
    template: str | None = Field(validation_alias=AliasPath("edits", "template"))
    parameters: dict[str, Any] = Field(validation_alias=AliasPath("edits", "parameters"))
    whole: str | None = Field(validation_alias=AliasPath("edits", "whole"))
    base: int
    updated_at: Instant
    revision: str = Field(description="changes with every change of the draft")


class DraftList(ResponseModel):
    """Your drafts, the last changed first."""

    drafts: list[DraftResponse]


_CREATED: Responses = {201: {"model": SavedPromptResponse, "description": "Created"}}


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the routes of prompts. Keys contain slashes, so the routes below a key come first."""
    routes = APIRouter(tags=["prompts"])
    routes.include_router(_drafts(orchestrator))
    studio = orchestrator.studio

    @routes.get("/api/v1/prompts", responses=error_responses())
    async def list_prompts(who: Caller) -> PromptList:
        """List the prompts that you may use."""
        return PromptList(
            prompts=[PromptResponse.model_validate(info) for info in await orchestrator.prompts.list_all(who)]
        )

    @routes.get(_PROMPT, responses=error_responses(_NO_PROMPT))
    async def get_prompt(key: str, who: Caller, response: Response) -> PromptDetailResponse:
        """Return a prompt: its variables, text, nodes and statistics. Its version is the `ETag`.

        `key` is the version with the label `prod`, else the newest; `key@3`, `key@test` and `key@newest` are others.
        To change a prompt, edit the `content` of the newest version and save it.
        """
        info = await orchestrator.prompts.get(key, who)
        response.headers["ETag"] = _etag(info)
        return PromptDetailResponse.model_validate(info)

    @routes.put(
        _PROMPT,
        responses=_CREATED | error_responses(_NEWER, UserError("'target_models' is missing.", param="target_models")),
    )
    async def save_prompt(
        key: str, body: SavePromptRequest, who: Caller, response: Response, if_match: IfMatch = None
    ) -> SavedPromptResponse:
        """Create a prompt (201) or a new version of it (200), and write its file.

        A `label` moves to the new version; without one, labels stay. `file` says whether the file was written. Saving
        needs the right `save`; with the label `prod`, or with `cors`, also the right `publish`.
        """
        expected = _parse_etags(if_match)
        saved = await studio.save(key, body.content, who, expected=expected, message=body.message or "", source="api")
        info = await orchestrator.prompts.get(f"{saved.key}@{saved.version}", who)
        response.headers["ETag"] = _etag(info)
        response.status_code = 201 if saved.new else 200
        return SavedPromptResponse.model_validate(info).model_copy(update={"file": saved.file})

    @routes.delete(_PROMPT, status_code=204, responses=error_responses(_NO_PROMPT, _NEWER))
    async def delete_prompt(key: str, who: Caller, if_match: IfMatch = None) -> None:
        """Delete a prompt and its file. Its requests stay in the history. Needs the right `publish`."""
        await studio.delete(key, who, expected=_parse_etags(if_match))

    return routes


def _drafts(orchestrator: Orchestrator) -> APIRouter:
    routes = APIRouter()
    drafts = orchestrator.drafts

    @routes.get("/api/v1/drafts", response_model=DraftList, responses=error_responses())
    async def list_drafts(who: Caller) -> Response:
        """List your drafts, the last changed first."""
        return json_response(
            DraftList(drafts=[DraftResponse.model_validate(draft) for draft in await drafts.list_all(who)])
        )

    @routes.get(
        _DRAFT,
        response_model=DraftResponse,
        responses=error_responses(NotFoundError("You have no draft of 'greeting'.", param="key")),
    )
    async def get_draft(key: str, who: Caller) -> Response:
        """Return your draft of a prompt."""
        draft = await drafts.get(key, who)
        if draft is None:
            raise NotFoundError(f"You have no draft of '{key}'.", param="key")
        return json_response(DraftResponse.model_validate(draft))

    @routes.put(_DRAFT, response_model=DraftResponse, responses=error_responses(_NO_PROMPT, _CHANGED))
    async def save_draft(key: str, body: SaveDraftRequest, who: Caller) -> Response:
        """Replace your draft of a prompt. The editor can undo this.

        An edited `template` needs the right `edit`; a `whole` prompt, or a new key, needs the right `save`.
        """
        draft = await drafts.store(key, body.to_edits(), who, base=body.base, seen=SeenDraft(body.revision))
        return json_response(DraftResponse.model_validate(draft))

    @routes.delete(_DRAFT, status_code=204, responses=error_responses())
    async def delete_draft(key: str, who: Caller) -> None:
        """Delete your draft of a prompt, if there is one, and its earlier texts."""
        await drafts.discard(key, who)

    return routes


def _etag(info: PromptInfo) -> str:
    return f'"{info.version}"'


def _parse_etags(if_match: str | None) -> Collection[int] | None:
    """Return the versions of an If-Match header; None without one."""
    if if_match is None:
        return None
    if if_match.strip() == "*":
        return range(1, sys.maxsize)
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")]
    if not all(tag.isascii() and tag.isdigit() and len(tag) < 20 for tag in tags):
        raise UserError('If-Match takes a version of the prompt in quotes, such as "3".', param="If-Match")
    return [int(tag) for tag in tags]
