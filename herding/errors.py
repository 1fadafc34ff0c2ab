"""The error tree, sorted by who must act.

HerdingError                      the root; its message says what to do next
├── ConfigError                   the operator: fix the named file, line and key
├── UserError                     the caller: fix the request
│   ├── NotFoundError             ... it names something that does not exist (or that the caller may not see)
│   ├── ConflictError             ... the resource is not in the state that the request expects
│   │   ├── VersionConflictError  ... a newer version was saved than the one that the change is based on
│   │   └── DraftConflictError    ... another page changed the draft that the change is based on
│   ├── VariableError             ... one variable of the prompt is missing, unknown or out of bounds
│   └── ContextLengthError        ... the input does not fit into the model's context
├── AuthenticationError           the caller: log in again, or send another token
├── AccessError                   the caller's role does not allow this
├── LimitError                    the caller: come back after `retry_after` seconds
│   ├── QueueFullError            ... too many of the caller's own requests are in the queue
│   └── OverloadedError           ... too many requests of all callers are in the queue
├── NodeError                     another node (or a later try) may do
│   ├── ConnectError              the node could not be reached at all
│   ├── DeadlineError             the node did not respond in time
│   ├── StatusError               the node responded with an HTTP error status, or reported one in its response
│   │   ├── NodeBusyError         ... it is overloaded (429, 529, or 503 with a time to come back)
│   │   ├── NoModelError          ... it does not have the model; its other models are not affected
│   │   └── RequestRejectedError  ... it rejects the request, as another node with the same model would
│   ├── BadResponseError          the response of the node breaks its protocol
│   ├── LoadCancelledError        somebody cancelled the load of a model
│   ├── StreamInterruptedError    the stream of the node ended early
│   ├── MisconfiguredError        the node refuses our credentials (401): the operator must act
│   └── NoNodeError               no node can serve the request now
│       └── QueueTimeoutError     ... none became free before the request's deadline
├── PluginFailedError             a plugin that the prompt uses failed: its author or the operator must act
├── ShuttingDownError             the app stops: send the request again after `retry_after` seconds
└── StoreError                    the database could not read or write the data

`type` is the stable machine name that front doors send to clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

MAX_RETRY_AFTER = 3600.0
"""The longest pause in seconds that a node may ask for; a longer one is cut for all callers."""

_REJECTING_STATUSES = frozenset({400, 406, 409, 410, 411, 413, 414, 415, 416, 422, 424, 431, 451})

BROKEN = "Internal error. The server log has the details."
"""The message for faults of our own."""


class HerdingError(Exception):
    """Root of all errors that Herding raises on purpose.

    `message` is one or two sentences for the person who reads it; `param` names the input at fault;
    `request_id` is set once the failing request has an id, and `step` is the step of a chain that failed.
    """

    type: ClassVar[str] = "internal_error"
    step: str | None = None

    def __init__(self, message: str, *, param: str | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.request_id = request_id


class ConfigError(HerdingError):
    """A configuration or prompt file is wrong. `line` counts from 1."""

    type = "config_error"

    def __init__(
        self,
        message: str,
        *,
        file: str | Path | None = None,
        line: int | None = None,
        key: str | None = None,
    ) -> None:
        self.reason = message
        self.file = str(file) if file is not None else None
        self.line = line
        self.key = key
        place = ":".join(str(part) for part in (self.file, line) if part is not None)
        where = ", ".join(part for part in (place, f"key '{key}'" if key else "") if part)
        super().__init__(f"{where}: {message}" if where else message, param=key)


class UserError(HerdingError):
    """The request itself is wrong."""

    type = "invalid_request"


class NotFoundError(UserError):
    """The request names something that does not exist for this principal."""

    type = "not_found"


class ConflictError(UserError):
    """The resource is not, or is no longer, in the state that the request expects."""

    type = "conflict"


class VersionConflictError(ConflictError):
    """A change is based on another version than the newest. `newest` is its number, 0 where there is none."""

    type = "version_conflict"

    def __init__(self, message: str, *, newest: int, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.newest = newest


class DraftConflictError(ConflictError):
    """Another page of the same user changed the draft since it was read."""

    type = "draft_conflict"

    def __init__(self) -> None:
        super().__init__("This draft was changed in another tab or on another device.")


class VariableError(UserError):
    """A variable is missing, not declared, or its value breaks the declared bounds."""

    type = "invalid_variable"


class ContextLengthError(UserError):
    """Input and answer together do not fit into the model's context."""

    type = "context_length"


class AuthenticationError(HerdingError):
    """The token or the session of the request is not valid."""

    type = "unauthorized"


class AccessError(HerdingError):
    """The principal's role does not allow the operation."""

    type = "forbidden"


class LimitError(HerdingError):
    """A limit is used up. `retry_after` is in seconds."""

    type = "limit_reached"

    def __init__(self, message: str, *, retry_after: float, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.retry_after = retry_after


class QueueFullError(LimitError):
    """The principal has the maximum number of requests in the queue."""

    type = "queue_full"


class OverloadedError(LimitError):
    """The queue has the maximum number of requests of all principals."""

    type = "crowded"


class NodeError(HerdingError):
    """A node failed; another node, or the same one later, may do."""

    type = "node_error"

    def __init__(self, message: str, *, node: str | None = None, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.node = node


class LoadCancelledError(NodeError):
    """Somebody cancelled the load of a model."""

    type = "load_cancelled"


class ConnectError(NodeError):
    """The node refuses connections, its name does not resolve, or TLS fails."""

    type = "node_unreachable"


class DeadlineError(NodeError):
    """The node did not respond, or stopped in between, until its deadline."""

    type = "node_timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedError:
    """An error in the words of the server that reported it.

    `status` is the HTTP status that its code or type stands for, None where they stand for none. `retry_after` is in
    seconds. `code` is as it came: text or a number.
    """

    message: str = ""
    type: str | None = None
    code: str | int | None = None
    param: str | None = None
    status: int | None = None
    retry_after: float | None = None


class StatusError(NodeError):
    """The node responded with an HTTP error status, or reported one in its response.

    `retry_after` is in seconds, at most `MAX_RETRY_AFTER`, None where the node did not say. `reported` holds the
    node's own words, `headers` those of its headers that a caller may see.
    """

    type = "node_status"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        node: str | None = None,
        retry_after: float | None = None,
        reported: ReportedError | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, node=node, param=reported.param if reported else None)
        self.status = status
        self.retry_after = None if retry_after is None else min(max(0.0, retry_after), MAX_RETRY_AFTER)
        self.reported = reported or ReportedError()
        self.headers = dict(headers or {})

    @property
    def is_client_error(self) -> bool:
        """True if the status says that this one request is at fault, which says nothing about the node's health."""
        return 400 <= self.status < 500


class NodeBusyError(StatusError):
    """The node is overloaded (HTTP 429, 529, or 503 with a time to come back).

    It is healthy, and must not be called for `retry_after` seconds.
    """

    type = "node_busy"


class NoModelError(StatusError):
    """The node does not have the model, although its configuration lists it."""

    type = "node_no_model"


class RequestRejectedError(StatusError):
    """The node rejects the request itself; other nodes with the same model would reject it too."""

    type = "node_refused"


def status_error(
    message: str,
    *,
    status: int,
    node: str | None = None,
    retry_after: float | None = None,
    reported: ReportedError | None = None,
    headers: Mapping[str, str] | None = None,
) -> StatusError:
    """Return the error for an HTTP error status of a node."""
    kind = RequestRejectedError if status in _REJECTING_STATUSES else StatusError
    if status in (429, 529) or (status == 503 and retry_after is not None):
        kind = NodeBusyError
    return kind(message, status=status, node=node, retry_after=retry_after, reported=reported, headers=headers)


class BadResponseError(NodeError):
    """The response breaks the protocol of the node (HTML, invalid JSON, an error inside a 200, nothing)."""

    type = "node_bad_response"


class StreamInterruptedError(NodeError):
    """The stream of the node ended early; the text that had arrived is kept."""

    type = "node_cut_stream"


class MisconfiguredError(NodeError):
    """The node refuses the credentials it is called with (401)."""

    type = "node_misconfigured"


class NoNodeError(NodeError):
    """No node serves a suitable model now. `retry_after` is in seconds, None where it is not known."""

    type = "no_node"

    def __init__(self, message: str, *, node: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, node=node)
        self.retry_after = retry_after


class QueueTimeoutError(NoNodeError):
    """No node became free before the request's deadline."""

    type = "no_turn"


class PluginFailedError(HerdingError):
    """A variable source or a response filter of a plugin failed, so that the request can't be completed."""

    type = "plugin_failed"


class ShuttingDownError(HerdingError):
    """The app stops, and did not complete the request. `retry_after` is in seconds."""

    type = "shutting_down"

    retry_after = 5.0

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "The server is shutting down. Send the request again in a few seconds.")


class StoreError(HerdingError):
    """The database could not read or write the data; nothing was written.

    `detail`, such as what the database says or where its file is, is in the text for logs, not in that for callers.
    """

    type = "store_error"

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        if detail:
            self.args = (f"{message} ({detail})",)
