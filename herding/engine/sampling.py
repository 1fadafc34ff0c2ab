"""Choice of the next token for each request of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
)
from transformers.generation.logits_process import LogitsProcessorList

_FEW = 1024
_MIX = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class Draw:
    """How one request draws its next token. `key` decides the draw: the same key and scores, the same token."""

    temperature: float
    top_p: float
    top_k: int
    key: int


class Sampler(ContinuousBatchingLogitsProcessor):
    """Draws the token of every request that samples and marks it as the best; greedy requests are left alone.

    The batch then takes the best token of each row. So a greedy answer is exactly that of plain generation, a
    request with a seed draws the same whatever else is in its batch, and nothing sorts the vocabulary for
    requests that do not need it.
    """

    def __init__(self) -> None:
        self.supported_kwargs = {"temperature": float, "top_p": float, "top_k": int, "seed": int}
        self.ignored_kwargs = ()
        self._draws: list[tuple[int, Draw]] = []

    def fill_defaults(self, int32_tensor: Tensor) -> None:
        """Nothing of ours travels in the batch's tensors."""
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: Sequence[Any]) -> Tensor:
        """Note who draws in the coming step; rows have the order of the requests."""
        states = [request.state for request in requests_with_new_token]
        self._draws = [
            (row, _draw(state.logit_processor_kwargs, state.position_offset))
            for row, state in enumerate(states)
            if state.logit_processor_kwargs
        ]
        return torch.zeros(len(states), dtype=torch.int32)

    def __call__(self, scores: Tensor, tensor_arg: Tensor) -> Tensor:  # noqa: ARG002  the library's signature
        """Mark the drawn tokens in `scores` (rows x vocabulary)."""
        for row, draw in self._draws:
            scores[row, choose(scores[row], draw)] = float("inf")
        return scores


def sampler_list() -> ContinuousBatchingLogitsProcessorList:
    """The processors of a batch: only our sampler."""
    processors = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([Sampler()]))
    processors.tensors_required = 1
    return processors


def choose(scores: Tensor, draw: Draw) -> int:
    """Draw one token from the scores of the vocabulary: first top-k, then top-p, as plain generation does."""
    values, tokens, total = _candidates(scores.float().cpu() / draw.temperature, draw)
    shares = torch.exp(values - total)
    if draw.top_p < 1:
        before = shares.cumsum(dim=-1) - shares
        shares = torch.where(before < draw.top_p, shares, 0.0)
    waits = torch.empty_like(shares).exponential_(generator=torch.Generator().manual_seed(draw.key))
    return int(tokens[torch.argmax(shares / waits)])


def _candidates(scores: Tensor, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
    """Scores and tokens that may be drawn, best first where an order is needed, and the log of their weight."""
    size = scores.numel()
    if 0 < draw.top_k < size:
        values, tokens = torch.topk(scores, draw.top_k)
        return values, tokens, torch.logsumexp(values, dim=-1)
    total = torch.logsumexp(scores, dim=-1)
    if draw.top_p >= 1:
        return scores, torch.arange(size), total
    values, tokens = torch.topk(scores, min(_FEW, size))
    if float(torch.exp(values - total).sum()) < draw.top_p:
        values, tokens = torch.sort(scores, descending=True)
    return values, tokens, total


def _draw(wanted: Mapping[str, Any], position: int) -> Draw:
    key = (int(wanted["seed"]) + (position + 1) * _MIX) % 2**63
    return Draw(wanted["temperature"], wanted["top_p"], wanted["top_k"], key)
