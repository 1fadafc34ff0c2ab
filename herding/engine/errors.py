"""Errors of the engine, with their HTTP statuses."""

from __future__ import annotations

from http import HTTPStatus

from herding.errors import HerdingError, LimitError, NodeError, NotFoundError, UserError


class NoChatTemplateError(UserError):
    """The model has no chat template, so it accepts no messages."""

    type = "no_chat_template"


class BusyError(UserError):
    """Requests use a model whose memory is needed; try again when they have ended."""

    type = "busy"


class TooLargeError(UserError):
    """The request body exceeds the size limit."""

    type = "too_large"


class LoadingError(LimitError):
    """A model is loading; try again after `retry_after` seconds."""

    type = "loading"


class OverloadedError(LimitError):
    """The queue is full; try again after `retry_after` seconds."""

    type = "overloaded"


class NoModelError(NodeError):
    """No model is loaded or loading."""

    type = "no_model"


class LoadError(NodeError):
    """The model could not be loaded."""

    type = "load_failed"


class UnsafeModelError(LoadError):
    """Loading the model would run code that comes with it; nothing was run."""

    type = "unsafe_model"


class MemoryBudgetError(LoadError):
    """The model needs more memory than there is."""

    type = "no_memory"


class CancelledError(LoadError):
    """The load was cancelled."""

    type = "load_cancelled"


class WorkerError(NodeError):
    """The batching worker failed while generating the response."""

    type = "worker_failed"


_STATUS: tuple[tuple[type[HerdingError], HTTPStatus], ...] = (
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (BusyError, HTTPStatus.CONFLICT),
    (TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UserError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (LimitError, HTTPStatus.SERVICE_UNAVAILABLE),
    (NodeError, HTTPStatus.SERVICE_UNAVAILABLE),
)


def status_of(error: HerdingError) -> int:
    """Return the HTTP status for `error`."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return int(status)
    return int(HTTPStatus.INTERNAL_SERVER_ERROR)
