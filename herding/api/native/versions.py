"""The versions of prompts as data: what they hold, how they differ, which labels stand for them, and prompts as files.

Keys have slashes, so these routes stand before the ones that take whatever follows as a key.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.reply import attachment, reply
from herding.api.native.requests import ChoiceBody, LabelBody
from herding.api.native.responses import instant
from herding.orchestrator import Orchestrator
from herding.studio.studio import Version
from herding.values import LabelMove, PromptConflict, PromptVersion

Limit = Annotated[int, Query(ge=1, le=1000, description="how many at most, newest first")]
Number = Annotated[int | None, Query(description="the number of a version")]
From = Annotated[int | None, Query(alias="from", description="null: the version before `to`")]
To = Annotated[int | None, Query(description="null: the newest version")]

FOLDER = "/api/v1/prompts/{key:path}"


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes of versions, labels, conflicts and bundles."""
    routes = APIRouter(tags=["prompts"])
    _versions(routes, orchestrator)
    _labels(routes, orchestrator)
    _files(routes, orchestrator)
    return routes


def _versions(routes: APIRouter, orchestrator: Orchestrator) -> None:
    studio = orchestrator.studio

    @routes.get(f"{FOLDER}/versions", responses=examples.answers({"versions": [examples.VERSION]}))
    async def versions(key: str, who: Caller, limit: Limit = 100) -> Response:
        """The versions of a prompt: who made them, when and why."""
        return reply({"versions": [_about(found) for found in await studio.versions(key, who, limit=limit)]})

    @routes.get(f"{FOLDER}/versions/{{number}}", responses=examples.answers(examples.ONE_VERSION))
    async def version(key: str, number: int, who: Caller) -> Response:
        """One version of a prompt with its content, which can be saved again."""
        return reply(_version(await studio.version(key, number, who)))

    @routes.get(f"{FOLDER}/diff", responses=examples.answers(examples.DIFF))
    async def diff(key: str, who: Caller, first: From = None, to: To = None) -> Response:
        """What is different between two versions: the fields, their lines, and the words in them."""
        return reply(asdict(await studio.diff(key, first, to, who)))

    @routes.get("/api/v1/conflicts", responses=examples.answers({"conflicts": [examples.CONFLICT]}))
    async def conflicts(who: Caller) -> Response:
        """Prompts that were saved while their files were edited: versions `ours` and `theirs`, both based on `base`."""
        return reply({"conflicts": [_conflict(found) for found in await studio.conflicts(who)]})

    @routes.post(f"{FOLDER}/resolve", responses=examples.answers(examples.SAVED))
    async def resolve(key: str, body: ChoiceBody, who: Caller) -> Response:
        """End a conflict: this version is the newest from now on, and goes into the file."""
        return reply(asdict(await studio.resolve(key, body.version, who, message=body.message)))


def _labels(routes: APIRouter, orchestrator: Orchestrator) -> None:
    studio, move = orchestrator.studio, examples.answers(examples.LABEL_MOVE)

    @routes.get(f"{FOLDER}/labels", responses=examples.answers({"labels": {"prod": 3}, "moves": [examples.LABEL_MOVE]}))
    async def labels(key: str, who: Caller, limit: Limit = 100) -> Response:
        """The labels of a prompt with the versions that they stand for, and their moves."""
        moves = [_move(found) for found in await studio.label_moves(key, who, limit=limit)]
        return reply({"labels": dict(await studio.labels(key, who)), "moves": moves})

    @routes.get(f"{FOLDER}/labels/{{label}}", responses=examples.answers({"label": "prod", "version": 3, "moves": []}))
    async def label(key: str, label: str, who: Caller, limit: Limit = 100) -> Response:
        """The version that a label stands for, null where it stands for none, and its moves."""
        moves = await studio.label_moves(key, who, limit=limit, label=label)
        number = (await studio.labels(key, who)).get(label)
        return reply({"label": label, "version": number, "moves": [_move(found) for found in moves]})

    @routes.put(f"{FOLDER}/labels/{{label}}", responses=move)
    async def set_label(key: str, label: str, body: LabelBody, who: Caller) -> Response:
        """Let a label stand for a version. It takes the right `save`; the label `prod` takes `publish`."""
        return reply(_move(await studio.move_label(key, label, body.version, who, body.message)))

    @routes.delete(f"{FOLDER}/labels/{{label}}", responses=move)
    async def remove_label(key: str, label: str, who: Caller) -> Response:
        """Take a label away; its moves are remembered. It takes the right `save`; the label `prod` takes `publish`."""
        return reply(_move(await studio.move_label(key, label, None, who)))

    @routes.post(f"{FOLDER}/labels/{{label}}/take_back", responses=move)
    async def take_back(key: str, label: str, who: Caller) -> Response:
        """Take back the last move of a label; called again, the one before."""
        return reply(_move(await studio.undo_label_move(key, label, who)))


def _files(routes: APIRouter, orchestrator: Orchestrator) -> None:
    studio = orchestrator.studio

    @routes.get(f"{FOLDER}/yaml", response_class=Response)
    async def yaml(key: str, who: Caller, version: Number = None) -> Response:
        """A version of a prompt as a prompt file; without a number the newest."""
        text = await studio.yaml(key, version, who)
        return Response(text, media_type="application/yaml", headers=attachment(f"{key.rpartition('/')[2]}.yaml"))

    @routes.get("/api/v1/prompts.zip", responses=examples.answers("a zip of prompt files"))
    async def export(who: Caller) -> Response:
        """All prompts that you may use, at their newest version, as a zip of prompt files."""
        return Response(await studio.export(who), media_type="application/zip", headers=attachment("prompts.zip"))

    @routes.post("/api/v1/prompts.zip", responses=examples.answers({"prompts": [examples.IMPORTED]}))
    async def bring(request: Request, who: Caller) -> Response:
        """Save every prompt of a zip, which is the body; each by itself, and the same once more changes nothing."""
        return reply({"prompts": [asdict(found) for found in await studio.import_bundle(await request.body(), who)]})


def _about(found: PromptVersion) -> dict[str, Any]:
    named = {name: getattr(found, name) for name in ("number", "author", "message", "source", "sha256")}
    return named | {"created_at": instant(found.created_at)}


def _version(found: Version) -> dict[str, Any]:
    return _about(found.about) | {"key": found.about.key, "labels": found.labels, "content": dict(found.content)}


def _move(found: LabelMove) -> dict[str, Any]:
    data = asdict(found)
    number = data.pop("number")
    return data | {"version": number, "at": instant(found.at)}


def _conflict(found: PromptConflict) -> dict[str, Any]:
    named = {name: getattr(found, name) for name in ("key", "base", "ours", "theirs")}
    return named | {"at": instant(found.at)}
