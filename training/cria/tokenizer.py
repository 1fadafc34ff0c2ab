"""Trains cria's tokenizer: byte-level BPE in which a word is the same tokens wherever it stands.

A model this small copies names only if `Zovaju` in a sentence and `"Zovaju"` in JSON are the same tokens.
So words, runs of other characters and single digits are split apart first, each piece gets the same start
mark, and a lone space between two words is left out: the decoder puts it back where two words meet.
Literal start marks in the text are escaped, so every Unicode text comes back as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from training.cria import words
from training.cria.generate import Generator

VOCABULARY: Final = 4096
PAD: Final = "<pad>"
BEGIN: Final = "<s>"
END: Final = "</s>"
ROLES: Final = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
MAX_LENGTH: Final = 2048
"""Longest context in tokens."""

CHAT_TEMPLATE: Final = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + (message['content'] | trim) }}"
    "{% if message['role'] == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

_WORD_REPEATS: Final = 25
_WORD: Final = r"\p{L}\p{M}\p{N}"
_MARK: Final = "\x01"
_ESCAPE: Final = "\x03"
_MARK_BYTE: Final = "\u0101"
"""The start mark as the byte-level alphabet writes it."""


def untrained() -> Tokenizer:
    """Return the tokenizer without its merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(_ESCAPE, f"{_ESCAPE}0"), normalizers.Replace(_MARK, f"{_ESCAPE}1")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(f"(?<=[{_WORD}]) (?=[{_WORD}])"), "removed"),
            pre_tokenizers.Split(Regex(f"[{_WORD}]+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            pre_tokenizers.Metaspace(replacement=_MARK_BYTE, prepend_scheme="always", split=False),
            pre_tokenizers.Split(Regex(f"{_MARK_BYTE}?[0-9]"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Fuse(),
            decoders.ByteLevel(),
            decoders.Replace(Regex(f"(?<=[{_WORD}]){_MARK}(?=[{_WORD}])"), " "),
            decoders.Replace(_MARK, ""),
            decoders.Replace(f"{_ESCAPE}1", _MARK),
            decoders.Replace(f"{_ESCAPE}0", _ESCAPE),
        ]
    )
    return tokenizer


def train(texts: Iterable[str], vocabulary: int = VOCABULARY) -> Tokenizer:
    """Return a tokenizer trained on texts."""
    tokenizer = untrained()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, BEGIN, END, *ROLES.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def corpus(samples: int, seed: int = 7) -> Iterator[str]:
    """Return the texts of training samples, and the word lists often enough to become whole tokens."""
    known = [
        item
        for name, items in vars(words).items()
        if name.isupper() and isinstance(items, tuple)
        for item in items
        if len(item) > 2
    ]
    for _ in range(_WORD_REPEATS):
        yield from known
    for sample in islice(Generator(seed), samples):
        yield sample.raw
        for message in sample.messages:
            yield message.content


def wrapped(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """Return the tokenizer as transformers knows it, with the chat template."""
    make: Callable[..., PreTrainedTokenizerFast] = PreTrainedTokenizerFast
    fast = make(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        clean_up_tokenization_spaces=False,
        model_max_length=MAX_LENGTH,
        padding_side="left",
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def build(folder: Path, samples: int = 40_000) -> None:
    """Trains the tokenizer and writes its files."""
    wrapped(train(corpus(samples))).save_pretrained(str(folder))
