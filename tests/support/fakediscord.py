"""A Discord on loopback: its REST API and its gateway, as far as bots use them, with the faults of the real one."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

EPOCH = 1_420_070_400_000
TOKEN = "MTA.fake.token-of-the-bot"
BOT, APP, GUILD, BOT_ROLE = 1000, 1001, 2000, 200_100_000_000_000_001
GENERAL, CODE, QUIET = 3000, 3001, 3002
MAX_CHARS = 2_000
CONTENT_INTENT = 1 << 15

Body = dict[str, Any]


@dataclass
class Session:
    """A session of the gateway, which may have lost its connection."""

    id: str
    socket: web.WebSocketResponse | None
    intents: int
    sequence: int = 0
    events: list[Body] = field(default_factory=list)
    resumable: bool = True


@dataclass
class Fault:
    """What happens to the next `times` calls that `matches`; `after` they took effect, or instead."""

    matches: Callable[[str, str], bool]
    answer: Callable[[], web.Response] | None
    times: int = 1
    after: bool = False


class FakeDiscord:
    """The state of the server, and the hands of its users. `clock` is in Unix milliseconds."""

    def __init__(self, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.clock = clock
        self.url = self.gateway = ""
        self.channels: dict[int, Body] = {}
        self.messages: dict[int, list[Body]] = defaultdict(list)
        self.sessions: dict[str, Session] = {}
        self.interactions: dict[str, Body] = {}
        self.commands: list[Body] = []
        self.members: dict[int, list[str]] = {}
        self.calls: list[tuple[str, str]] = []
        self.limited = 0
        self.edits: dict[int, list[str]] = defaultdict(list)
        self.faults: list[Fault] = []
        self.content_allowed, self.accepts_token = True, True
        self.token_seconds = 900.0
        self.held: list[Body] | None = None
        self.may_start_threads = True
        self.refused = ""
        self.identified = self.resumed = 0
        self.unheard_seconds: float | None = None
        self._nonces: dict[tuple[int, str], Body] = {}
        self._buckets: dict[str, deque[float]] = defaultdict(deque)
        self._count = 0
        self._changed = asyncio.Event()
        for id, name in ((GENERAL, "general"), (CODE, "code"), (QUIET, "quiet")):
            self.channels[id] = {"id": str(id), "type": 0, "name": name, "guild_id": str(GUILD), "position": 0}

    # What users do

    def say(
        self,
        channel: int,
        text: str,
        *,
        user: int = 7,
        mention: bool = True,
        reply_to: Body | None = None,
        names: int | None = None,
        is_bot: bool = False,
        file: str | None = None,
    ) -> Body:
        """Write a message, by default to the bot; `names` is another user that the text mentions."""
        attached = {"id": self.next_id(), "filename": file, "size": 9, "url": "x", "proxy_url": "x"}
        mentioned = ([_user(BOT)] if mention else []) + ([_user(names)] if names else [])
        message = self._store(
            channel,
            {
                "content": f"<@{BOT}> {text}" if mention else text,
                "author": _user(user) | {"bot": is_bot},
                "mentions": mentioned,
                "attachments": [attached] if file else [],
            },
        )
        if reply_to:
            message["type"] = 19
            message["message_reference"] = {"message_id": reply_to["id"], "channel_id": str(channel)}
            message["referenced_message"] = reply_to
        self.dispatch("MESSAGE_CREATE", self._event(message))
        return message

    def write_direct(self, text: str, *, user: int = 7) -> Body:
        """Write a direct message to the bot."""
        channel = 900_000 + user
        self.channels.setdefault(channel, {"id": str(channel), "type": 1, "recipients": [_user(user)]})
        message = self._store(channel, {"content": text, "author": _user(user)})
        self.dispatch("MESSAGE_CREATE", message)
        return message

    def command(self, name: str, *, user: int = 7, channel: int = GENERAL, **options: Any) -> Body:
        """Send a slash command."""
        given = [
            {"name": key, "type": 5 if isinstance(value, bool) else 3, "value": value} for key, value in options.items()
        ]
        data = {"id": "5000", "name": name, "type": 1, "options": given}
        return self._interact(2, data, user=user, channel=channel)

    def click(self, message: Body, label: str, *, user: int = 7) -> Body:
        """Click a button of a message by its label."""
        buttons = {button["label"]: button for row in message["components"] for button in row["components"]}
        data = {"custom_id": buttons[label]["custom_id"], "component_type": 2}
        return self._interact(3, data, user=user, channel=int(message["channel_id"]), message=message)

    def fill(self, dialog: Body, text: str, *, user: int = 7, channel: int = GENERAL) -> Body:
        """Fill the only field of a dialog and send it."""
        field = {"type": 4, "custom_id": dialog["components"][0]["components"][0]["custom_id"], "value": text}
        data = {"custom_id": dialog["custom_id"], "components": [{"type": 1, "components": [field]}]}
        return self._interact(5, data, user=user, channel=channel)

    def labels(self, message: Body) -> list[str]:
        """The labels of the buttons of a message."""
        return [button["label"] for row in message.get("components", ()) for button in row["components"]]

    def own(self, channel: int) -> list[Body]:
        """The messages of the bot in a channel."""
        return [message for message in self.messages[channel] if message["author"]["id"] == str(BOT)]

    def said(self, channel: int) -> list[str]:
        """The texts of the bot in a channel."""
        return [message["content"] for message in self.own(channel)]

    async def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        """Wait for a condition, which is looked at after each change; return its value."""
        async with asyncio.timeout(seconds):
            while not (found := condition()):
                self._changed.clear()
                try:
                    async with asyncio.timeout(0.2):
                        await self._changed.wait()
                except TimeoutError:
                    pass
        return found

    # What goes wrong

    def fail(
        self, method: str, path: str, answer: Callable[[], web.Response] | None, *, times: int = 1, after: bool = False
    ) -> None:
        """Let the next calls of a method to a path that contains a text fail; None closes the connection."""
        self.faults.append(Fault(lambda m, p: m == method and path in p, answer, times, after))

    async def drop(self, code: int = 1006, *, resumable: bool = True) -> None:
        """End all connections of the gateway; 1006 without a word."""
        for session in self.sessions.values():
            session.resumable = session.resumable and resumable
            socket, session.socket = session.socket, None
            if socket is None:
                continue
            if code == 1006:
                if (transport := socket._req.transport) is not None:
                    transport.abort()
            else:
                await socket.close(code=code)

    async def ask_to_reconnect(self) -> None:
        """Ask all sessions to reconnect (opcode 7)."""
        for session in self.sessions.values():
            if session.socket:
                await session.socket.send_json({"op": 7, "d": None})

    async def invalidate(self, *, resumable: bool = False) -> None:
        """Tell all sessions that they are invalid (opcode 9)."""
        for session in self.sessions.values():
            session.resumable = session.resumable and resumable
            if socket := session.socket:
                session.socket = None
                await socket.send_json({"op": 9, "d": resumable})

    def hold(self) -> None:
        """Keep events back until `release`."""
        self.held = []

    def release(self, order: Callable[[list[Body]], list[Body]] = lambda events: events) -> None:
        """Send the events that were held back, in another order."""
        held, self.held = self.held or [], None
        for event in order(held):
            self.dispatch(event["t"], event["d"])

    def dispatch(self, name: str, data: Body) -> None:
        """Send an event to all sessions, or keep it for those that come back."""
        self._changed.set()
        if self.held is not None and name != "READY":
            self.held.append({"t": name, "d": data})
            return
        for session in list(self.sessions.values()):
            self._send(session, name, data)

    # The server

    def app(self) -> web.Application:
        """The web app."""
        app = web.Application(middlewares=[self._middleware])
        routes = app.router
        base = "/api/v10"
        for method, path, handler in (
            ("GET", "/users/@me", self._me),
            ("GET", "/oauth2/applications/@me", self._application),
            ("GET", "/applications/@me", self._application),
            ("GET", "/gateway/bot", self._gateway_address),
            ("PUT", f"/applications/{APP}/commands", self._set_commands),
            ("GET", "/channels/{channel}", self._get_channel),
            ("GET", "/channels/{channel}/messages", self._history),
            ("POST", "/channels/{channel}/messages", self._create),
            ("GET", "/channels/{channel}/messages/{message}", self._get_message),
            ("PATCH", "/channels/{channel}/messages/{message}", self._edit),
            ("DELETE", "/channels/{channel}/messages/{message}", self._delete),
            ("POST", "/channels/{channel}/messages/{message}/threads", self._start_thread),
            ("GET", "/guilds/{guild}/members/{user}", self._get_member),
            ("POST", "/interactions/{id}/{token}/callback", self._respond),
            ("POST", f"/webhooks/{APP}/{{token}}", self._follow_up),
            ("GET", f"/webhooks/{APP}/{{token}}/messages/{{message}}", self._get_response),
            ("PATCH", f"/webhooks/{APP}/{{token}}/messages/{{message}}", self._edit_response),
        ):
            routes.add_route(method, base + path, handler)
        routes.add_get("/gateway", self._connect)
        return app

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        path = request.path.removeprefix("/api/v10")
        if path == "/gateway":
            return await handler(request)
        self.calls.append((request.method, path))
        known = self.accepts_token and request.headers.get("Authorization") == f"Bot {TOKEN}"
        if not known and not path.startswith(("/webhooks", "/interactions")):
            return _json({"message": "401: Unauthorized", "code": 0}, status=401)
        fault = next((one for one in self.faults if one.times > 0 and one.matches(request.method, path)), None)
        if fault:
            fault.times -= 1
            if fault.after:
                await handler(request)
            if fault.answer is None:
                if request.transport:
                    request.transport.abort()
                return web.Response()
            return fault.answer()
        if (wait := self._limit(request.method, path)) > 0:
            self.limited += 1
            return limited(wait)
        try:
            response = await handler(request)
        except _Refused as refusal:
            response = _json({"message": refusal.message, "code": refusal.code}, status=refusal.status)
        self._changed.set()
        return response

    def _limit(self, method: str, path: str) -> float:
        """Seconds to wait: five messages, and five edits, in five seconds and channel."""
        parts = path.split("/")
        if method not in ("POST", "PATCH") or len(parts) < 4 or parts[1] != "channels":
            return 0.0
        bucket, now = self._buckets[f"{method}:{parts[2]}"], self.clock() / 1000
        while bucket and now - bucket[0] >= 5:
            bucket.popleft()
        if len(bucket) >= 5:
            return max(0.001, bucket[0] + 5 - now)
        bucket.append(now)
        return 0.0

    async def _me(self, _: web.Request) -> web.Response:
        return _json(_user(BOT))

    async def _application(self, _: web.Request) -> web.Response:
        team = {"id": str(APP), "name": "Herding", "description": "", "icon": None, "flags": 1 << 18}
        more = {"bot_public": True, "bot_require_code_grant": False, "owner": _user(7), "verify_key": "", "team": None}
        return _json(team | more)

    async def _gateway_address(self, _: web.Request) -> web.Response:
        limit = {"total": 1000, "remaining": 900, "reset_after": 1000, "max_concurrency": 1}
        return _json({"url": self.gateway, "shards": 1, "session_start_limit": limit})

    async def _set_commands(self, request: web.Request) -> web.Response:
        self.commands = await request.json()
        made = [
            command | {"id": str(5000 + n), "application_id": str(APP), "version": "1"}
            for n, command in enumerate(self.commands)
        ]
        return _json(made)

    async def _get_channel(self, request: web.Request) -> web.Response:
        channel = self.channels.get(int(request.match_info["channel"]))
        if channel is None:
            raise _Refused(404, 10003, "Unknown Channel")
        return _json(channel)

    async def _history(self, request: web.Request) -> web.Response:
        found = list(self.messages[int(request.match_info["channel"])])
        limit = int(request.query.get("limit", 50))
        if after := request.query.get("after"):
            found = [one for one in found if int(one["id"]) > int(after)][:limit]
        elif before := request.query.get("before"):
            found = [one for one in found if int(one["id"]) < int(before)][-limit:]
        else:
            found = found[-limit:]
        return _json(list(reversed(found)))

    async def _create(self, request: web.Request) -> web.Response:
        channel, body = int(request.match_info["channel"]), await _body(request)
        if channel not in self.channels:
            raise _Refused(404, 10003, "Unknown Channel")
        key = (channel, str(body.get("nonce")))
        if body.get("enforce_nonce") and key in self._nonces:
            return _json(self._nonces[key])
        message = self._store(channel, self._checked(body) | {"author": _user(BOT)})
        if reference := body.get("message_reference"):
            message |= {
                "type": 19,
                "message_reference": {"message_id": str(reference["message_id"]), "channel_id": str(channel)},
            }
        self._nonces[key] = message
        self.dispatch("MESSAGE_CREATE", self._event(message))
        return _json(message)

    async def _edit(self, request: web.Request) -> web.Response:
        message, body = self._own_message(request), await _body(request)
        message.update(self._checked({**message, **body}))
        self.edits[int(message["id"])].append(message["content"])
        return _json(message)

    async def _delete(self, request: web.Request) -> web.Response:
        message = self._own_message(request)
        self.messages[int(message["channel_id"])].remove(message)
        return web.Response(status=204)

    async def _get_message(self, request: web.Request) -> web.Response:
        return _json(self._message(request))

    async def _start_thread(self, request: web.Request) -> web.Response:
        message, body = self._message(request), await request.json()
        if not self.may_start_threads:
            raise _Refused(403, 50013, "Missing Permissions")
        id = int(message["id"])
        if id in self.channels:
            raise _Refused(400, 160004, "A thread has already been created for this message")
        thread = self._thread(id, int(message["channel_id"]), body["name"])
        self.dispatch("THREAD_CREATE", thread | {"newly_created": True})
        starter = {"type": 21, "content": "", "author": message["author"], "referenced_message": message}
        starter["message_reference"] = {
            "message_id": message["id"],
            "channel_id": message["channel_id"],
            "guild_id": str(GUILD),
        }
        self._store(id, starter)
        return _json(thread)

    def _thread(self, id: int, parent: int, name: str) -> Body:
        meta = {
            "archived": False,
            "auto_archive_duration": 1440,
            "archive_timestamp": "2026-01-01T00:00:00+00:00",
            "locked": False,
        }
        thread = {"id": str(id), "type": 11, "name": name, "guild_id": str(GUILD), "parent_id": str(parent)}
        thread |= {
            "owner_id": str(BOT),
            "message_count": 0,
            "member_count": 1,
            "rate_limit_per_user": 0,
            "thread_metadata": meta,
        }
        self.channels[id] = thread
        return thread

    async def _get_member(self, request: web.Request) -> web.Response:
        user = int(request.match_info["user"])
        return _json(_member(self.members.get(user, [])) | {"user": _user(user)})

    async def _respond(self, request: web.Request) -> web.Response:
        interaction, body = self._interaction(request.match_info["token"]), await request.json()
        now = self.clock() / 1000
        if interaction["response"] is not None:
            raise _Refused(400, 40060, "Interaction has already been acknowledged.")
        if now - interaction["at"] > 3:
            raise _Refused(404, 10062, "Unknown interaction")
        interaction["response"] = body
        callback: Body = {"id": interaction["id"], "type": interaction["type"], "response_message_loading": False}
        if body["type"] in (4, 5):
            given = self._checked(body.get("data") or {}) | {
                "author": _user(BOT),
                "flags": (body.get("data") or {}).get("flags", 0),
            }
            message = self._store(interaction["channel"], given, shown=not given["flags"])
            interaction["message"] = message
            callback["response_message_id"] = message["id"]
        return _json({"interaction": callback})

    async def _follow_up(self, request: web.Request) -> web.Response:
        interaction = self._interaction(request.match_info["token"])
        message = self._store(interaction["channel"], self._checked(await _body(request)) | {"author": _user(BOT)})
        return _json(message)

    async def _get_response(self, request: web.Request) -> web.Response:
        return _json(self._response_message(request))

    async def _edit_response(self, request: web.Request) -> web.Response:
        message, body = self._response_message(request), await _body(request)
        message.update(self._checked({**message, **body}))
        self.edits[int(message["id"])].append(message["content"])
        return _json(message)

    def _interaction(self, token: str) -> Body:
        interaction = self.interactions.get(token)
        if interaction is None or self.clock() / 1000 - interaction["at"] > self.token_seconds:
            raise _Refused(401, 50027, "Invalid Webhook Token")
        return interaction

    def _response_message(self, request: web.Request) -> Body:
        interaction, id = self._interaction(request.match_info["token"]), request.match_info["message"]
        message = interaction.get("message")
        if id not in ("@original", message and message["id"]):
            message = next((one for one in self.messages[interaction["channel"]] if one["id"] == id), None)
        if message is None:
            raise _Refused(404, 10008, "Unknown Message")
        return message

    def _message(self, request: web.Request) -> Body:
        channel, id = int(request.match_info["channel"]), request.match_info["message"]
        message = next((one for one in self.messages[channel] if one["id"] == id), None)
        if message is None:
            raise _Refused(404, 10008, "Unknown Message")
        return message

    def _own_message(self, request: web.Request) -> Body:
        message = self._message(request)
        if message["author"]["id"] != str(BOT):
            raise _Refused(403, 50005, "Cannot edit a message authored by another user")
        return message

    def _checked(self, body: Body) -> Body:
        """The parts of a message, refused as Discord refuses them."""
        content, embeds = body.get("content") or "", body.get("embeds") or []
        parts = [(one.get("title") or "", one.get("description") or "") for one in embeds]
        footers = sum(len((one.get("footer") or {}).get("text") or "") for one in embeds)
        too_large = any(len(title) > 256 or len(text) > 4_096 for title, text in parts)
        total = sum(len(title) + len(text) for title, text in parts) + footers
        if len(content.encode("utf-16-le")) // 2 > MAX_CHARS or too_large or total > 6_000:
            raise _Refused(400, 50035, "Invalid Form Body")
        if self.refused and self.refused in content:
            raise _Refused(400, 240000, "Message blocked by harmful links filter")
        components = body.get("components") or []
        if any(len(button["custom_id"]) > 100 for row in components for button in row["components"]):
            raise _Refused(400, 50035, "Invalid Form Body")
        return {
            "content": content,
            "embeds": embeds,
            "components": components,
            "mentions": [],
            "allowed": body.get("allowed_mentions"),
        }

    def _store(self, channel: int, body: Body, *, shown: bool = True) -> Body:
        message = {
            "id": self.next_id(),
            "channel_id": str(channel),
            "type": 0,
            "timestamp": "2026-01-01T00:00:00+00:00",
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "attachments": [],
            "embeds": [],
            "components": [],
            "pinned": False,
            "flags": 0,
        } | body
        if shown:
            self.messages[channel].append(message)
            if channel in self.channels:
                self.channels[channel]["last_message_id"] = message["id"]
        return message

    def next_id(self) -> str:
        """A new id of the present instant."""
        self._count += 1
        return str((self.clock() - EPOCH) << 22 | self._count % (1 << 22))

    def _event(self, message: Body) -> Body:
        user = int(message["author"]["id"])
        return message | {"guild_id": str(GUILD), "member": _member(self.members.get(user, []))}

    def _interact(self, kind: int, data: Body, *, user: int, channel: int, message: Body | None = None) -> Body:
        id = self.next_id()
        interaction: Body = {"id": id, "type": kind, "token": f"token-{id}", "response": None, "channel": channel}
        interaction["at"] = self.clock() / 1000
        self.interactions[interaction["token"]] = interaction
        event: Body = {
            "id": id,
            "application_id": str(APP),
            "type": kind,
            "token": interaction["token"],
            "version": 1,
            "data": data,
            "channel_id": str(channel),
            "channel": self.channels[channel],
            "locale": "en-US",
            "entitlements": [],
            "authorizing_integration_owners": {},
            "context": 0,
            "attachment_size_limit": 1_000,
        }
        if self.channels[channel]["type"] == 1:
            event["user"] = _user(user)
        else:
            event |= {"guild_id": str(GUILD), "guild_locale": "en-US"}
            event["member"] = _member(self.members.get(user, [])) | {"user": _user(user), "permissions": "0"}
        if message:
            event["message"] = message
        interaction["event"] = event
        self.dispatch("INTERACTION_CREATE", event)
        return interaction

    # The gateway

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"op": 10, "d": {"heartbeat_interval": 41_250}})
        session: Session | None = None
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            body = json.loads(message.data)
            if body["op"] == 1:
                await socket.send_json({"op": 11})
            elif body["op"] == 2:
                session = await self._identify(socket, body["d"])
            elif body["op"] == 6:
                session = await self._resume(socket, body["d"])
        if session and session.socket is socket:
            session.socket = None
        return socket

    async def _identify(self, socket: web.WebSocketResponse, given: Body) -> Session | None:
        if given["token"] != TOKEN:
            await socket.close(code=4004)
            return None
        if given["intents"] & CONTENT_INTENT and not self.content_allowed:
            await socket.close(code=4014)
            return None
        self.identified += 1
        self.sessions.clear()
        session = Session(f"session-{self.identified}", socket, given["intents"])
        ready = {
            "v": 10,
            "user": _user(BOT),
            "guilds": [{"id": str(GUILD), "unavailable": True}],
            "session_id": session.id,
            "resume_gateway_url": self.gateway,
            "application": {"id": str(APP), "flags": 1 << 18},
        }
        self._send(session, "READY", ready)
        self._send(session, "GUILD_CREATE", self._guild())
        self.sessions[session.id] = session
        self._changed.set()
        return session

    async def _resume(self, socket: web.WebSocketResponse, given: Body) -> Session | None:
        session = self.sessions.get(given["session_id"] or "")
        if session is None or not session.resumable:
            await socket.send_json({"op": 9, "d": False})
            return None
        self.resumed += 1
        session.socket = socket
        for event in [one for one in session.events if one["s"] > (given["seq"] or 0)]:
            await socket.send_json(event)
        self._send(session, "RESUMED", {})
        return session

    def _guild(self) -> Body:
        channels = [one for one in self.channels.values() if one["type"] == 0]
        threads = [one for one in self.channels.values() if one["type"] == 11]
        roles = [
            {"id": str(GUILD), "name": "@everyone", "permissions": "1071698660929", "position": 0},
            {
                "id": str(BOT_ROLE),
                "name": "Herding",
                "permissions": "1071698660929",
                "position": 1,
                "tags": {"bot_id": str(BOT)},
            },
        ]
        others = sorted({role for held in self.members.values() for role in held})
        roles += [{"id": role, "name": f"role {role}", "permissions": "0", "position": 2} for role in others]
        for role in roles:
            role |= {"color": 0, "hoist": False, "managed": False, "mentionable": False, "flags": 0}
        return {
            "id": str(GUILD),
            "name": "Llamas",
            "owner_id": "7",
            "member_count": 3,
            "large": False,
            "unavailable": False,
            "channels": channels,
            "threads": threads,
            "roles": roles,
            "members": [_member([str(BOT_ROLE)]) | {"user": _user(BOT)}],
            "emojis": [],
            "stickers": [],
            "features": [],
            "voice_states": [],
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
            "premium_tier": 0,
            "preferred_locale": "en-US",
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "mfa_level": 0,
            "nsfw_level": 0,
            "system_channel_flags": 0,
            "afk_timeout": 300,
            "premium_progress_bar_enabled": False,
        }

    def _send(self, session: Session, name: str, data: Body) -> None:
        session.sequence += 1
        people = [user["id"] for user in data.get("mentions", ())] + [data.get("author", {}).get("id")]
        hidden = not session.intents & CONTENT_INTENT and "guild_id" in data and str(BOT) not in people
        if name == "MESSAGE_CREATE" and hidden:
            data = data | {"content": "", "embeds": [], "components": []}
        event = {"op": 0, "t": name, "s": session.sequence, "d": json.loads(json.dumps(data))}
        session.events.append(event)
        if session.socket is not None and not session.socket.closed:
            task = asyncio.ensure_future(_sent(session.socket, event))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())


async def _sent(socket: web.WebSocketResponse, event: Body) -> None:
    await socket.send_json(event)


class _Refused(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def _json(data: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A response with the content type in the letters that the library looks for."""
    text = json.dumps(data).encode()
    return web.Response(body=text, status=status, headers={"Content-Type": "application/json", **(headers or {})})


def limited(seconds: float, *, everywhere: bool = False) -> web.Response:
    """The answer to a call too many."""
    body = {"message": "You are being rate limited.", "retry_after": seconds, "global": everywhere}
    return _json(body, status=429, headers={"Via": "1.1 google", "X-RateLimit-Scope": "user"})


def broken(status: int = 502) -> web.Response:
    """The answer of a server in trouble."""
    return web.Response(status=status, text="<html>bad gateway</html>", content_type="text/html")


async def _body(request: web.Request) -> Body:
    if request.content_type == "application/json":
        return await request.json()
    form = await request.post()
    return json.loads(str(form["payload_json"]))


def _user(id: int) -> Body:
    names = {BOT: "herding", 7: "ada", 8: "bob"}
    name = names.get(id, f"user{id}")
    return {
        "id": str(id),
        "username": name,
        "global_name": name.title(),
        "discriminator": "0",
        "avatar": None,
        "bot": id == BOT,
    }


def _member(roles: list[str]) -> Body:
    return {
        "roles": roles,
        "joined_at": "2026-01-01T00:00:00+00:00",
        "deaf": False,
        "mute": False,
        "flags": 0,
        "nick": None,
    }


@asynccontextmanager
async def fake_discord(clock: Callable[[], int] | None = None) -> AsyncIterator[FakeDiscord]:
    """A Discord on a free port."""
    fake = FakeDiscord(clock) if clock else FakeDiscord()
    runner = web.AppRunner(fake.app(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    fake.url, fake.gateway = f"http://127.0.0.1:{port}/api/v10", f"ws://127.0.0.1:{port}/gateway"
    try:
        yield fake
    finally:
        await fake.drop()
        await runner.cleanup()
