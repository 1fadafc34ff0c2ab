"""Frozen values that travel between the rooms. Times are milliseconds; instants are Unix milliseconds (UTC)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

Status = Literal["running", "succeeded", "partial", "failed", "cancelled", "abandoned", "interrupted"]
"""How a request ended.

`succeeded` the answer is whole; `partial` the node broke off after the first token; `failed` no answer;
`cancelled` the caller stopped it; `abandoned` the caller went away; `interrupted` the app died while it ran.
"""

TELLING: tuple[Status, ...] = ("succeeded", "partial", "failed")
"""How requests end that say something of the model; the others were stopped by people."""

FinishReason = Literal["stop", "length", "cancelled", "error"]
"""Why generation ended: end of turn or stop string, `max_tokens` reached, stopped by us, or the node failed."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Parameters:
    """Sampling parameters; None leaves a parameter to the model's own default. Temperature 0 is greedy."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None

    def over(self, base: Parameters) -> Parameters:
        """These parameters laid over `base`: what is set here wins."""
        if base == _MODELS_OWN:
            return self
        set_here = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) not in (None, ())}
        return replace(base, **set_here)


_MODELS_OWN = Parameters()


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one request. `source`: `node` exact, from the node; `counted` estimated from the text."""

    input_tokens: int = 0
    output_tokens: int = 0
    source: Literal["node", "counted"] = "counted"


@dataclass(frozen=True, slots=True)
class Call:
    """What a node is asked to do: continue `messages` (a chat) or `text` (a raw prompt) with `model`.

    `response_format` is the form that the answer must have, in OpenAI's words; only nodes with `formats` get one.
    """

    id: str
    model: str
    messages: tuple[Message, ...] | None = None
    text: str | None = None
    parameters: Parameters = Parameters()
    response_format: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer. The last one carries the finish reason; any may carry the usage so far, from the node."""

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A vector for each text, in the order of the texts and all of one length, and what they took."""

    vectors: tuple[tuple[float, ...], ...]
    input_tokens: int = 0
    source: Literal["node", "counted"] = "counted"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking. `rights` are the operations that the role allows, `limits` how much of them.

    `nodes` and `prompts` are glob patterns of what may be used; without any, nothing may. `token` is the public part
    of the token that they came with, `expires_at` its end. `account` is whose limits they use up: for somebody unknown
    it is where they come from, since a new name costs nothing.
    """

    id: str
    role: str
    rights: frozenset[str] = frozenset()
    nodes: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    tabs: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    opt_out: bool = False
    token: str | None = None
    expires_at: int | None = None
    account: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One call at the front door: of a prompt, or without one, of a model.

    `prompt` is a key, or `key@version`, or `key@label`, or `key@newest`; `template` replaces its text for this run
    only (an unsaved edit), and `whole`, all of a prompt as YAML, replaces everything that is saved of it; `turns` are
    the earlier turns of a chat, oldest first, without the system message. `model` None means that the policy chooses.
    Without a prompt, `messages` (a whole chat) or `text` (raw) are sent as they are.

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


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one node. `error_type` is None where the node answered."""

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
class Trial:
    """One try of a model on a prompt, as evidence of how good it is there.

    `at` is when the request came. `error_type` is None where the model answered; `stars` of the answer by principal.
    """

    request_id: str
    prompt: str
    model: str
    at: int
    error_type: str | None = None
    contract_ok: bool | None = None
    total_ms: float = 0.0
    stars: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tried:
    """One try of a model on a prompt, with the figures of its request.

    `at` is when the request came (Unix ms). `ok` is False where the model failed. Tokens are of the whole request;
    `stars` are how many rated the answer, the sum of their stars, and the sum of the squares of those.
    """

    version: int
    edited: bool
    model: str
    at: int
    ok: bool
    contract_ok: bool | None
    total_ms: float
    input_tokens: int
    output_tokens: int
    stars: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Reset:
    """What was learned of the models of a prompt before `at` (Unix ms) counts no more; `by` is who wanted that."""

    prompt: str
    at: int
    by: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer keeps its prompt's contract. `ok` is None where there is no contract to keep."""

    ok: bool | None = None
    reason: str | None = None


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that is known of a request; one row of the history, and the final answer of the front door.

    `input` is exactly what the node got: the raw text, or the messages as a JSON list. `answer` is the text
    after the contract trimmed it: what streamed is what is stored. `candidates` are who could have answered when the
    last attempt began; the history does not keep them.
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
    contract: Verdict = Verdict()
    policy: str | None = None
    reason: str | None = None
    attempts: tuple[Attempt, ...] = ()
    error_type: str | None = None
    error: str | None = None
    candidates: tuple[Considered, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Queued:
    """The request waits; `position` counts from 1, `reason` says for what, `seconds` for how long, if that is known."""

    request_id: str
    position: int
    reason: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A node took the request; `reason` says in words why this one."""

    request_id: str
    model: str
    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Delta:
    """More text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a request: its row is durable when this arrives."""

    outcome: Outcome


Event = Queued | Started | Delta | Done
"""What a stream of the orchestrator yields: Queued*, Started, Delta*, Done."""


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


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as its driver reports it. Memory in bytes; utilisation in percent, None where nothing tells it."""

    name: str
    memory_total: int
    memory_used: int
    utilisation: float | None = None


@dataclass(frozen=True, slots=True)
class System:
    """Figures of the machine that a node runs on. Memory and disk in bytes; `gpus` is empty where there is none."""

    cpu_percent: float
    load_1m: float
    memory_total: int
    memory_used: int
    swap_total: int
    swap_used: int
    disk_total: int
    disk_used: int
    process_memory: int
    gpus: tuple[Gpu, ...] = ()


NodeState = Literal["off", "starting", "loading", "ready", "down"]
"""`off`: not configured on this machine; `down`: not reachable, or its model failed to load."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node at this moment.

    `serves`: models that it answers with now; `embeds`: models that it makes embeddings with; `offers`: models that it
    can be switched to; `loading`: the model that is on its way, with `progress` 0-1 where that is known. `system` is
    None where the node does not tell.
    """

    state: NodeState
    serves: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    detail: str = ""
    loading: str | None = None
    progress: float | None = None
    context_length: int | None = None
    active: int = 0
    waiting: int = 0
    device: str | None = None
    system: System | None = None
    embeds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """A step of a model switch: `fraction` is 0-1, None where the length is not known."""

    fraction: float | None
    stage: str
    done: bool = False


HealthState = Literal["healthy", "ejected", "trial", "resting", "misconfigured"]


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """Whether a node gets requests, from what came of those before.

    `healthy`; `ejected` it failed; `trial` the next request decides; `resting` it has too much to do; `misconfigured`
    it refuses our credentials, until somebody mends that. `seconds`: until it may be called, None where that takes a
    person.
    """

    state: HealthState = "healthy"
    seconds: float | None = 0.0
    reason: str = ""
    failures_in_a_row: int = 0
    ejections: int = 0


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """One change of a node. `at_ms` is Unix milliseconds; `detail` is a few words, never of a request's text."""

    at_ms: int
    node: str
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node as a person sees it: its kind, its status, and what it did in the last 24 hours.

    `running` requests of at most `concurrency` (None: any number); one that is `draining` gets no new ones.
    """

    name: str
    kind: str
    status: NodeStatus
    stats: NodeStats
    prompts: tuple[str, ...] = ()
    health: NodeHealth = NodeHealth()
    running: int = 0
    concurrency: int | None = None
    draining: bool = False


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model, the nodes that answer, make embeddings or can be switched to it, and the prompts that target it."""

    id: str
    nodes: tuple[str, ...]
    embeds: tuple[str, ...]
    offered_by: tuple[str, ...]
    prompts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelStats:
    """What a model did in a span of time: tries of it, and those that failed. Rates are 0-1, None without any try.

    `share` is its part of all tries of all models.
    """

    total: int = 0
    errors: int = 0
    error_rate: float | None = None
    ok_rate: float | None = None
    share: float | None = None

    @classmethod
    def counted(cls, total: int, errors: int, whole: int) -> ModelStats:
        """`total` tries of a model with `errors`, among `whole` tries of all."""
        if not total:
            return cls()
        return cls(total, errors, errors / total, 1 - errors / total, total / whole)


@dataclass(frozen=True, slots=True)
class PromptInfo:
    """A prompt as a person sees it.

    `body` is its text as YAML; `served` maps each target model to the nodes that serve it now. `content` is the prompt
    in the words of its file without a label, `version` the number of that; `newest` is the newest number, `labels` are
    the numbers that labels stand for, and `label` the first of them that stands for this version. `roles` are the only
    ones that may see it, None for all; `cors` are the origins of the web pages that may run it. `text` is what its file
    holds, without a label, where that is this version.
    """

    key: str
    name: str
    description: str
    tags: tuple[str, ...]
    label: str
    chat: bool
    target_models: tuple[str, ...]
    variables: Mapping[str, Any]
    body: str
    parameters: Parameters
    contract: Mapping[str, Any]
    served: Mapping[str, tuple[str, ...]]
    stats: PromptStats
    notes: tuple[str, ...] = ()
    version: int = 0
    roles: tuple[str, ...] | None = None
    cors: tuple[str, ...] = ()
    content: Mapping[str, Any] = field(default_factory=dict)
    newest: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `limit` requests, or tokens in and out together, in any `interval_hours` hours."""

    type: Literal["request", "token"]
    interval_hours: float
    limit: int


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of a limit is used now. `frees_at`: when some of it comes back, None where nothing is used."""

    limit: Limit
    used: int
    frees_at: int | None = None


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a role; `limits` come on top of the role's. With `opt_out` no content of theirs is kept."""

    id: str
    name: str
    role: str
    limits: tuple[Limit, ...] = ()
    opt_out: bool = False
    disabled: bool = False
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class Token:
    """An access token without its secret. `id` is its public part; None times mean never.

    `role` makes it weaker than its user; None is the user's own role.
    """

    id: str
    user: str
    name: str
    created_at: int
    created_by: str
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None
    role: str | None = None


Source = Literal["file", "ui", "api", "import"]
"""How a version of a prompt came: from its file, from the editor, through the API, or from another program's file."""


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """A version of a prompt, which never changes. `number` counts from 1; `sha256` is of `content`, in hex.

    `author` is the principal who saved it, empty where that is not known; `message` says why.
    """

    key: str
    number: int
    sha256: str
    content: str
    author: str
    message: str
    source: Source
    created_at: int


@dataclass(frozen=True, slots=True)
class Retired:
    """That a prompt is deleted, by whom and when; its versions stay."""

    key: str
    author: str
    at: int


@dataclass(frozen=True, slots=True)
class LabelMove:
    """A label of a prompt goes from version `previous` to `number`; None is no version.

    `undoes` is the id of the move that this one takes back. A later move has a greater id.
    """

    id: int
    key: str
    label: str
    number: int | None
    previous: int | None
    author: str
    message: str
    at: int
    undoes: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody made of version `base` of a prompt and did not save as a version yet; 0 is a new prompt."""

    principal: str
    key: str
    content: str
    base: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class DraftStep:
    """An earlier text of a draft. A later step has a greater `seq`."""

    seq: int
    content: str
    at: int


@dataclass(frozen=True, slots=True)
class FileState:
    """The version on which a prompt's file and the store agreed last, and the SHA-256 of the file's text then.

    `file` is where it stands in the directory of prompts. A version from before files were compared has no digest.
    """

    key: str
    number: int
    digest: str
    at: int
    file: str = ""


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version of a prompt that is to be saved, on top of version `base`; None: of whatever is there.

    `label` is to stand for it. `file` is how the prompt's file holds it already; the number there becomes that of the
    version.
    """

    key: str
    content: str
    author: str
    message: str
    source: Source
    at: int
    base: int | None = None
    label: str | None = None
    file: FileState | None = None


@dataclass(frozen=True, slots=True)
class PromptConflict:
    """A prompt was saved and its file edited at the same time, both on top of version `base`.

    `ours` is the version that was saved, `theirs` the one that the file gave; `digest` is the SHA-256 of the file.
    """

    key: str
    base: int
    ours: int
    theirs: int
    digest: str
    at: int


@dataclass(frozen=True, slots=True)
class PromptState:
    """What the store knows of a prompt. `newest` is its newest number, and `labels` name the numbers they stand for."""

    key: str
    newest: int = 0
    retired: bool = False
    labels: Mapping[str, int] = field(default_factory=dict)
    file: FileState | None = None
    conflict: PromptConflict | None = None


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node that was added at run time, as it is kept.

    `config` is what its kind takes, without secrets; `sealed` are those, which nothing but this node at this `origin`
    (scheme, host and port) can open. `owner` is who runs it, in the words of whoever added it.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    origin: str
    added_by: str
    at: int
    owner: str = ""
    sealed: bytes | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was sent to a node and what came back, as far as it came; secrets are masked, long texts cut.

    `sent` and `received` are header lines; `status` is None where no answer came. `extracted` is the text that was
    found in it, `error` why there is none.
    """

    line: str = ""
    sent: tuple[str, ...] = ()
    body: str = ""
    status: int | None = None
    received: tuple[str, ...] = ()
    answer: str = ""
    extracted: str = ""
    error: str | None = None
    milliseconds: float = 0.0
