"""The tokenizer: lossless, and blind to what stands before a word."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.cria import tokenizer as tokens
from training.cria.generate import Generator

FRESH = tokens.train(["Zovaju said hello, hello.", '{"person": ["Zovaju"]}'] * 3, vocabulary=300)

anything = st.one_of(st.text(), st.text(alphabet=' ab1.,"\n\x00\x01\x02\x03é😀漢\u0301\u2028'))


@cache
def shipped() -> Any:
    """The tokenizer of the weights, imported where it is used: all processes collect these tests, and one runs them."""
    from transformers import AutoTokenizer

    from training.cria.evaluate import WEIGHTS_FOLDER

    return AutoTokenizer.from_pretrained(str(WEIGHTS_FOLDER), local_files_only=True)


@given(anything)
@settings(max_examples=300, deadline=None)
def test_any_text_comes_back(text: str) -> None:
    ids = shipped().backend_tokenizer.encode(text, add_special_tokens=False).ids
    special = any(mark in text for mark in (tokens.PAD, tokens.BEGIN, tokens.END, *tokens.ROLES.values()))
    assert special or shipped().decode(ids) == text
    assert FRESH.decode(FRESH.encode(text).ids) == text or special


@pytest.mark.parametrize("word", ["Zovaju", "Hanna", "sushi", "2022", "naïve", "Çelik"])
def test_a_word_is_the_same_tokens_everywhere(word: str) -> None:
    alone = shipped().encode(word, add_special_tokens=False)
    for before in ("see ", '"', "(", "\n", "a-", "é "):
        assert shipped().encode(f"{before}{word}", add_special_tokens=False)[-len(alone) :] == alone


def test_pieces_of_a_stream_add_up() -> None:
    ids = shipped().encode('{"person": ["Zoë O\'Hara", "Mira Kol"]} paid 12.50 to me.', add_special_tokens=False)
    for end in range(1, len(ids)):
        whole, start = shipped().decode(ids), shipped().decode(ids[:end])
        assert whole.startswith(start.rstrip("\ufffd"))


@pytest.mark.parametrize("task", ["entity_recognition", "jay_trainer", "plain_chat"])
def test_the_chat_template_writes_what_training_reads(task: str) -> None:
    sample = Generator(9).sample(task)
    messages = [{"role": message.role, "content": message.content} for message in sample.messages]
    parts = [
        f"{tokens.ROLES[m.role]}{m.content.strip()}{tokens.END * (m.role == 'assistant')}" for m in sample.messages
    ]
    assert shipped().apply_chat_template(messages, tokenize=False) == "".join(parts)
    prompt = shipped().apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    assert prompt == "".join(parts[:-1]) + tokens.ROLES["assistant"]
