"""Messages to bots on chat platforms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DISCORD = "discord:"
"""The beginning of the ids of Discord's users, as principals."""

MessageKind = Literal["message", "command"]
"""A message of a channel, or a slash command."""

MessageState = Literal["accepted", "started", "done"]
"""The state of a message: `accepted` before a node took its request, `started` until its response is complete."""


@dataclass(frozen=True, slots=True)
class BotMessage:
    """A message that a bot accepted, without its text: `id`, `channel` and `server` are those of the platform.

    `server` is None for a direct message. `replies` are the ids of the bot's own messages that hold the response, in
    their order, in the channel or thread `place`. The process that works on it holds a lease until `leased_until`.
    Times are in Unix milliseconds.
    """

    id: str
    kind: MessageKind
    author: str
    channel: str
    server: str | None
    received_at: int
    leased_until: int
    state: MessageState = "accepted"
    request_id: str | None = None
    place: str | None = None
    replies: tuple[str, ...] = ()
