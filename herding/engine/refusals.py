"""What the engine refuses, or fails at, and the HTTP status that says so."""

from __future__ import annotations

from http import HTTPStatus

from herding.errors import HerdingError, LimitError, NodeError, NotFoundError, UserError


class NoChatTemplateError(UserError):
    """The loaded model has no chat template, so it cannot read messages."""

    type = "no_chat_template"


class WrongModelError(UserError):
    """The request names another model than the loaded one."""

    type = "wrong_model"


class BusyError(UserError):
    """Another model is being loaded; one load at a time."""

    type = "busy"


class TooLargeError(UserError):
    """The request body is larger than the engine reads."""

    type = "too_large"


class LoadingError(LimitError):
    """No answers while a model is being loaded; come back after `retry_after` seconds."""

    type = "loading"


class OverloadedError(LimitError):
    """Too many requests wait already; come back after `retry_after` seconds."""

    type = "overloaded"


class NoModelError(NodeError):
    """No model is loaded, and none is on its way."""

    type = "no_model"


class LoadError(NodeError):
    """The model could not be loaded."""

    type = "load_failed"


class UnsafeModelError(LoadError):
    """Loading the model would run code that comes with it; nothing was run."""

    type = "unsafe_model"


class SwitchedError(NodeError):
    """The answer was cut off because another model was asked for."""

    type = "model_switched"


class WorkerError(NodeError):
    """The batching worker failed while the answer was being generated."""

    type = "worker_failed"


_STATUS: tuple[tuple[type[HerdingError], HTTPStatus], ...] = (
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (WrongModelError, HTTPStatus.CONFLICT),
    (BusyError, HTTPStatus.CONFLICT),
    (TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UserError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (LimitError, HTTPStatus.SERVICE_UNAVAILABLE),
    (NodeError, HTTPStatus.SERVICE_UNAVAILABLE),
)


def status_of(error: HerdingError) -> int:
    """The HTTP status for `error`."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return int(status)
    return int(HTTPStatus.INTERNAL_SERVER_ERROR)
