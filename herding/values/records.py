"""Records of requests: feedback, pages of the history, statistics, and the evidence that the routing learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from herding.values.requests import Kind, Outcome, Status


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
    """The preference of one principal between two responses: the first is better, or they are `equal`."""

    better: str
    worse: str
    principal: str
    equal: bool = False
    at: int = 0


@dataclass(frozen=True, slots=True)
class StepEntry:
    """The request of a step of a chain, without its texts. `cost` is in nano-dollars, None if it is unknown."""

    request_id: str
    step: str
    kind: Kind
    prompt: str
    version: int
    status: Status
    model: str | None
    node: str | None
    input_tokens: int
    output_tokens: int
    cost: int | None
    total_ms: float
    checks_passed: bool | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the history: a request's outcome, with its ratings.

    `stars` and `comment` are those of the viewing principal. `ratings` are those of all principals, oldest first.
    `children` are the requests of the steps of a chain, in the order in which they began.
    """

    outcome: Outcome
    stars: int | None = None
    comment: str | None = None
    ratings: tuple[Score, ...] = ()
    children: tuple[StepEntry, ...] = ()

    @property
    def rated(self) -> int:
        """The number of principals who gave stars."""
        return sum(rating.stars is not None for rating in self.ratings)

    @property
    def mean_stars(self) -> float | None:
        """The mean of all stars, None without any."""
        given = [rating.stars for rating in self.ratings if rating.stars is not None]
        return sum(given) / len(given) if given else None


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """A filter of requests; None means any. `principal` limits to that principal's own requests.

    `since` (inclusive) and `until` (exclusive) are in Unix milliseconds. `stars`: a number 1-5 that any principal gave,
    or 0 for unrated. `min_stars` and `max_stars` bound the mean of all stars, and leave out what is unrated. `text` is
    searched in variables, input, answer, error and comments, ignoring case; its characters are literal. `parent` is the
    request of a chain, to find its steps; with `steps` False, the steps of all chains are left out.
    `session_id` is that of a chat.
    """

    principal: str | None = None
    prompt: str | None = None
    model: str | None = None
    node: str | None = None
    stars: int | None = None
    status: Status | None = None
    text: str | None = None
    kind: Kind | None = None
    token: str | None = None
    since: int | None = None
    until: int | None = None
    min_stars: float | None = None
    max_stars: float | None = None
    rated: bool | None = None
    commented: bool | None = None
    version: int | None = None
    parent: str | None = None
    steps: bool | None = None
    session_id: str | None = None


SortName = Literal["time", "stars", "latency", "tokens", "cost"]
"""The sort keys of the history. Stars are the mean of all principals; tokens are those of input and output."""


@dataclass(frozen=True, slots=True)
class HistorySort:
    """An order of the history, the largest value first unless `ascending`. Requests without a value come last."""

    by: SortName = "time"
    ascending: bool = False


class HistoryPosition(NamedTuple):
    """A position in a sorted history: the value that it is sorted by, the instant and the id of a request."""

    value: float
    created_at: int
    id: str


@dataclass(frozen=True, slots=True)
class HistorySlice:
    """The next requests of a sorted history. The following ones come after `end`, None if there are none.

    `cut` is True if more requests match a text than can be sorted: only the newest of them were.
    """

    entries: tuple[Entry, ...]
    end: HistoryPosition | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class HistoryCount:
    """The number of matching requests, and the newest of them. With `more`, there may be more than were counted."""

    total: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the history, newest first. `total` counts all entries that match the filter.

    With `more`, it counts only those that were looked at: there may be more.
    """

    entries: tuple[Entry, ...]
    total: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class ReviewQueue:
    """The next response to rate, None if there is none, and how many are `left` with it.

    With `more`, `left` counts only those that were looked at: there may be more.
    """

    entry: Entry | None
    left: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class PromptStats:
    """Statistics of a prompt: its requests, its stars, and when it was used last (None: never)."""

    uses: int = 0
    rated: int = 0
    mean_stars: float | None = None
    last_used_at: int | None = None


@dataclass(frozen=True, slots=True)
class NodeStats:
    """Statistics of a node over a span of time. `busy_ms` adds up the time of its requests (overlaps count once)."""

    requests: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_ms: float = 0.0
    busy_ms: float = 0.0
    mean_ms: float | None = None


GroupName = Literal["user", "token", "prompt", "kind", "model", "node", "status", "day", "hour", "minute"]
"""The values by which requests can be grouped. Times are the begin of a day (UTC), hour or minute in Unix ms."""


@dataclass(frozen=True, slots=True)
class UsageSum:
    """The sums of some requests. `failed` includes what broke off; stopped requests are neither succeeded nor failed.

    `cost` is in nano-dollars, of the `priced` requests whose price is known; None if that is none of them. `mean_ms`
    and `mean_first_token_ms` are of the succeeded requests, from their arrival; None without any.
    """

    requests: int = 0
    succeeded: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int | None = None
    priced: int = 0
    mean_ms: float | None = None
    mean_first_token_ms: float | None = None


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """The sums of the requests that have the same `key`: a value for each name that they are grouped by.

    The value of a day is its begin in Unix milliseconds. None stands for requests without such a value.
    """

    key: tuple[str | int | None, ...]
    sums: UsageSum


@dataclass(frozen=True, slots=True)
class AttemptEvidence:
    """One attempt of a model on a prompt, as evidence of its quality there.

    `at` is when the request arrived. `error_type` is None where the model responded; `stars` are those of the response
    by principal.
    """

    request_id: str
    prompt: str
    model: str
    at: int
    error_type: str | None = None
    checks_passed: bool | None = None
    total_ms: float = 0.0
    stars: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttemptStats:
    """One attempt of a model on a prompt, with the metrics of its request.

    `at` is when the request arrived (Unix ms). `ok` is False where the model failed. Tokens are of the whole request;
    `stars` are the ratings of the response, one for each rater. `cost` is in nano-dollars, None if it is unknown; the
    last attempt has that of the request.
    """

    version: int
    edited: bool
    model: str
    at: int
    ok: bool
    checks_passed: bool | None
    total_ms: float
    input_tokens: int
    output_tokens: int
    stars: tuple[int, ...] = ()
    cost: int | None = None
    node: str = ""


@dataclass(frozen=True, slots=True)
class Reset:
    """A reset of the routing data of a prompt by a principal: evidence from before `at` (Unix ms) does not count."""

    prompt: str
    at: int
    by: str


@dataclass(frozen=True, slots=True)
class ModelStats:
    """Statistics of a model over a span of time: attempts and failed ones. Rates are 0-1, None without attempts.

    `share` is its success rate divided by the sum of those of all models: the shares of the models add up to 1.
    """

    total: int = 0
    errors: int = 0
    error_rate: float | None = None
    ok_rate: float | None = None
    share: float | None = None

    @classmethod
    def counted(cls, total: int, errors: int, whole: float) -> ModelStats:
        """Return the statistics of `total` attempts with `errors`; `whole` is the sum of the rates of all models."""
        if not total:
            return cls()
        rate = 1 - errors / total
        return cls(total, errors, errors / total, rate, rate / whole if whole else 0.0)
