"""Versions of prompts, their differences, labels, conflicts and files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import ConfigDict, Field, StrictInt

from herding.api.http.errors import error_responses, file_response
from herding.api.http.models import Instant, RequestModel, ResponseModel
from herding.api.http.request import Caller
from herding.api.http.response import download_headers
from herding.errors import NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.prompts.diff import PromptDiff
from herding.studio.importer import SaveResult
from herding.studio.studio import ImportResult, Version
from herding.values import Source

Limit = Annotated[int, Query(ge=1, le=1000, description="maximum, newest first")]
Number = Annotated[int | None, Query(description="the number of a version; null: the newest")]
From = Annotated[int | None, Query(alias="from", description="null: the version before `to`")]
To = Annotated[int | None, Query(description="null: the newest version")]

_PROMPT = "/api/v1/prompts/{key:path}"
_LABEL = f"{_PROMPT}/labels/{{label}}"
_NO_VERSION = NotFoundError("'greeting' has no version 9.", param="version")


class MoveLabelRequest(RequestModel):
    """The version that a label moves to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 3, "message": "tested by Hanna"}]})

    version: StrictInt
    message: str = Field(default="", max_length=500, description="change note")


class ResolveConflictRequest(RequestModel):
    """The version that becomes the newest."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 4, "message": "the file is right"}]})

    version: StrictInt
    message: str = Field(default="", max_length=500, description="change note")


class VersionResponse(ResponseModel):
    """A version of a prompt. `sha256` is the digest of its content, in hex."""

    number: int
    author: str
    message: str
    source: Source
    sha256: str
    created_at: Instant


class VersionDetailResponse(VersionResponse):
    """A version with its labels and its content, which can be saved again."""

    key: str
    labels: tuple[str, ...]
    content: dict[str, Any]

    @classmethod
    def from_version(cls, version: Version) -> VersionDetailResponse:
        """Return a version with its content."""
        about = version.about
        return cls(
            **dict(VersionResponse.model_validate(about)),
            key=about.key,
            labels=tuple(version.labels),
            content=dict(version.content),
        )


class VersionList(ResponseModel):
    """Versions, newest first."""

    versions: list[VersionResponse]


class LabelMoveResponse(ResponseModel):
    """A move of a label from version `previous` to `version`; null is no version. `undoes` is the id of a move."""

    id: int
    key: str
    label: str
    version: int | None = Field(validation_alias="number")
    previous: int | None
    author: str
    message: str
    at: Instant
    undoes: int | None


class LabelList(ResponseModel):
    """The labels of a prompt with their versions, and the moves of labels, newest first."""

    labels: dict[str, int]
    moves: list[LabelMoveResponse]


class LabelResponse(ResponseModel):
    """The version of a label, null without one, and its moves, newest first."""

    label: str
    version: int | None
    moves: list[LabelMoveResponse]


class ConflictResponse(ResponseModel):
    """Two versions on top of version `base`: `ours` was saved, `theirs` is from the file."""

    key: str
    base: int
    ours: int
    theirs: int
    at: Instant


class ConflictList(ResponseModel):
    """Prompts that were saved while their files were edited."""

    conflicts: list[ConflictResponse]


class ImportResponse(ResponseModel):
    """The result for each prompt of an archive."""

    prompts: list[ImportResult]


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the routes of versions. They come before those of prompts, since keys contain slashes."""
    routes = APIRouter(tags=["prompts"])
    routes.include_router(_versions(orchestrator))
    routes.include_router(_labels(orchestrator))
    routes.include_router(_files(orchestrator))
    return routes


def _versions(orchestrator: Orchestrator) -> APIRouter:
    routes = APIRouter()
    studio = orchestrator.studio

    @routes.get(f"{_PROMPT}/versions", responses=error_responses(_NO_VERSION))
    async def list_versions(key: str, who: Caller, limit: Limit = 100) -> VersionList:
        """List the versions of a prompt with author, time and change note."""
        found = await studio.versions(key, who, limit=limit)
        return VersionList(versions=[VersionResponse.model_validate(version) for version in found])

    @routes.get(f"{_PROMPT}/versions/{{number}}", responses=error_responses(_NO_VERSION))
    async def get_version(key: str, number: int, who: Caller) -> VersionDetailResponse:
        """Return a version with its content, which can be saved again."""
        return VersionDetailResponse.from_version(await studio.version(key, number, who))

    @routes.get(f"{_PROMPT}/diff", responses=error_responses(_NO_VERSION))
    async def compare_versions(key: str, who: Caller, first: From = None, to: To = None) -> PromptDiff:
        """Compare two versions field by field, line by line and word by word."""
        return await studio.diff(key, first, to, who)

    @routes.get("/api/v1/conflicts", responses=error_responses())
    async def list_conflicts(who: Caller) -> ConflictList:
        """List the prompts that were saved while their files were edited."""
        found = await studio.conflicts(who)
        return ConflictList(conflicts=[ConflictResponse.model_validate(conflict) for conflict in found])

    @routes.post(f"{_PROMPT}/resolve", responses=error_responses(_NO_VERSION))
    async def resolve_conflict(key: str, body: ResolveConflictRequest, who: Caller) -> SaveResult:
        """Resolve a conflict: make one of its versions the newest and write it to the file."""
        return await studio.resolve(key, body.version, who, message=body.message)

    return routes


def _labels(orchestrator: Orchestrator) -> APIRouter:
    routes = APIRouter()
    studio = orchestrator.studio
    no_label = error_responses(NotFoundError("'greeting' has no label 'test'.", param="label"))

    @routes.get(f"{_PROMPT}/labels", responses=error_responses(_NO_VERSION))
    async def list_labels(key: str, who: Caller, limit: Limit = 100) -> LabelList:
        """List the labels of a prompt with their versions, and their history."""
        moves = await studio.label_moves(key, who, limit=limit)
        return LabelList(
            labels=dict(await studio.labels(key, who)),
            moves=[LabelMoveResponse.model_validate(move) for move in moves],
        )

    @routes.get(_LABEL, responses=no_label)
    async def get_label(key: str, label: str, who: Caller, limit: Limit = 100) -> LabelResponse:
        """Return the version of a label, null without one, and its history."""
        moves = await studio.label_moves(key, who, limit=limit, label=label)
        labels: Mapping[str, int] = await studio.labels(key, who)
        return LabelResponse(
            label=label,
            version=labels.get(label),
            moves=[LabelMoveResponse.model_validate(move) for move in moves],
        )

    @routes.put(_LABEL, responses=error_responses(_NO_VERSION))
    async def move_label(key: str, label: str, body: MoveLabelRequest, who: Caller) -> LabelMoveResponse:
        """Move a label to a version. Needs the right `save`; for the label `prod` the right `publish`."""
        return LabelMoveResponse.model_validate(await studio.move_label(key, label, body.version, who, body.message))

    @routes.delete(_LABEL, responses=no_label)
    async def remove_label(key: str, label: str, who: Caller) -> LabelMoveResponse:
        """Remove a label; its history stays. Needs the right `save`; for the label `prod` the right `publish`."""
        return LabelMoveResponse.model_validate(await studio.move_label(key, label, None, who))

    @routes.post(f"{_LABEL}/take_back", responses=no_label)
    async def undo_label_move(key: str, label: str, who: Caller) -> LabelMoveResponse:
        """Undo the last move of a label; called again, the one before."""
        return LabelMoveResponse.model_validate(await studio.undo_label_move(key, label, who))

    return routes


def _files(orchestrator: Orchestrator) -> APIRouter:
    routes = APIRouter()
    studio = orchestrator.studio

    @routes.get(
        f"{_PROMPT}/yaml",
        response_class=Response,
        responses=file_response("application/yaml") | error_responses(_NO_VERSION),
    )
    async def export_prompt(key: str, who: Caller, version: Number = None) -> Response:
        """Download a version of a prompt as a prompt file."""
        text = await studio.yaml(key, version, who)
        headers = download_headers(f"{key.rpartition('/')[2]}.yaml")
        return Response(text, media_type="application/yaml", headers=headers)

    @routes.get(
        "/api/v1/prompts.zip",
        response_class=Response,
        responses=file_response("application/zip", type="string", format="binary") | error_responses(),
    )
    async def export_prompts(who: Caller) -> Response:
        """Download the newest version of all prompts that you may use as a zip archive of prompt files."""
        return Response(await studio.export(who), media_type="application/zip", headers=download_headers("prompts.zip"))

    @routes.post(
        "/api/v1/prompts.zip",
        responses=error_responses(UserError("The archive is not a zip file.")),
        openapi_extra={
            "requestBody": {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
        },
    )
    async def import_prompts(request: Request, who: Caller) -> ImportResponse:
        """Import the prompts of a zip archive, which is the body, each separately. Unchanged prompts are skipped."""
        return ImportResponse(prompts=list(await studio.import_bundle(await request.body(), who)))

    return routes
