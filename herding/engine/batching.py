"""Many answers at a time from one model: the library's continuous batching, sized and watched."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Sequence
from typing import Any

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig

from herding.engine.delivery import Delivery
from herding.engine.loading import Loaded
from herding.engine.refusals import WorkerError
from herding.engine.sampling import sampler_list
from herding.engine.served import OnTokens
from herding.values import Parameters

_log = logging.getLogger(__name__)


_GREEDY_BELOW = 1e-4


class Batcher:
    """Runs one model's batching worker.

    `start`, `restart` and `close` block and belong into a thread; `submit` and `cancel` return at once and belong
    onto the event loop, where `OnTokens` is called too.
    """

    def __init__(self, loaded: Loaded, *, max_active: int, loop: asyncio.AbstractEventLoop) -> None:
        self._loaded = loaded
        self._max_active = max_active
        self._delivery = Delivery(loop)
        self._manager: Any = None

    @property
    def alive(self) -> bool:
        """Whether the worker runs and takes requests; when it died, all its answers are lost."""
        manager = self._manager
        if manager is None or not manager.is_running():
            return False
        return manager.background_thread_status.can_accept_new_requests() is None

    @property
    def failure(self) -> str | None:
        """What the worker died of."""
        manager = self._manager
        error = None if manager is None else manager.background_thread_status.fatal_error
        return None if error is None else str(error)

    def start(self) -> None:
        """Start the worker and let it answer once, so that the first caller does not wait for its memory."""
        self._manager = self._loaded.model.init_continuous_batching(
            generation_config=self._generation_config(), continuous_batching_config=self._batching_config()
        )
        self._manager.logit_processor = sampler_list()
        self._manager.output_router = self._delivery
        # The library's worker only switches gradients off; this also spares small models a tenth of each step.
        self._manager._run_generation_loop = torch.inference_mode()(self._manager._run_generation_loop)
        self._manager.start()
        self._warm_up()

    def restart(self) -> None:
        """Replace a worker that died."""
        _log.error("the batching worker died and is started again: %s", self.failure)
        self._manager.stop(block=True, timeout=5, hard_stop=True)
        self.start()

    def close(self) -> None:
        """Stop the worker; answers that still run end with an error."""
        manager, self._manager = self._manager, None
        manager.stop(block=True, timeout=30, hard_stop=True)
        manager.destroy()

    def submit(self, key: str, tokens: Sequence[int], parameters: Parameters, on_tokens: OnTokens) -> None:
        """Queue a prompt for at most `parameters.max_tokens` tokens."""

        def read(output: Any) -> None:
            if output.is_finished():
                self._delivery.forget(key)
            on_tokens(output.generated_tokens, output.is_finished(), output.error)

        self._delivery.register(key, read)
        accepted = self._manager.add_request(
            list(tokens),
            request_id=key,
            max_new_tokens=parameters.max_tokens,
            streaming=True,
            eos_token_id=sorted(self._loaded.ends) or -1,
            **_sampling(parameters),
        )
        if accepted is None:
            self._delivery.forget(key)
            raise WorkerError(f"The batching worker does not run: {self.failure}. Try again in a moment.")

    def cancel(self, key: str) -> None:
        """Stop generating for `key` before the next token and forget it."""
        self._delivery.forget(key)
        if self._manager is not None:
            self._manager.cancel_request(key)

    def _generation_config(self) -> GenerationConfig:
        return GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False, eos_token_id=sorted(self._loaded.ends) or -1, max_new_tokens=1
        )

    def _batching_config(self) -> ContinuousBatchingConfig:
        """Sizes are explicit: by itself the library takes most of the machine's memory, however small the model.

        It also must not replace the attention by a kernel package from the hub, which is code.
        """
        sizing = self._loaded.sizing
        return ContinuousBatchingConfig(
            page_size=sizing.page,
            num_blocks=sizing.pages,
            max_batch_tokens=sizing.step,
            max_requests_per_batch=min(self._max_active + 1, sizing.step),
            max_memory_percent=1.0,
            auto_switch_to_flash=False,
            use_cuda_graph=False,
            use_async_batching=False,
            seed=secrets.randbits(31),
        )

    def _warm_up(self) -> None:
        """Answer once, on this thread's own account."""
        done = threading.Event()
        self._delivery.register("warm-up", lambda output: done.set() if output.is_finished() else None)
        self._manager.add_request([0, 0], request_id="warm-up", max_new_tokens=2, eos_token_id=-1)
        while self.alive and not done.wait(0.05):
            pass
        self._delivery.forget("warm-up")
        if not self.alive:
            raise WorkerError(f"The model was loaded but cannot generate in batches: {self.failure}.")


def _sampling(parameters: Parameters) -> dict[str, float | int]:
    """What the sampler is told; nothing for a greedy answer. Without a seed a random one is taken."""
    if not parameters.temperature or parameters.temperature < _GREEDY_BELOW:
        return {}
    return {
        "temperature": parameters.temperature,
        "top_p": 1.0 if parameters.top_p is None else parameters.top_p,
        "top_k": parameters.top_k or 0,
        "seed": secrets.randbits(62) if parameters.seed is None else parameters.seed,
    }
