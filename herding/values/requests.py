"""A request, its events, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from uuid6 import uuid7

from herding.values.calls import Choice, Fields, FinishReason, Message, Parameters, Usage
from herding.values.collections import ContextChunk, Reference
from herding.values.money import NANO

Status = Literal["running", "succeeded", "partial", "failed", "cancelled", "abandoned", "interrupted"]
"""The status of a request.

`succeeded` the response is complete; `partial` the node broke off after the first token; `failed` no response;
`cancelled` stopped by the caller; `abandoned` the caller disconnected; `interrupted` the app stopped while it ran.
"""

Kind = Literal["prompt", "chat", "completion", "embeddings", "rerank", "chain", "step"]
"""The kind of a request: a run of a prompt, or without one, a chat, a raw text, texts to embed, or documents to score.

A `chain` is a run of a prompt with steps: it adds up its steps, each of which is a request of the kind `step`.
"""

CONCLUSIVE_STATUSES: tuple[Status, ...] = ("succeeded", "partial", "failed")
"""The final statuses that count for a model; in the others, people stopped the request."""


def new_id() -> str:
    """Return an id of 32 hexadecimal digits; within a process, ids sort in the order of their creation."""
    return uuid7().hex


@dataclass(frozen=True, slots=True)
class Request:
    """One call at the front door: of a prompt, or without one, of a model.

    `prompt` is a key, or `key@version`, or `key@label`, or `key@newest`; `template` replaces its text for this run
    only (an unsaved edit), and `whole`, all of a prompt as YAML, replaces everything that is saved of it; `turns` are
    the earlier turns of a chat, oldest first, after the system message of a caller whose prompt has none. `model` None
    means that the policy chooses. Without a prompt, `messages` (a whole chat) or `text` (raw) are sent as they are.

    `attachments` are parts that are no text (images, audio, files) for the prompt's last message, `fields` what else it
    has (`name`), and `after` are the messages that follow it, such as tool calls and their results. `prompts` are raw
    inputs that `text` can't hold: token ids, or several texts.

    `collection` is searched instead of the one that the prompt retrieves from.

    `context` are the chunks for the retrieval of the prompt, instead of those that it would find.

    With a `session_id`, turns that are None (or a chat of one new message) are those that the session remembers.
    """

    prompt: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    parameters: Parameters = Parameters()
    turns: tuple[Message, ...] | None = None
    template: str | None = None
    whole: str | None = None
    messages: tuple[Message, ...] = ()
    text: str | None = None
    session_id: str | None = None
    response_format: Mapping[str, Any] | None = None
    attachments: tuple[Fields, ...] = ()
    fields: Fields = field(default_factory=dict)
    after: tuple[Message, ...] = ()
    prompts: tuple[Any, ...] | None = None
    collection: str | None = None
    context: tuple[ContextChunk, ...] | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt on one node. `error_type` is None where the node responded."""

    number: int
    node: str
    model: str
    started_at: int
    total_ms: float = 0.0
    error_type: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Timings:
    """Waiting for a place, until the first token, and all together; counted from the arrival of the request."""

    queued_ms: float = 0.0
    first_token_ms: float | None = None
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of the checks of a prompt. `ok` is None where the prompt has none."""

    ok: bool | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class FilterResult:
    """The effect of a response filter, with the plugin that it is of. `before` and `after` count characters."""

    name: str
    plugin: str
    action: Literal["passed", "changed", "refused", "failed"]
    reason: str | None = None
    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True)
class Considered:
    """A model that could have answered, on a node that serves it (None: none does).

    `share` is the probability with which the model was to be chosen, None where it could not be; `excluded` says what
    spoke against the node.
    """

    model: str
    node: str | None
    share: float | None
    excluded: str | None = None


StepState = Literal["waiting", "running", "succeeded", "failed", "skipped", "stopped"]
"""The state of a step of a chain. One that did not begin before the chain ended stays `waiting`."""


@dataclass(frozen=True, slots=True)
class StepRun:
    """A step of a chain: its prompt as `key@version`, its state, and its requests, one for each item of a list.

    `repeated` is true for a step that runs once for each item. `error` says why it failed.
    """

    name: str
    prompt: str
    state: StepState = "waiting"
    request_ids: tuple[str, ...] = ()
    repeated: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that is known of a request; one row of the history, and the final answer of the front door.

    `input` is exactly what the node got: the raw text, or the messages as a JSON list. `answer` is the text after the
    stop marker trimmed it: what streamed is what is stored. `choices` are the whole choices of a response that has
    more than one text: reasoning, tool calls, a refusal, or several choices; the first one's text is `answer`.
    `extra` are further fields of the response as the node sent them. `parameters` are those that the node got, and
    `ignored` names those that it does not take. `candidates` are who could have answered when the last attempt began;
    the history does not keep them. `token` is the public part of the access token, if one was used. `cost` is in
    nano-dollars, None if it is unknown. `references` are the chunks of documents that filled a variable of the prompt,
    None for a prompt without retrieval. `charged_tokens` and `charged_cost` are what the limits count, None for the
    usage and the cost themselves, and `charged_requests` is the number of requests that they count; the history does
    not keep them.

    `parent` is the request of the chain that this one is a step of, and `step` the name of that step. `steps` are
    those of a chain, None for other requests. `filters` tell what the response filters of the prompt did.
    """

    request_id: str
    principal: str
    prompt: str
    created_at: int
    version: int = 0
    variant: str | None = None
    edited: bool = False
    session_id: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    parameters: Parameters = Parameters()
    input: str = ""
    answer: str = ""
    model: str | None = None
    node: str | None = None
    status: Status = "running"
    finish_reason: FinishReason | None = None
    usage: Usage = Usage()
    timings: Timings = Timings()
    checks: CheckResult = CheckResult()
    policy: str | None = None
    reason: str | None = None
    attempts: tuple[Attempt, ...] = ()
    error_type: str | None = None
    error: str | None = None
    candidates: tuple[Considered, ...] = field(default=(), compare=False)
    kind: Kind = "prompt"
    token: str | None = None
    cost: int | None = None
    charged_tokens: int | None = field(default=None, compare=False)
    charged_cost: int | None = field(default=None, compare=False)
    choices: tuple[Choice, ...] = ()
    extra: Fields = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    references: tuple[Reference, ...] | None = None
    filters: tuple[FilterResult, ...] = ()
    parent: str | None = None
    step: str | None = None
    steps: tuple[StepRun, ...] | None = None
    charged_requests: int = field(default=1, compare=False)

    @property
    def first(self) -> Choice:
        """The first choice."""
        return self.choices[0] if self.choices else Choice(text=self.answer, finish_reason=self.finish_reason)

    @property
    def dollars(self) -> float | None:
        """The cost in US dollars, None if it is unknown."""
        return None if self.cost is None else self.cost / NANO

    @property
    def reasoning(self) -> str:
        """The reasoning before the answer; empty without one."""
        return self.choices[0].reasoning if self.choices else ""

    @property
    def tool_calls(self) -> list[Fields]:
        """The tool calls of the response."""
        found = self.choices[0].fields.get("tool_calls") if self.choices else None
        return list(found) if isinstance(found, list) else []

    @property
    def refusal(self) -> str:
        """The text with which the model refused; empty if it did not."""
        found = self.choices[0].fields.get("refusal") if self.choices else None
        return found if isinstance(found, str) else ""

    @property
    def note(self) -> str | None:
        """The reason why a response has no text; None for one that has."""
        if self.answer or self.status != "succeeded" or not self.node:
            return None
        if self.refusal:
            return "The model refused to respond."
        if self.tool_calls or (self.choices and self.choices[0].fields.get("function_call")):
            return "The response has tool calls and no text."
        if self.reasoning:
            cut = " It ended at the maximum of output tokens." if self.finish_reason == "length" else ""
            return f"The response has reasoning and no text.{cut}"
        if refused := next((found for found in self.filters if found.action == "refused"), None):
            return f"The response filter '{refused.name}' refused the response: {refused.reason}."
        if self.finish_reason == "content_filter":
            return "The content filter of the node removed the response."
        return None if self.choices and self.choices[0].fields else "The response is empty."

    def without_texts(self) -> Outcome:
        """Return the outcome with counts and times only, as it is stored for a caller who opted out of stored content.

        Errors may repeat what was sent; stop strings, and the name of a model that no node took, are texts as well.
        """
        more = {name: value for name, value in self.parameters.more.items() if isinstance(value, bool | int | float)}
        return replace(
            self,
            session_id=None,
            model=self.model if self.node else None,
            variables={},
            parameters=replace(self.parameters, stop=(), more=more),
            input="",
            answer="",
            choices=(),
            extra={},
            references=None,
            steps=self.steps and tuple(replace(step, error=None) for step in self.steps),
            filters=tuple(replace(result, reason=None) for result in self.filters),
            checks=replace(self.checks, reason=None),
            attempts=tuple(replace(attempt, error=None) for attempt in self.attempts),
            error=None,
        )


@dataclass(frozen=True, slots=True)
class Queued:
    """The request waits; `position` counts from 1, `reason` says for what, `seconds` for how long, if that is known."""

    request_id: str
    position: int
    reason: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A node took the request; `reason` says in words why this one. `ignored` are parameters that it does not take."""

    request_id: str
    model: str
    node: str
    reason: str
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """More of the answer: text of the first choice, and in `choices` all else, as the node sent it.

    `extra` are fields of the whole response, such as `system_fingerprint`; there may be nothing else.
    """

    text: str
    choices: tuple[Choice, ...] = ()
    extra: Fields | None = None

    @property
    def reasoning(self) -> str:
        """More of the reasoning of the first choice."""
        return "".join(choice.reasoning for choice in self.choices if choice.index == 0)


@dataclass(frozen=True, slots=True)
class StepChanged:
    """A step of the chain `request_id` has another state, or with `position` (from 1), its run for that item has.

    `step_id` is the request of the step, empty where it has none. `text` is its response once it succeeded, `error`
    why it failed.
    """

    request_id: str
    name: str
    prompt: str
    state: StepState
    step_id: str = ""
    position: int | None = None
    text: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a request: its row is durable when this arrives."""

    outcome: Outcome


Event = Queued | Started | Delta | StepChanged | Done
"""An event of a stream, in this order: Queued*, Started, Delta*, Done. A chain has StepChanged before Started, too."""
