"""The prompts as data: to read, to save, to delete."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Annotated

from fastapi import APIRouter, Header, Response

from herding.api import examples, shapes
from herding.api.caller import Caller
from herding.api.reply import reply
from herding.api.schemas import PromptBody
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
        return reply({"prompts": [shapes.prompt(info) for info in await orchestrator.prompts(who)]})

    @routes.get("/{key:path}", responses=examples.answers(examples.ONE_PROMPT))
    async def prompt(key: str, who: Caller) -> Response:
        """One prompt: its variables, its text, who serves it, how it did. Its version is the `ETag`.

        `content` is the prompt as it is saved: change it and send it back.
        """
        return _answer(await orchestrator.prompt(key, who))

    saved = examples.answers(examples.ONE_PROMPT) | examples.answers(examples.ONE_PROMPT, status=201)

    @routes.put("/{key:path}", summary="Save Prompt", responses=saved)
    async def save(key: str, body: PromptBody, who: Caller, if_match: IfMatch = None) -> Response:
        """Create a prompt (201) or change it (200), in its file; whoever asks next gets it.

        It takes the right `save`; with the label `prod`, or with `cors`, also the right `publish`.
        """
        saved = await orchestrator.studio.save(key, body.content, who, expected=_versions(if_match))
        return _answer(await orchestrator.prompt(saved.key, who), 201 if saved.new else 200)

    @routes.delete("/{key:path}", summary="Delete Prompt", status_code=204, responses=examples.refusals())
    async def delete(key: str, who: Caller, if_match: IfMatch = None) -> Response:
        """Delete a prompt with its file; what was asked with it stays in the history. It takes the right `publish`."""
        await orchestrator.studio.delete(key, who, expected=_versions(if_match))
        return Response(status_code=204)

    return routes


def _answer(info: PromptInfo, status: int = 200) -> Response:
    return reply(shapes.prompt(info) | {"content": dict(info.content)}, status, {"ETag": f'"{info.version}"'})


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
