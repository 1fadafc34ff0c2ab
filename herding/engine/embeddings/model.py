"""An embedding model in memory; imports torch and sentence-transformers, which takes seconds, in a thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer

from herding.engine.errors import LoadError
from herding.errors import ContextLengthError, UserError

_PADDED_TEXTS = 16
"""Texts of similar length that are computed as one; more take more memory and are hardly faster on a CPU."""

TextOrIds = str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PreparedText:
    """A text to embed, and the number of its tokens that the model reads."""

    text: str
    tokens: int


class EmbeddingModel:
    """Makes embeddings with the model in a checked directory. All methods block: call them in one thread.

    Raises LoadError for a model that can't be loaded.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        torch.set_num_threads(threads)
        try:
            model: Any = SentenceTransformer(str(path), trust_remote_code=False, local_files_only=True)
        except Exception as error:  # the libraries raise errors of any kind
            raise LoadError(f"Can't load the embedding model in {path}. {type(error).__name__}: {error}") from error
        self._model = model
        self._tokenizer: Any = self._model.tokenizer
        self.dimensions: int = self._model.get_embedding_dimension()
        self.max_tokens: int | None = self._model.max_seq_length

    def prepare(self, inputs: Sequence[TextOrIds], *, dimensions: int | None, truncate: bool) -> list[PreparedText]:
        """Return the texts with their tokens; raise UserError for what the model can't embed.

        With `truncate`, the end of a text that is too long is left out.
        """
        if dimensions not in (None, self.dimensions):
            message = f"This model makes vectors of {self.dimensions} numbers. Leave out 'dimensions'."
            raise UserError(message, param="dimensions")
        texts = [item if isinstance(item, str) else self._decode(item) for item in inputs]
        counts = self._count(texts)
        limit = self.max_tokens
        if limit is not None and not truncate:
            for place, count in enumerate(counts):
                if count > limit:
                    message = f"Text {place} has {count:,} tokens, and the model reads {limit:,}."
                    raise ContextLengthError(f"{message} Split it, or set 'truncate' to true.", param=f"input.{place}")
        return [PreparedText(text, min(count, limit or count)) for text, count in zip(texts, counts, strict=True)]

    def encode(self, texts: Sequence[str]) -> list[bytes]:
        """Return the vector of each text as 32-bit floats, little-endian."""
        vectors = self._model.encode(
            list(texts), batch_size=_PADDED_TEXTS, convert_to_numpy=True, show_progress_bar=False
        )
        return [vector.astype("<f4").tobytes() for vector in vectors]

    def _decode(self, ids: Sequence[int]) -> str:
        size = len(self._tokenizer)
        if any(token >= size for token in ids):
            message = f"A token id is not below {size:,}: the ids are of another tokenizer. Send texts instead."
            raise UserError(message, param="input")
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def _count(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text, with those that the model adds."""
        if not callable(self._tokenizer):
            return [len(found.ids) for found in self._tokenizer.encode_batch(list(texts))]
        found = self._tokenizer(list(texts), truncation=False, padding=False, verbose=False)
        return [len(ids) for ids in found["input_ids"]]
