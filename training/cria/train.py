"""Trains cria on one CPU core: `python -m training.cria.train --minutes 75 --out DIR [--resume]`.

The recipe:
- bfloat16 weights and gradients with float32 master copies, because plain bfloat16 loses small updates;
- Muon for the hidden matrices, AdamW for the embedding and the norms;
- a constant rate that falls to zero over the last part of the time, so a run can be prolonged;
- first only random sequences that repeat, later a share of them, so that the model learns to copy early;
- batches of samples of like length instead of packing: no sample sees another, and little is padding.

DIR always holds the newest model as a transformers directory, and the state to resume from.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from training.cria import tokenizer as tokens
from training.cria.generate import Generator, Sample

WIDTH: Final = 256
LAYERS: Final = 6
HEADS: Final = 4
INNER: Final = 704
BATCH_TOKENS: Final = 2048
"""Padded tokens of one batch."""
STEP_BATCHES: Final = 3
"""Batches of one step: a batch holds samples of like length, so of few tasks, and a step should hold all."""
POOL: Final = 1536
"""Samples sorted by length at a time, so that a batch holds samples of like length."""
MUON_RATE: Final = 1.5e-3
ADAM_RATE: Final = 1e-3
WARM_UP_STEPS: Final = 60
COPY_ONLY_STEPS: Final = 40
COPY_SHARE: Final = 0.03
PROMPT_SHARE: Final = 0.06
"""Share of the prompt's tokens that are learnt as well, at low weight."""
PROMPT_WEIGHT: Final = 0.25
SAVE_SECONDS: Final = 240.0


@dataclass(frozen=True)
class Encoded:
    """Token ids of one sample and, for each, the weight of predicting it."""

    ids: list[int]
    weights: list[float]


class Encoder:
    """Encodes samples as token ids with the same markup as the chat template."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, rng: random.Random) -> None:
        self._tokenizer: Tokenizer = tokenizer.backend_tokenizer
        self._rng = rng
        ids = self._tokenizer.get_vocab()
        self._roles = {role: ids[mark] for role, mark in tokens.ROLES.items()}
        self._end = ids[tokens.END]
        self._special = len(self._roles) + 3
        self._size = self._tokenizer.get_vocab_size()

    def sample(self, sample: Sample) -> Encoded:
        """Return a chat or raw sample; answers are learnt fully, the rest a little."""
        ids: list[int] = []
        weights: list[float] = []
        if sample.raw:
            self._add(ids, weights, self._text(sample.raw), learn=False)
            self._add(
                ids,
                weights,
                [*self._text(" " + sample.answer if self._rng.random() < 0.5 else sample.answer), self._end],
                learn=True,
            )
            return Encoded(ids, weights)
        for index, message in enumerate(sample.messages):
            ids.append(self._roles[message.role])
            weights.append(0.0)
            text = self._text(message.content.strip())
            is_answer = message.role == "assistant"
            self._add(
                ids, weights, [*text, self._end] if is_answer else text, learn=is_answer and index >= sample.learn_from
            )
        return Encoded(ids, weights)

    def copying(self) -> Encoded:
        """Return random tokens that are repeated, in full or one by one after a key."""
        rng = self._rng
        length = rng.randint(8, 40)
        ids = [rng.randrange(self._special, self._size) for _ in range(length)]
        if rng.random() < 0.6:
            return Encoded(ids * 2, [0.0] * length + [0.0] + [1.0] * (length - 1))
        pairs = [ids[i : i + 2] for i in range(0, length - 1, 2)]
        again = [item for pair in rng.sample(pairs, len(pairs)) for item in pair]
        return Encoded(ids + again, [0.0] * length + [0.0, 1.0] * len(pairs))

    def _text(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _add(self, ids: list[int], weights: list[float], new: Sequence[int], *, learn: bool) -> None:
        ids += new
        answer = answer_weight(len(new))
        weights += [answer if learn else PROMPT_WEIGHT if self._rng.random() < PROMPT_SHARE else 0.0 for _ in new]


def answer_weight(length: int) -> float:
    """Return the weight of each token of an answer, so that one-word answers count as much as long ones."""
    return float(min(4.0, max(0.5, (10 / max(length, 1)) ** 0.8)))


@dataclass(frozen=True)
class Batch:
    """Right-padded ids [batch, length] and weights of predicting each id [batch, length]."""

    ids: torch.Tensor
    weights: torch.Tensor


def batches(encoder: Encoder, seed: int, copy_share: float) -> Iterator[Batch]:
    """Return an endless stream of batches of about `BATCH_TOKENS` tokens."""
    rng = random.Random(seed)
    samples = iter(Generator(seed))
    while True:
        pool = [
            encoder.copying() if rng.random() < copy_share else encoder.sample(sample)
            for sample in islice(samples, POOL)
        ]
        pool.sort(key=lambda item: len(item.ids))
        groups = list(_groups(pool))
        rng.shuffle(groups)
        yield from map(_padded, groups)


def _groups(pool: Sequence[Encoded]) -> Iterator[list[Encoded]]:
    group: list[Encoded] = []
    for item in pool:
        if group and (len(group) + 1) * len(item.ids) > BATCH_TOKENS:
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _padded(group: Sequence[Encoded]) -> Batch:
    longest = max(len(item.ids) for item in group)
    ids = torch.zeros(len(group), longest, dtype=torch.long)
    weights = torch.zeros(len(group), longest)
    for row, item in enumerate(group):
        ids[row, : len(item.ids)] = torch.tensor(item.ids)
        weights[row, : len(item.ids)] = torch.tensor(item.weights)
    return Batch(ids, weights)


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return an untrained cria."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=tokens.MAX_LENGTH,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config).bfloat16()
    # For short rows the fused CPU kernel's backward pass takes longer than plain matrix products.
    model.set_attn_implementation("eager")
    return model


class Trainer:
    """A model, its float32 master weights and the optimizers that move them."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        self.model = model
        self._live = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._masters = [parameter.detach().float().clone() for parameter in self._live]
        hidden = [
            master
            for master, (name, _) in zip(self._masters, model.named_parameters(), strict=True)
            if "layers" in name and master.ndim == 2
        ]
        chosen = {id(master) for master in hidden}
        rest = [master for master in self._masters if id(master) not in chosen]
        self._optimizers: list[tuple[Any, float]] = [
            (
                torch.optim.Muon(
                    hidden, lr=MUON_RATE, weight_decay=0.02, momentum=0.95, adjust_lr_fn="match_rms_adamw"
                ),
                MUON_RATE,
            ),
            (torch.optim.AdamW(rest, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0), ADAM_RATE),
        ]

    def step(self, batches: Sequence[Batch], scale: float) -> float:
        """Update the weights at a fraction of the full rate and return the mean weighted loss."""
        total = sum(float(batch.weights[:, 1:].sum()) for batch in batches)
        loss = 0.0
        for batch in batches:
            share = self._loss(batch) / total
            torch.autograd.backward(share)
            loss += float(share.detach())
        self._move(scale)
        return loss

    def _loss(self, batch: Batch) -> torch.Tensor:
        hidden = self.model.model(input_ids=batch.ids, use_cache=False).last_hidden_state[:, :-1]
        weights = batch.weights[:, 1:]
        chosen = weights > 0
        logits = self.model.lm_head(hidden[chosen]).float()
        losses = functional.cross_entropy(logits, batch.ids[:, 1:][chosen], reduction="none")
        return (losses * weights[chosen]).sum()

    def _move(self, scale: float) -> None:
        for master, parameter in zip(self._masters, self._live, strict=True):
            master.grad = parameter.grad.float() if parameter.grad is not None else None
            parameter.grad = None
        torch.nn.utils.clip_grad_norm_(self._masters, 1.0)
        for optimizer, rate in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * scale
            optimizer.step()
        with torch.no_grad():
            for master, parameter in zip(self._masters, self._live, strict=True):
                parameter.copy_(master)

    def state(self) -> dict[str, Any]:
        """Return the state needed to resume."""
        return {"masters": self._masters, "optimizers": [optimizer.state_dict() for optimizer, _ in self._optimizers]}

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state."""
        with torch.no_grad():
            for master, parameter, saved in zip(self._masters, self._live, state["masters"], strict=True):
                master.copy_(saved)
                parameter.copy_(saved)
        for (optimizer, _), saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)


def rate_scale(progress: float, step: int, decay_share: float) -> float:
    """Return the fraction of the full rate: warm-up, constant, then down to zero over `decay_share` of the time."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return warm * min(1.0, max(0.0, 1.0 - progress) / decay_share)


def export(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes a transformers directory; each file appears whole."""
    fresh = folder / ".fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    model.generation_config = GenerationConfig.from_dict(
        {
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "max_new_tokens": 200,
            "do_sample": False,
        }
    )
    model.save_pretrained(str(fresh))
    tokenizer.save_pretrained(str(fresh))
    for path in fresh.iterdir():
        path.chmod(0o644)  # the weights come out readable by their owner alone
        path.replace(folder / path.name)
    fresh.rmdir()


def run(out: Path, minutes: float, *, resume: bool, seed: int, decay_share: float) -> None:
    """Trains until `minutes` of training time are spent, earlier runs counted in."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "tokenizer.json").exists():
        tokens.build(out)
    tokenizer = cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(str(out)))
    torch.manual_seed(seed)
    trainer = Trainer(new_model(tokenizer))
    step, spent = 0, 0.0
    if resume and (out / "state.pt").exists():
        saved = torch.load(out / "state.pt", weights_only=True)
        trainer.restore(saved["trainer"])
        step, spent = saved["step"], saved["seconds"]
    trainer.model.train()
    encoder = Encoder(tokenizer, random.Random(seed + step))
    stream = batches(encoder, seed + step, COPY_SHARE)
    early = batches(encoder, seed + step + 1, 1.0)
    started = saved_at = time.monotonic()
    seen, losses = 0, []
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    while not stopped.is_set() and (elapsed := spent + time.monotonic() - started) < minutes * 60:
        chosen = list(islice(early if step < COPY_ONLY_STEPS else stream, STEP_BATCHES))
        losses.append(trainer.step(chosen, rate_scale(elapsed / (minutes * 60), step, decay_share)))
        step += 1
        seen += sum(batch.ids.numel() for batch in chosen)
        if step % 50 == 0:
            rate = seen / (time.monotonic() - started)
            _log(
                out,
                {
                    "step": step,
                    "minutes": round(elapsed / 60, 1),
                    "loss": round(sum(losses) / len(losses), 4),
                    "tokens_per_second": round(rate),
                },
            )
            losses.clear()
        if time.monotonic() - saved_at > SAVE_SECONDS:
            _save(out, trainer, tokenizer, step, elapsed)
            saved_at = time.monotonic()
    _save(out, trainer, tokenizer, step, spent + time.monotonic() - started)


def _save(out: Path, trainer: Trainer, tokenizer: PreTrainedTokenizerFast, step: int, seconds: float) -> None:
    fresh = out / "state.new"
    torch.save({"trainer": trainer.state(), "step": step, "seconds": seconds}, fresh)
    fresh.replace(out / "state.pt")
    export(trainer.model, tokenizer, out)


def _log(out: Path, entry: dict[str, Any]) -> None:
    with (out / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def main() -> None:
    """Reads the command line and trains."""
    parser = argparse.ArgumentParser(description="Trains cria.")
    parser.add_argument("--minutes", type=float, default=75.0, help="training time in all, earlier runs counted in")
    parser.add_argument("--out", type=Path, default=Path("data/cria"), help="folder of the model and the state")
    parser.add_argument("--resume", action="store_true", help="go on from the state in the folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--decay-share", type=float, default=0.25, help="last part of the time in which the rate falls to zero"
    )
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    run(options.out, options.minutes, resume=options.resume, seed=options.seed, decay_share=options.decay_share)


if __name__ == "__main__":
    main()
