"""Calls of plugins: apart from the event loop of the app, with a deadline, and with one error for all failures."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from herding.errors import HerdingError
from herding.plugins.hooks import RefusedError

MAX_RUNNING = 32
"""Calls of a plugin's ordinary functions at once. Python can't end a thread, so one that hangs stays."""

T = TypeVar("T")


class PluginError(Exception):
    """A plugin does not do what its hooks promise; the message says what."""


class Caller:
    """Calls the functions of one plugin: coroutines on an event loop of its own, others in threads.

    So a call that blocks keeps nothing waiting but the plugin itself. Threads do not keep the app from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = 0
        self._lock = threading.Lock()

    async def call(self, function: Callable[..., Any], *arguments: Any, seconds: float) -> Any:
        """Return the result of a function. Raise PluginError for any failure but RefusedError."""
        if _is_async(function):
            future = asyncio.run_coroutine_threadsafe(_contained(function, *arguments), self._own_loop())
        else:
            future = self._in_thread(lambda: function(*arguments))
        try:
            async with asyncio.timeout(seconds):
                result = await _result_of(future)
        except TimeoutError:
            raise PluginError(f"it took longer than {seconds:g} seconds") from None
        if inspect.isawaitable(result):
            raise PluginError("it returned an awaitable: declare it with async def")
        return result

    def call_now(self, function: Callable[..., T], *arguments: Any, seconds: float) -> T:
        """Return the result of an ordinary function, for which the thread of the caller waits."""
        future = self._in_thread(lambda: function(*arguments))
        try:
            return future.result(seconds)
        except TimeoutError:
            raise PluginError(f"it took longer than {seconds:g} seconds") from None

    def _in_thread(self, work: Callable[[], T]) -> Future[T]:
        with self._lock:
            if self._running >= MAX_RUNNING:
                raise PluginError(f"{MAX_RUNNING} earlier calls of its plugin have not ended")
            self._running += 1
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # so that a deadline does not cancel what can't be cancelled

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 (a plugin may even call sys.exit)
                future.set_exception(_failure(error))
            finally:
                with self._lock:
                    self._running -= 1

        threading.Thread(target=run, name=f"plugin {self._name}", daemon=True).start()
        return future

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(target=self._loop.run_forever, name=f"plugin {self._name}", daemon=True)
                thread.start()
            return self._loop


async def _result_of(future: Future[Any]) -> Any:
    """Return the result of a call. Raises PluginError for one that ended as if its caller had been cancelled."""
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise PluginError("CancelledError: its coroutine was cancelled") from None


async def _contained(function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """Return the result of a coroutine; an exception that would end the event loop becomes a PluginError."""
    try:
        return await function(*arguments)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 (a plugin may even call sys.exit)
        raise _failure(error) from None


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _failure(error: BaseException) -> Exception:
    if isinstance(error, RefusedError | PluginError):
        return error
    try:
        said = error.message if isinstance(error, HerdingError) else str(error)
    except Exception:  # noqa: BLE001 (an exception of a plugin may fail in any way, too)
        said = "its message can't be read"
    return PluginError(f"{type(error).__name__}: {said}"[:500])


def run_guarded(work: Callable[[], T], seconds: float, name: str) -> T:
    """Return the result of `work`, which must not take longer than `seconds`. Raises PluginError for any failure."""
    try:
        return Caller(name).call_now(work, seconds=seconds)
    except RefusedError as error:
        raise PluginError(f"RefusedError: {error}") from None
