"""The services of a Herding on another address, for a bot in a process of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from herding.bots.config import DiscordFile
from herding.bots.service import MAX_CHOICES, BotService, DiscordUser, Question, question_variable
from herding.errors import AccessError, HerdingError, LimitError, NotFoundError, ShuttingDownError, UserError
from herding.prompts.model import Prompt
from herding.store import Store
from herding.values import CONCLUSIVE_STATUSES, DISCORD, Delta, Done, Event, Outcome, Queued, Reference, Started, Status

USER_HEADER, ROLE_HEADER = "x-herding-discord-user", "x-herding-discord-role"
TIMEOUT = httpx.Timeout(10, read=600)
UNREACHABLE = "Herding is not reachable. Try again in a few minutes."
_AWAY = (502, 503, 504)
_ERRORS: dict[str, type[HerdingError]] = {
    "forbidden": AccessError,
    "not_found": NotFoundError,
    "invalid_request": UserError,
}


class RemoteService(BotService):
    """Calls the API of a server with an admin's token, as the user of Discord.

    What was accepted is in a store of its own. A server that does not answer or is stopping is tried again later.
    """

    def __init__(
        self, *, server: str, token: str | None, store: Store, file: DiscordFile, clock: Callable[[], int]
    ) -> None:
        self.store, self.file, self.clock = store, file, clock
        headers = {"authorization": f"Bearer {token}"} if token else {}
        base = f"{server.rstrip('/')}/api/v1"
        self._http = httpx.AsyncClient(base_url=base, headers=headers, timeout=TIMEOUT, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(self, question: Question, user: DiscordUser) -> AsyncGenerator[Event, None]:
        found = await self._call("GET", f"/prompts/{quote(question.prompt, safe='@')}", user)
        try:
            prompt = Prompt.model_validate(found["content"])
        except (ValidationError, KeyError):
            raise UserError("The server has another version of Herding. Update both.") from None
        turns = [{"role": turn.role, "content": turn.content} for turn in question.turns] if prompt.chat else []
        body = {
            "prompt": question.prompt,
            "variables": {**question.variables, question.variable or question_variable(prompt): question.text},
            "turns": turns,
            "session_id": question.session_id if prompt.chat else None,
            "collection": question.collection,
            "stream": True,
        }
        try:
            async with self._http.stream("POST", "/infer", json=body, headers=self._as(user)) as response:
                if response.is_error:
                    await response.aread()
                    raise _error(response)
                name = ""
                async for line in response.aiter_lines():
                    if line.startswith("event:"):
                        name = line.removeprefix("event:").strip()
                    elif line.startswith("data:"):
                        yield _event(name, json.loads(line.removeprefix("data:")), user)
        except httpx.HTTPError:
            raise ShuttingDownError(UNREACHABLE) from None

    async def ended(self, request_id: str, user: DiscordUser) -> Outcome | None:
        try:
            entry = await self._call("GET", f"/history/{quote(request_id, safe='')}", user)
        except (NotFoundError, AccessError):
            return None
        outcome = _outcome(entry, user, entry["status"])
        return outcome if outcome.status in CONCLUSIVE_STATUSES and outcome.answer else None

    async def stop(self, request_id: str, user: DiscordUser) -> None:
        await self._call("POST", f"/requests/{quote(request_id, safe='')}/cancel", user)

    async def rate(self, request_id: str, stars: int, user: DiscordUser) -> None:
        await self._call("POST", "/score", user, {"request_id": request_id, "score": stars})

    async def comment(self, request_id: str, text: str, user: DiscordUser) -> None:
        await self._call("POST", "/feedback", user, {"request_id": request_id, "comment": text})

    async def store_content(self, stored: bool, user: DiscordUser) -> None:
        await self._call("PATCH", "/me", user, {"opt_out_history_content": not stored})

    async def prompts(self, typed: str, user: DiscordUser) -> list[tuple[str, str]]:
        found = (await self._call("GET", "/prompts", user))["prompts"]
        fitting = [(one["name"], one["key"]) for one in found if typed.lower() in f"{one['name']} {one['key']}".lower()]
        return fitting[:MAX_CHOICES]

    async def collections(self, typed: str, user: DiscordUser) -> list[str]:
        try:
            found = (await self._call("GET", "/collections", user))["collections"]
        except HerdingError:  # a role may use collections in prompts without seeing their list
            return []
        return [one["name"] for one in found if typed.lower() in one["name"].lower()][:MAX_CHOICES]

    def _as(self, user: DiscordUser) -> dict[str, str]:
        return {USER_HEADER: str(user.id), ROLE_HEADER: self.file.role_of(list(user.roles))}

    async def _call(self, method: str, path: str, user: DiscordUser, body: dict[str, Any] | None = None) -> Any:
        try:
            response = await self._http.request(method, path, json=body, headers=self._as(user))
        except httpx.HTTPError:
            raise ShuttingDownError(UNREACHABLE) from None
        if response.is_error:
            raise _error(response)
        return response.json()


def _error(response: httpx.Response) -> HerdingError:
    """Return the error that a server responded with."""
    try:
        found = response.json()["error"]
        kind, message = str(found["type"]), str(found["message"])
    except (ValueError, KeyError, TypeError):
        kind, message = "", f"The server responded with status {response.status_code}."
    wait = response.headers.get("retry-after", "")
    if kind in ("shutting_down", "") and response.status_code in _AWAY:
        return ShuttingDownError(message)
    if response.status_code == 429:
        return LimitError(message, retry_after=float(wait) if wait.isdigit() else 0.0)
    return _ERRORS.get(kind, HerdingError)(message)


def _event(name: str, data: dict[str, Any], user: DiscordUser) -> Event:
    """Return an event of the stream. Raises the error that ended it."""
    match name:
        case "queued":
            return Queued(data["request_id"], data["position"], data["reason"], data.get("seconds"))
        case "start":
            return Started(data["request_id"], data["model"], data["node"], data["reason"])
        case "delta":
            return Delta(data["text"])
        case "done":
            cancelled = data.get("finish_reason") == "cancelled"
            return Done(_outcome(data, user, "cancelled" if cancelled else "succeeded"))
    found = data.get("error") or {}
    kind = ShuttingDownError if found.get("type") == "shutting_down" else HerdingError
    raise kind(str(found.get("message") or "The request failed."))


def _outcome(data: dict[str, Any], user: DiscordUser, status: Status) -> Outcome:
    references = data.get("references")
    return Outcome(
        request_id=data["request_id"],
        principal=f"{DISCORD}{user.id}",
        prompt=data.get("prompt") or "",
        created_at=0,
        answer=data.get("text") or data.get("note") or "",
        model=data.get("model"),
        node=data.get("node"),
        status=status,
        references=None if references is None else tuple(Reference(**one) for one in references),
    )
