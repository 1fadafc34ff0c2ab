"""Authorization and error messages of the events of Gradio; what a tab shows comes by its own routes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import gradio as gr

from herding.errors import BROKEN, HerdingError
from herding.ui.kit.format import escape
from herding.values import Principal

REFUSED = "Your role does not allow this. Ask an admin."

log = logging.getLogger(__name__)

Handler = TypeVar("Handler", bound=Callable[..., Any])


def for_all_roles(handler: Handler) -> Handler:
    """Mark a handler as one for every role, which shows no more than each role allows; others are refused."""
    vars(handler)["for_all_roles"] = True
    return handler


def on(trigger: Callable[..., Any], handler: Callable[..., Any], outputs: Sequence[Any], *, name: str) -> None:
    """Connect an event: hidden from the API, without Gradio's spinner, without a queue or a concurrency limit."""
    trigger(
        handler,
        [],
        list(outputs),
        api_name=name,
        api_visibility="private",
        queue=False,
        show_progress="hidden",
        concurrency_limit=None,
    )


def principal_of(request: Any) -> Principal:
    """Return the principal of an event, which the middleware set; gr.Error if it has none."""
    state = getattr(getattr(request, "request", None) or request, "state", None)
    found = getattr(state, "principal", None)
    if not isinstance(found, Principal):
        raise gr.Error(REFUSED, print_exception=False)
    return found


class GuardedBlocks(gr.Blocks):
    """Blocks that know who fires an event, however it is called; events of handlers without the mark are refused."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._failures: set[tuple[str, type[Exception]]] = set()

    async def process_api(
        self, block_fn: Any, inputs: list[Any], state: Any = None, request: Any = None, *rest: Any, **more: Any
    ) -> dict[str, Any]:
        event = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        principal_of(request)
        if not hasattr(event.fn, "for_all_roles"):
            raise gr.Error(REFUSED, print_exception=False)
        try:
            return await super().process_api(event, inputs, state, request, *rest, **more)
        except (gr.Error, HerdingError) as error:
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
