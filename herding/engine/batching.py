"""Continuous batching: many responses at a time from one model."""

from __future__ import annotations

import asyncio
import logging
import mmap
import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from transformers import ContinuousBatchingConfig, GenerationConfig
from transformers.generation.continuous_batching.continuous_api import OutputRouter

from herding.engine import attention
from herding.engine.errors import WorkerError
from herding.engine.loading import Checkpoint
from herding.engine.model import OnTokens
from herding.engine.sampling import sampler_list
from herding.values import Parameters

_log = logging.getLogger(__name__)

_GREEDY_BELOW = 1e-4
_DELIVERY_SECONDS = 0.025


class TokenRouter(OutputRouter):
    """Passes generated tokens from the worker thread to the event loop at most forty times a second.

    A small model generates a token in one or two milliseconds, and waking the event loop for each would cost as much.
    The first and the last token of a response are passed on at once. Tokens without a reader are dropped.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._readers: dict[str, Callable[[Any], None]] = {}
        self._pending: list[Any] = []
        self._lock = threading.Lock()
        self._scheduled = False
        self._delivered_at = 0.0

    def register(self, key: str, reader: Callable[[Any], None]) -> None:
        """Call `reader` on the event loop with the outputs for `key`."""
        self._readers[key] = reader

    def forget(self, key: str) -> None:
        """Drop further outputs for `key`."""
        self._readers.pop(key, None)

    def deliver(self, output: Any) -> None:
        """Accept one output from the worker."""
        self.deliver_batch([output])

    def deliver_batch(self, outputs: Sequence[Any]) -> None:
        """Accept the outputs of one step from the worker."""
        urgent = any(output.is_finished() or len(output.generated_tokens) == 1 for output in outputs)
        with self._lock:
            self._pending.extend(outputs)
            if self._scheduled and not urgent:
                return
            self._scheduled = True
        self._loop.call_soon_threadsafe(self._deliver_pending if urgent else self._schedule)

    def _schedule(self) -> None:
        wait = self._delivered_at + _DELIVERY_SECONDS - self._loop.time()
        self._loop.call_later(max(0.0, wait), self._deliver_pending)

    def _deliver_pending(self) -> None:
        self._delivered_at = self._loop.time()
        with self._lock:
            outputs, self._pending, self._scheduled = self._pending, [], False
        for output in outputs:
            reader = self._readers.get(output.request_id)
            if reader is not None:
                reader(output)


class UntouchedMemory(TorchFunctionMode):
    """While it is entered, large tensors of zeros on the CPU take memory only when they are written.

    The system hands out zeros by the page. So a cache for many long responses costs no more than the responses do.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch, `zeros` of many bytes in another way."""
        kwargs = kwargs or {}
        is_bytes = func is torch.zeros and kwargs.get("dtype") is torch.uint8 and len(args) == 1
        if is_bytes and isinstance(args[0], int) and args[0] and str(kwargs.get("device", "cpu")) == "cpu":
            return torch.frombuffer(mmap.mmap(-1, args[0]), dtype=torch.uint8)
        return func(*args, **kwargs)


class BatchingWorker:
    """Runs the batching thread of one model.

    `start`, `restart` and `close` block: call them in a thread. Call `submit` and `cancel`, which return at once, on
    the event loop, where `OnTokens` is called too.
    """

    def __init__(self, checkpoint: Checkpoint, *, max_active: int, loop: asyncio.AbstractEventLoop) -> None:
        self._checkpoint = checkpoint
        self._max_active = max_active
        self._router = TokenRouter(loop)
        self._manager: Any = None

    @property
    def alive(self) -> bool:
        """True while the worker runs and accepts requests; a worker that died has lost all its responses."""
        manager = self._manager
        if manager is None or not manager.is_running():
            return False
        return manager.background_thread_status.can_accept_new_requests() is None

    @property
    def failure(self) -> str | None:
        """The error that ended the worker."""
        manager = self._manager
        error = None if manager is None else manager.background_thread_status.fatal_error
        return None if error is None else str(error)

    def start(self) -> None:
        """Start the worker and generate once, so that the first request does not wait for memory allocation."""
        model = self._checkpoint.model
        if model.config._attn_implementation == attention.NAME:  # of the worker before this one
            model.set_attn_implementation("sdpa")
        self._manager = model.init_continuous_batching(
            generation_config=self._generation_config(), continuous_batching_config=self._batching_config()
        )
        if attention.suits(model):
            model.set_attn_implementation(attention.NAME)
        self._manager.logit_processor = sampler_list()
        self._manager.output_router = self._router
        # The library's worker only disables gradients; inference mode also makes small models a tenth faster.
        self._manager._run_generation_loop = torch.inference_mode()(self._manager._run_generation_loop)
        with UntouchedMemory():
            self._manager.warmup()  # allocates the cache
        self._manager.start()
        self._warm_up()

    def restart(self) -> None:
        """Replace a worker that died."""
        _log.error("restart batching worker (%s)", self.failure)
        self._manager.stop(block=True, timeout=5, hard_stop=True)
        self.start()

    def close(self) -> None:
        """Stop the worker; running responses end with an error."""
        manager, self._manager = self._manager, None
        manager.stop(block=True, timeout=30, hard_stop=True)
        manager.destroy()

    def submit(self, key: str, tokens: Sequence[int], parameters: Parameters, on_tokens: OnTokens) -> None:
        """Queue a prompt for at most `parameters.max_tokens` generated tokens."""

        def read(output: Any) -> None:
            if output.is_finished():
                self._router.forget(key)
            on_tokens(output.generated_tokens, output.is_finished(), output.error)

        self._router.register(key, read)
        accepted = self._manager.add_request(
            list(tokens),
            request_id=key,
            max_new_tokens=parameters.max_tokens,
            streaming=True,
            eos_token_id=sorted(self._checkpoint.eos_tokens) or -1,
            **_sampler_arguments(parameters),
        )
        if accepted is None:
            self._router.forget(key)
            raise WorkerError(f"The batching worker is not running: {self.failure}. Try again in a moment.")

    def cancel(self, key: str) -> None:
        """Stop generating for `key` before the next token."""
        self._router.forget(key)
        if self._manager is not None:
            self._manager.cancel_request(key)

    def _generation_config(self) -> GenerationConfig:
        return GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False, eos_token_id=sorted(self._checkpoint.eos_tokens) or -1, max_new_tokens=1
        )

    def _batching_config(self) -> ContinuousBatchingConfig:
        """Return explicit sizes, because by default the library takes most of the memory for any model.

        It also must not replace the attention by a kernel package from the hub, which is code.
        """
        cache = self._checkpoint.cache
        return ContinuousBatchingConfig(
            page_size=cache.page_tokens,
            num_blocks=cache.pages,
            max_batch_tokens=cache.step_tokens,
            max_requests_per_batch=min(self._max_active + 1, cache.step_tokens),
            max_memory_percent=1.0,
            auto_switch_to_flash=False,
            use_cuda_graph=False,
            use_async_batching=False,
            seed=secrets.randbits(31),
        )

    def _warm_up(self) -> None:
        done = threading.Event()
        self._router.register("warm-up", lambda output: done.set() if output.is_finished() else None)
        self._manager.add_request([0, 0], request_id="warm-up", max_new_tokens=2, eos_token_id=-1)
        while self.alive and not done.wait(0.05):
            pass
        self._router.forget("warm-up")
        if not self.alive:
            raise WorkerError(f"The model was loaded but cannot generate in batches: {self.failure}.")


def _sampler_arguments(parameters: Parameters) -> dict[str, float | int]:
    """Return the arguments of the sampler, none for greedy decoding; the seed is random if none is set."""
    if not parameters.temperature or parameters.temperature < _GREEDY_BELOW:
        return {}
    return {
        "temperature": parameters.temperature,
        "top_p": 1.0 if parameters.top_p is None else parameters.top_p,
        "top_k": parameters.top_k or 0,
        "seed": secrets.randbits(62) if parameters.seed is None else parameters.seed,
    }
