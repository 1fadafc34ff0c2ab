"""A reranker in memory; imports torch and sentence-transformers, which takes seconds, in a thread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder

from herding.engine.errors import LoadError

_PADDED_PAIRS = 16
"""Pairs of similar length that are computed as one; more take more memory and are hardly faster on a CPU."""

_READ_TOKENS = 512
"""The most tokens of a pair for a model that does not say its own."""


class CrossEncoderModel:
    """Scores pairs of a query and a document with the model in a checked directory; raises LoadError without one.

    All methods block: call `score` in one thread.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        torch.set_num_threads(threads)
        try:
            # Some models are set to give logits: with this activation, all give scores from 0 to 1.
            model: Any = CrossEncoder(
                str(path), trust_remote_code=False, local_files_only=True, activation_fn=torch.nn.Sigmoid()
            )
        except Exception as error:  # the libraries raise errors of any kind
            raise LoadError(f"Can't load the reranker in {path}. {type(error).__name__}: {error}") from error
        if model.num_labels != 1:
            message = f"{path} sorts texts into {model.num_labels} classes, so it is not a reranker."
            raise LoadError(f"{message} Choose a cross-encoder with one score.")
        self._model = model
        self._tokenizer: Any = model.tokenizer
        if not model.max_seq_length or model.max_seq_length > 10**6:
            model.max_seq_length = _READ_TOKENS
        self.max_tokens: int = model.max_seq_length

    def count(self, pairs: Sequence[tuple[str, str]]) -> int:
        """Return the tokens that the model reads; what a pair has beyond its limit is left out."""
        found = self._tokenizer(*map(list, zip(*pairs, strict=True)), truncation=False, padding=False, verbose=False)
        return sum(min(len(ids), self.max_tokens) for ids in found["input_ids"])

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return a score from 0 to 1 for each pair; raise LoadError for a model that gives no numbers."""
        found = self._model.predict(
            [list(pair) for pair in pairs], batch_size=_PADDED_PAIRS, convert_to_numpy=True, show_progress_bar=False
        )
        scores = [float(number) for number in found]
        if not all(map(math.isfinite, scores)):
            raise LoadError("its scores are no numbers. Choose another model.")
        return scores
