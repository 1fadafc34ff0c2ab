"""Authorization and error messages of all events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import gradio as gr

from herding.errors import BROKEN, HerdingError
from herding.ui.kit.format import escape
from herding.values import Principal

REFUSED = "Your role does not allow this. Ask an admin."
ANY_ROLE: Final = "any role"
"""In place of a right, for events that filter by role themselves."""

log = logging.getLogger(__name__)

Handler = TypeVar("Handler", bound=Callable[..., Any])


def requires(right: str) -> Callable[[Handler], Handler]:
    """Mark a handler with the right that its callers need, or ANY_ROLE; events without a mark are refused."""

    def mark(handler: Handler) -> Handler:
        vars(handler)["right"] = right
        return handler

    return mark


def on(
    trigger: Callable[..., Any] | Sequence[Callable[..., Any]],
    handler: Callable[..., Any],
    inputs: Sequence[Any] | None = None,
    outputs: Sequence[Any] | None = None,
    *,
    name: str,
    **options: Any,
) -> Any:
    """Connect an event: hidden from the API, without Gradio's spinner, without a concurrency limit."""
    connect = trigger if callable(trigger) else partial(gr.on, list(trigger))
    return connect(
        handler,
        list(inputs or ()),
        list(outputs or ()),
        api_name=name,
        api_visibility="private",
        show_progress="hidden",
        concurrency_limit=None,
        **options,
    )


def principal_of(request: gr.Request) -> Principal:
    """Return the principal of an event; gr.Error if it has none."""
    found = find_principal(request)
    if found is None:
        raise gr.Error(REFUSED, print_exception=False)
    return found


def find_principal(request: Any) -> Principal | None:
    """Return the principal that the middleware set, or None."""
    state = getattr(getattr(request, "request", None) or request, "state", None)
    found = getattr(state, "principal", None)
    return found if isinstance(found, Principal) else None


def required_right(event: Any) -> str | None:
    """Return the right that an event needs; None if it is not callable (no handler, or no mark)."""
    found = getattr(event.fn, "right", None)
    return found if isinstance(found, str) else None


class GuardedBlocks(gr.Blocks):
    """Blocks that authorize every event, however it is called; handlers without a mark are refused."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._failures: set[tuple[str, type[Exception]]] = set()

    async def process_api(
        self, block_fn: Any, inputs: list[Any], state: Any = None, request: Any = None, *rest: Any, **more: Any
    ) -> dict[str, Any]:
        event = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        principal, right = find_principal(request), required_right(event)
        if principal is None or right is None or (right != ANY_ROLE and right not in principal.rights):
            raise gr.Error(REFUSED, print_exception=False)
        try:
            return await super().process_api(event, inputs, state, request, *rest, **more)
        except gr.Error as error:
            raise gr.Error(escape(error.message), print_exception=False) from error
        except HerdingError as error:
            raise gr.Error(escape(error.message), print_exception=False) from error  # a toast reads HTML
        except Exception as error:
            self._log_failure(str(event.api_name), error)
            raise gr.Error(BROKEN, print_exception=False) from error

    def _log_failure(self, event: str, error: Exception) -> None:
        """Log an unexpected error; its traceback only once, since any visitor can cause some."""
        kind = event, type(error)
        details = kind not in self._failures or log.isEnabledFor(logging.DEBUG)
        self._failures.add(kind)
        log.error("The event %s failed: %s", event, repr(error)[:200], exc_info=error if details else None)
