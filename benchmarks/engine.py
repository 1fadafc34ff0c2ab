"""Tokens per second of the engine, over HTTP, against plain `model.generate` of the same model.

Every round measures the same greedy answers of the same length in three ways, one after the other: plain generation
of one prompt at a time in this process; the engine process with one user; the engine process with several users at
once. End-of-turn tokens are taken out of the model's configuration, so that every answer has the full length.

    python benchmarks/engine.py [--model herding/cria | --model DIRECTORY] [--rounds 5] [--tokens 128]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import httpx
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from herding.engine.fetching.fetcher import ModelFetcher  # noqa: E402
from herding.engine.model_files import parse_source  # noqa: E402

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
CRIA = ROOT / "herding" / "engine" / "cria" / "weights"
SECRET = "benchmark"
TOPICS = ["the sea", "an old clock", "two friends", "a long road", "the first snow", "a red door", "bread", "the moon"]


def main() -> None:
    options = parse_options()
    torch.set_num_threads(options.threads)
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        model = without_ends(options, Path(folder))
        prompts = [f"Write a short story about {TOPICS[i % len(TOPICS)]}, number {i}." for i in range(options.users)]
        with engine(model, options) as url:
            report(asyncio.run(measure(model, url, prompts, options)), options)
            time.sleep(1.5)  # the engine measures itself once a second
            status = httpx.get(f"{url}/status", headers=headers()).json()
            resident = status["system"]["process_memory"] / 2**20
            print(f"engine process                 {resident:8.0f} MiB resident after it")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=SMOLLM2, help="herding/cria, SmolLM2 or a directory")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128, help="length of every answer")
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--threads", type=int, default=max(1, len(os.sched_getaffinity(0)) - 1))
    return parser.parse_args()


def without_ends(options: argparse.Namespace, folder: Path) -> Path:
    """A copy of the model that never ends an answer by itself."""
    copy = folder / "model"
    if options.model == SMOLLM2:
        source = asyncio.run(ModelFetcher(folder / "converted").fetch(parse_source(SMOLLM2), lambda *_: None))
    else:
        source = CRIA if options.model == "herding/cria" else Path(options.model)
    shutil.copytree(source, copy)
    for name, key in (
        ("config", "eos_token_id"),
        ("generation_config", "eos_token_id"),
        ("tokenizer_config", "eos_token"),
    ):
        file = copy / f"{name}.json"
        if file.exists():
            file.write_text(json.dumps(json.loads(file.read_text()) | {key: None}))
    return copy


@contextmanager
def engine(model: Path, options: argparse.Namespace):
    """An engine process that serves `model`; yields its address."""
    command = [sys.executable, "-m", "herding.engine", "--model", "bench/model", "--offer", f"bench/model={model}"]
    process = subprocess.Popen(
        [*command, "--threads", str(options.threads), "--max-active", str(options.users), "--exit-with-parent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=os.environ | {"HERDING_NODE_SECRET": SECRET},
    )
    try:
        url = f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        wait_until_ready(url)
        yield url
    finally:
        process.kill()
        process.wait()


def wait_until_ready(url: str) -> None:
    while True:
        status = httpx.get(f"{url}/status", headers=headers()).json()
        if status["state"] == "failed":
            sys.exit(f"The engine could not load the model: {status['error']}")
        if status["state"] == "ready":
            print(
                f"{status['parameters'] / 1e6:.1f} M parameters, {status['dtype']}, {status['device']}, "
                f"{status['system']['process_memory'] / 2**20:.0f} MiB resident"
            )
            return
        time.sleep(0.1)


def headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRET}"}


async def measure(model: Path, url: str, prompts: list[str], options: argparse.Namespace) -> dict[str, list[float]]:
    """Tokens per second of each way, by round."""
    plain = plain_generation(model, options.tokens)
    speeds: dict[str, list[float]] = {"plain": [], "one": [], "many": [], "first": []}
    async with httpx.AsyncClient(base_url=url, headers=headers(), timeout=600) as client:
        plain(prompts[0])
        await ask(client, prompts[0], options.tokens)
        for _ in range(options.rounds):
            total = options.tokens * len(prompts)
            seconds = {"plain": 0.0, "one": 0.0}
            for prompt in prompts:
                began = time.perf_counter()
                plain(prompt)
                seconds["plain"] += time.perf_counter() - began
                began = time.perf_counter()
                speeds["first"].append(await ask(client, prompt, options.tokens))
                seconds["one"] += time.perf_counter() - began
            began = time.perf_counter()
            await asyncio.gather(*(ask(client, prompt, options.tokens) for prompt in prompts))
            seconds["many"] = time.perf_counter() - began
            for way, spent in seconds.items():
                speeds[way].append(total / spent)
    return speeds


def plain_generation(model: Path, tokens: int) -> Callable[[str], None]:
    """Generates one answer, the plain way."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype="auto")

    def generate(prompt: str) -> None:
        ids = tokenizer(prompt, return_tensors="pt")
        answer = network.generate(
            input_ids=ids["input_ids"],
            attention_mask=ids["attention_mask"],
            do_sample=False,
            max_new_tokens=tokens,
            pad_token_id=0,
        )
        assert answer.shape[1] == ids["input_ids"].shape[1] + tokens

    return generate


async def ask(client: httpx.AsyncClient, prompt: str, tokens: int) -> float:
    """One streamed answer of exactly `tokens` tokens; returns the milliseconds until its first event."""
    body = {"text": prompt, "parameters": {"max_tokens": tokens, "temperature": 0}}
    began, first, last = time.perf_counter(), None, ""
    async with client.stream("POST", "/generate", json=body) as response:
        async for line in response.aiter_lines():
            if line:
                first, last = first or time.perf_counter(), line
    done = json.loads(last.removeprefix("data: "))
    assert done["usage"]["output_tokens"] == tokens, done
    return ((first or began) - began) * 1000


def report(speeds: dict[str, list[float]], options: argparse.Namespace) -> None:
    plain, one, many = (statistics.median(speeds[way]) for way in ("plain", "one", "many"))
    by_round = list(zip(speeds["plain"], speeds["one"], speeds["many"], strict=True))
    print(f"{options.rounds} rounds, {options.users} prompts, {options.tokens} tokens each, {options.threads} threads")
    print(f"plain generate, one at a time  {plain:8.0f} tokens/s")
    print(
        f"engine, 1 user                 {one:8.0f} tokens/s   x {statistics.median(o / p for p, o, _ in by_round):.2f}"
        f"   first token {statistics.median(speeds['first']):.0f} ms"
    )
    print(
        f"engine, {options.users} users                {many:8.0f} tokens/s   x "
        f"{statistics.median(m / p for p, _, m in by_round):.2f}"
    )


if __name__ == "__main__":
    main()
