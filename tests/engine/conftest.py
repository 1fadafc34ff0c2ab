"""A tiny random model on disk, and an engine process that serves it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from tests.support.ready_process import ReadyProcess

ROOT = Path(__file__).parents[2]
SECRET = "correct horse battery staple"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_tiny_model(folder: Path, *, seed: int = 0, template: str | None = TEMPLATE, context: int = 1024) -> Path:
    """A random byte-level Llama in float32, whose greedy answers differ from prompt to prompt."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|bos|>",
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=template,
    )
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.5,
        bos_token_id=fast.bos_token_id,
        eos_token_id=fast.eos_token_id,
        dtype="float32",
    )
    model = LlamaForCausalLM(config)
    model.lm_head.weight.data[fast.eos_token_id] = 0  # greedy answers go on as long as they may
    model.save_pretrained(folder)
    return folder


@dataclass
class Child:
    """An engine process and a client that knows its secret."""

    process: subprocess.Popen[str] | ReadyProcess
    output: IO[str]
    port: int
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.new_client()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def new_client(self, secret: str = SECRET) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {secret}"}, timeout=120)

    def status(self) -> dict[str, Any]:
        return self.client.get("/status").raise_for_status().json()

    def wait_for(self, fits: Callable[[dict[str, Any]], bool], seconds: float = 120) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if fits(status := self.status()):
                return status
            time.sleep(0.02)
        raise AssertionError(f"still {status}")

    def wait_until_ready(self) -> dict[str, Any]:
        return self.wait_for(lambda status: status["state"] in ("ready", "failed"))

    def events(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        with self.client.stream("POST", path, json=body) as response:
            response.read() if response.status_code != 200 else None
            assert response.status_code == 200, response.text
            return [json.loads(line[6:]) for line in response.iter_lines() if line]

    def generate(self, **body: Any) -> tuple[str, dict[str, Any]]:
        """The whole text, and the last event."""
        events = self.events("/generate", body)
        return "".join(event["text"] for event in events[:-1]), events[-1]

    def end(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)
        self.output.close()


def start_engine(*arguments: str, stdin: int | None = None, own_interpreter: bool = False, **settings: str) -> Child:
    """Start an engine with `settings` in its environment; without any it cannot reach the hub.

    It runs in a process that has imported it already, unless it has an `own_interpreter`: then it is started as by
    `python -m herding.engine`, which takes seconds. So it is with settings, since libraries read them at their import.
    """
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HERDING_NODE_SECRET": SECRET} | settings
    process: subprocess.Popen[str] | ReadyProcess
    if own_interpreter or settings or stdin is not None:
        command = [sys.executable, "-m", "herding.engine", *arguments]
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
        assert process.stdout is not None
        output = process.stdout
    else:
        heard, said = os.pipe()
        output = os.fdopen(heard)
        process = ReadyProcess(
            "herding.engine.__main__", *arguments, environment=environment, directory=ROOT, stdout=said, stderr=2
        )
        os.close(said)
    line = json.loads(output.readline())
    assert line["pid"] == process.pid
    return Child(process, output, line["port"])


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("other"), seed=1, template=None)


@pytest.fixture(scope="session")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose answers may be of any length."""
    return save_tiny_model(tmp_path_factory.mktemp("talker"), context=32_768)


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Passes the look at its directory, and fails when its weights are read."""
    folder = save_tiny_model(tmp_path_factory.mktemp("broken"))
    (folder / "model.safetensors").write_bytes(b"no tensors here")
    return folder


@pytest.fixture(scope="session")
def engine(tiny: Path, other: Path, broken: Path) -> Iterator[Child]:
    child = start_engine(
        *("--model", "test/tiny", "--offer", f"test/tiny={tiny}", "--offer", f"test/other={other}"),
        *("--offer", f"test/broken={broken}", "--offer", f"test/missing={tiny}/nowhere"),
        *("--max-active", "8", "--max-waiting", "4"),
    )
    child.wait_until_ready()
    yield child
    child.end()


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    """Starts engine processes that end with the test."""
    children: list[Child] = []

    def begin(*arguments: str, **options: Any) -> Child:
        children.append(start_engine(*arguments, **options))
        return children[-1]

    yield begin
    for child in children:
        child.end()


@pytest.fixture
def slow_body() -> dict[str, Any]:
    """A request whose answer takes a while: the tiny model never ends it by itself."""
    return {"text": "Once", "parameters": {"temperature": 0, "max_tokens": 1000}}
