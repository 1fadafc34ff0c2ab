"""What is said of answers, how requests are looked up, and what they tell of prompts and nodes."""

from __future__ import annotations

from dataclasses import dataclass

from herding.values.requests import Outcome, Status


@dataclass(frozen=True, slots=True)
class Score:
    """Stars (1-5) and comment of one principal on one request; either may be missing."""

    request_id: str
    principal: str
    stars: int | None = None
    comment: str | None = None
    updated_at: int = 0


@dataclass(frozen=True, slots=True)
class Preference:
    """What one principal says of the answers of two requests: the first is better, or they are `equal`."""

    better: str
    worse: str
    principal: str
    equal: bool = False
    at: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the history: a request's outcome with the stars and the comment of the principal who looks."""

    outcome: Outcome
    stars: int | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which requests to list; None means any. `principal` limits to that principal's own requests.

    `stars`: an exact number 1-5, or 0 for unrated. `text` is looked for in variables, input, answer, error and
    comment, ignoring case; its characters are literal.
    """

    principal: str | None = None
    prompt: str | None = None
    model: str | None = None
    node: str | None = None
    stars: int | None = None
    status: Status | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of history, newest first. `total` counts all entries that fit the filter."""

    entries: tuple[Entry, ...]
    total: int


@dataclass(frozen=True, slots=True)
class PromptStats:
    """How a prompt did: all its requests, the stars it got, and when it was used last (None: never)."""

    uses: int = 0
    rated: int = 0
    mean_stars: float | None = None
    last_used_at: int | None = None


@dataclass(frozen=True, slots=True)
class NodeStats:
    """What a node did in a span of time. `busy_ms` adds up the time of its requests (overlaps count once)."""

    requests: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_ms: float = 0.0
    busy_ms: float = 0.0
    mean_ms: float | None = None
