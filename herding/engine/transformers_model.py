"""A transformers model that answers: weights, tokenizer and batching worker in one."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from herding.engine.answer import Answer
from herding.engine.batching import Batcher
from herding.engine.body import Generation
from herding.engine.loading import Loaded, load
from herding.engine.progress import Report
from herding.engine.prompt import Prompter
from herding.engine.refusals import LoadError
from herding.engine.served import Facts, OnTokens, Served
from herding.errors import ContextLengthError
from herding.values import Parameters

_log = logging.getLogger(__name__)


def open_model(
    path: Path,
    report: Report,
    *,
    quantization: str,
    max_context: int | None,
    max_active: int,
    threads: int,
    loop: asyncio.AbstractEventLoop,
) -> Served:
    """Load the model in the directory `path` and start its worker; LoadError says why that is not possible."""
    torch.set_num_threads(threads)
    try:
        loaded = load(path, quantization=quantization, max_context=max_context, report=report)
        report("starting", None)
        return TransformersModel(loaded, max_active=max_active, loop=loop)
    except LoadError:
        raise
    except Exception as error:  # noqa: BLE001  libraries fail in every way
        _log.exception("%s cannot be loaded", path)
        reason = f"{type(error).__name__}: {error}"
    give_memory_back()  # only here: the exception held on to the half-loaded model
    raise LoadError(f"The model in {path} cannot be loaded. {reason}")


class TransformersModel:
    """One loaded model; see `Served`."""

    def __init__(self, loaded: Loaded, *, max_active: int, loop: asyncio.AbstractEventLoop) -> None:
        self._ends = loaded.ends
        self._decoder = loaded.decoder
        self._prompter = Prompter(loaded.tokenizer, vocabulary=loaded.vocabulary)
        self._batcher = Batcher(loaded, max_active=max_active, loop=loop)
        self.defaults = loaded.defaults
        self.facts = _facts(loaded, chat=self._prompter.has_template)
        self._batcher.start()

    @property
    def alive(self) -> bool:
        """Whether the batching worker runs."""
        return self._batcher.alive

    @property
    def failure(self) -> str | None:
        """What the batching worker died of."""
        return self._batcher.failure

    def encode(self, wanted: Generation) -> list[int]:
        """The tokens of a prompt; ContextLengthError when they leave no room for an answer."""
        tokens = self._prompter.encode(wanted)
        room = self.facts.context_length
        if len(tokens) >= room:
            raise ContextLengthError(
                f"The prompt has {len(tokens)} tokens, and the model holds {room} for prompt and answer together. "
                f"Shorten it by at least {len(tokens) - room + 1} tokens.",
                param="messages" if wanted.messages else "text",
            )
        return tokens

    def count(self, wanted: Generation) -> int:
        """How many tokens a prompt has."""
        return len(self._prompter.encode(wanted))

    def answer(self, *, stops: Sequence[str], input_tokens: int) -> Answer:
        """An empty answer."""
        return Answer(decode=self._decode, ends=self._ends, stops=stops, input_tokens=input_tokens)

    def submit(self, key: str, tokens: Sequence[int], parameters: Parameters, on_tokens: OnTokens) -> None:
        """Start generating."""
        self._batcher.submit(key, tokens, parameters, on_tokens)

    def cancel(self, key: str) -> None:
        """Stop generating."""
        self._batcher.cancel(key)

    def restart(self) -> None:
        """Replace a batching worker that died."""
        self._batcher.restart()

    def close(self) -> None:
        """Stop the worker and give the memory back to the system."""
        self._batcher.close()
        del self._batcher, self._prompter, self._decoder
        give_memory_back()

    def _decode(self, tokens: Sequence[int]) -> str:
        text = self._decoder.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)


def give_memory_back() -> None:
    """Collect what nobody refers to, and return free memory to the system and to the GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _facts(loaded: Loaded, *, chat: bool) -> Facts:
    model = loaded.model
    return Facts(
        context_length=loaded.sizing.context,
        chat=chat,
        device=str(model.device),
        dtype=str(model.dtype).removeprefix("torch."),
        parameters=model.num_parameters(),
    )
