"""The draw of the next token. Torch is imported by the tests that use it, since every process collects them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch


@pytest.fixture
def scores() -> torch.Tensor:
    import torch

    return torch.log(torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05]))


def drawn(draw: dict[str, float], scores: torch.Tensor, times: int = 4000) -> dict[int, float]:
    from herding.engine.sampling import SamplingSettings, sample_token

    settings = {"temperature": 1.0, "top_p": 1.0, "top_k": 0} | draw
    counts = Counter(sample_token(scores, SamplingSettings(seed=key * 7919, **settings)) for key in range(times))
    return {token: count / times for token, count in counts.items()}


def test_the_draw_follows_the_shares(scores):
    shares = drawn({}, scores)
    assert [shares[token] for token in range(5)] == pytest.approx([0.4, 0.3, 0.15, 0.1, 0.05], abs=0.03)


def test_a_lower_temperature_prefers_the_best(scores):
    weights = (scores / 0.5).softmax(dim=-1).tolist()
    shares = drawn({"temperature": 0.5}, scores)
    assert [shares.get(token, 0) for token in range(5)] == pytest.approx(weights, abs=0.03)


def test_top_k_leaves_the_best_and_shares_out_the_rest(scores):
    shares = drawn({"top_k": 2}, scores)
    assert shares == pytest.approx({0: 4 / 7, 1: 3 / 7}, abs=0.03)


def test_top_k_beyond_the_vocabulary_leaves_all(scores):
    assert set(drawn({"top_k": 10**9}, scores)) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.01, {0}), (0.39, {0}), (0.6, {0, 1}), (0.8, {0, 1, 2}), (0.999, set(range(5)))]
)
def test_top_p_keeps_the_smallest_set_that_reaches_it(scores, top_p, kept):
    assert set(drawn({"top_p": top_p}, scores, times=1000)) == kept


@pytest.mark.parametrize("top_p", [0.3, 0.9, 0.999])
def test_top_p_of_a_large_vocabulary_keeps_what_sorting_all_of_it_would(top_p):
    import torch

    torch.manual_seed(0)
    scores = torch.randn(5000)
    shares, order = torch.softmax(scores, dim=-1).sort(descending=True)
    kept = set(order[(shares.cumsum(-1) - shares) < top_p].tolist())
    assert set(drawn({"top_p": top_p}, scores, times=300)) <= kept


def test_the_same_key_draws_the_same(scores):
    from herding.engine.sampling import SamplingSettings, sample_token

    draw = SamplingSettings(1.0, 0.9, 3, seed=5)
    assert len({sample_token(scores, draw) for _ in range(20)}) == 1
