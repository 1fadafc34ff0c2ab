"""A served transformers model: weights, tokenizer and batching worker."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from herding.engine.batching import BatchingWorker
from herding.engine.errors import LoadError
from herding.engine.loading import Checkpoint, first_line, load, measure
from herding.engine.model import ModelProperties, OnTokens, ServedModel
from herding.engine.options import Quantization
from herding.engine.progress import Report
from herding.engine.prompt_encoder import PromptEncoder
from herding.engine.requests import GenerationRequest
from herding.engine.text import ResponseText
from herding.engine.tool_calls import ToolCallReader
from herding.errors import ContextLengthError
from herding.values import Parameters

_REASONING_TAGS = ("<think>", "[THINK]")
_TAG_TOKENS = 8
"""The most tokens that a tag and the white space after it have."""

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
    budget: int,
) -> ServedModel:
    """Load the model in the directory `path` and start its worker; raise LoadError on any failure."""
    torch.set_num_threads(threads)
    try:
        checkpoint = load(path, quantization=quantization, max_context=max_context, report=report, budget=budget)
        report("starting", None)
        return TransformersModel(checkpoint, max_active=max_active, loop=loop)
    except LoadError:
        raise
    except Exception as error:  # noqa: BLE001  the libraries raise errors of any kind
        _log.exception("load model failed (%s)", path)
        reason = f"{type(error).__name__}: {first_line(error)}"
    _free_memory()  # after the except block, because the exception refers to the half-loaded model
    raise LoadError(f"Can't load the model in {path}. {reason}")


def measure_model(path: Path, *, quantization: Quantization, max_context: int | None, budget: int) -> int:
    """Return the bytes that the model in the directory `path` will take; raise LoadError if it cannot be loaded."""
    try:
        return measure(path, quantization=quantization, max_context=max_context, budget=budget)
    except LoadError:
        raise
    except Exception as error:
        raise LoadError(
            f"Can't read the configuration in {path}. {type(error).__name__}: {first_line(error)}"
        ) from error


class TransformersModel:
    """Implements `ServedModel` with transformers."""

    def __init__(self, checkpoint: Checkpoint, *, max_active: int, loop: asyncio.AbstractEventLoop) -> None:
        self._eos_tokens = checkpoint.eos_tokens
        self._decoder = checkpoint.decoder
        self._encoder = PromptEncoder(checkpoint.tokenizer, vocabulary_size=checkpoint.vocabulary_size)
        self._worker = BatchingWorker(checkpoint, max_active=max_active, loop=loop)
        self.defaults = checkpoint.defaults
        self.properties = ModelProperties(
            context_length=checkpoint.cache.context,
            chat=self._encoder.has_chat_template,
            device=str(checkpoint.model.device),
            dtype=str(checkpoint.model.dtype).removeprefix("torch."),
            parameters=checkpoint.model.num_parameters(),
            tools=self._encoder.tool_format is not None,
            size=checkpoint.model.get_memory_footprint() + checkpoint.cache.size,
        )
        self._hidden = frozenset(checkpoint.tokenizer.all_special_ids) - self._marker_tokens(checkpoint.tokenizer)
        self._worker.start()

    @property
    def alive(self) -> bool:
        """True while the batching worker runs."""
        return self._worker.alive

    @property
    def failure(self) -> str | None:
        """The error that ended the batching worker."""
        return self._worker.failure

    def encode(self, request: GenerationRequest) -> list[int]:
        """Return the prompt tokens; raise ContextLengthError if they leave no room for a response."""
        tokens = self._encoder.encode(request)
        limit = self.properties.context_length
        if len(tokens) >= limit:
            raise ContextLengthError(
                f"The prompt has {len(tokens)} tokens, but the context holds {limit} for prompt and response together. "
                f"Shorten the prompt by at least {len(tokens) - limit + 1} tokens.",
                param="messages" if request.messages else "text",
            )
        return tokens

    def count_tokens(self, request: GenerationRequest) -> int:
        """Return the number of prompt tokens."""
        return len(self._encoder.encode(request))

    def new_response(self, *, stop: Sequence[str], input_tokens: int, tools: bool = False) -> ResponseText:
        """Return an empty response; with `tools`, its text has the markup of tool calls."""
        decode = self._decode_with_markup if tools else self._decode
        return ResponseText(decode=decode, eos_tokens=self._eos_tokens, stop=stop, input_tokens=input_tokens)

    def tool_reader(self, request: GenerationRequest) -> ToolCallReader | None:
        """Return a reader for the tool calls in the response; None if there are no tools."""
        if not request.tools or self._encoder.tool_format is None:
            return None
        return ToolCallReader(self._encoder.tool_format, tools=request.tools)

    def opened(self, tokens: Sequence[int]) -> str:
        """Return the tag of reasoning that a prompt already opened for the response; empty without one."""
        end = self._decoder.decode(tokens[-_TAG_TOKENS:], skip_special_tokens=False).rstrip()
        return next((tag for tag in _REASONING_TAGS if end.endswith(tag)), "")

    def submit(self, key: str, tokens: Sequence[int], parameters: Parameters, on_tokens: OnTokens) -> None:
        """Start generating."""
        self._worker.submit(key, tokens, parameters, on_tokens)

    def cancel(self, key: str) -> None:
        """Stop generating."""
        self._worker.cancel(key)

    def restart(self) -> None:
        """Replace a batching worker that died."""
        self._worker.restart()

    def close(self) -> None:
        """Stop the worker and free the memory."""
        self._worker.close()
        del self._worker, self._encoder, self._decoder
        _free_memory()

    def _marker_tokens(self, tokenizer: Any) -> set[int]:
        """Return the tokens that begin a tool call, which may be special ones."""
        found = self._encoder.tool_format
        if found is None or not found.marker:
            return set()
        return {token for token, added in tokenizer.added_tokens_decoder.items() if added.content == found.marker}

    def _decode_with_markup(self, tokens: Sequence[int]) -> str:
        shown = [token for token in tokens if token not in self._hidden]
        text = self._decoder.decode(shown, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return str(text)

    def _decode(self, tokens: Sequence[int]) -> str:
        text = self._decoder.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)


def _free_memory() -> None:
    """Collect garbage and return free memory to the system and to the GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
