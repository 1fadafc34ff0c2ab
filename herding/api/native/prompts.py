"""The prompts as data: to read, to save, to delete."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response

from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.reply import reply
from herding.api.native import responses
from herding.api.native.requests import PromptBody
from herding.errors import UserError
from herding.orchestrator import Orchestrator
from herding.values import PromptInfo

IfMatch = Annotated[
    str | None,
    Header(description='the version that you change, such as `"3"`; 409 where the prompt is at another one'),
]


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes of the prompts."""
    routes = APIRouter(prefix="/api/v1/prompts", tags=["prompts"])

    @routes.get("", responses=examples.answers({"prompts": [examples.PROMPT]}))
    async def prompts(who: Caller) -> Response:
        """All prompts that you may use."""
        return reply({"prompts": [responses.prompt(info) for info in await orchestrator.prompts.list_all(who)]})

    @routes.get("/{key:path}", responses=examples.answers(examples.ONE_PROMPT))
    async def prompt(key: str, who: Caller) -> Response:
        """One prompt: its variables, its text, who serves it, how it did. Its version is the `ETag`.

        The key alone is the version with the label `prod`, else the newest; `key@3`, `key@test` and `key@newest` are
        others. `content` is the prompt as it is saved, without a label: change the newest and send it back.
        """
        return _answer(await orchestrator.prompts.get(key, who))

    made = examples.ONE_PROMPT | {"file": "written"}
    saved = examples.answers(made) | examples.answers(made, status=201)

    @routes.put("/{key:path}", summary="Save Prompt", responses=saved)
    async def save(key: str, body: PromptBody, who: Caller, if_match: IfMatch = None) -> Response:
        """Create a prompt (201) or a new version of it (200), which is kept first, and then written to its file.

        A `label` goes to the new version; without one, labels stay where they are. `file` says whether the file could
        be written. It takes the right `save`; with the label `prod`, or with `cors`, also the right `publish`.
        """
        entry: Any = {"expected": _versions(if_match), "message": body.message or ""}
        saved = await orchestrator.studio.save(key, body.content, who, **entry, source="api")
        return _answer(
            await orchestrator.prompts.get(f"{saved.key}@{saved.version}", who),
            201 if saved.new else 200,
            file=saved.file,
        )

    @routes.delete("/{key:path}", summary="Delete Prompt", status_code=204, responses=examples.refusals())
    async def delete(key: str, who: Caller, if_match: IfMatch = None) -> Response:
        """Delete a prompt with its file; what was asked with it stays in the history. It takes the right `publish`."""
        await orchestrator.studio.delete(key, who, expected=_versions(if_match))
        return Response(status_code=204)

    return routes


def _answer(info: PromptInfo, status: int = 200, **more: str) -> Response:
    body = responses.prompt(info) | {"content": dict(info.content)} | more
    return reply(body, status, {"ETag": f'"{info.version}"'})


def _versions(if_match: str | None) -> Collection[int] | None:
    """The versions that a caller takes the prompt to be at; None where they do not say."""
    if if_match is None:
        return None
    if if_match.strip() == "*":
        return range(1, sys.maxsize)
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")]
    if not all(tag.isascii() and tag.isdigit() and len(tag) < 20 for tag in tags):
        raise UserError('If-Match holds a version of the prompt in quotes, such as "3".', param="If-Match")
    return [int(tag) for tag in tags]
