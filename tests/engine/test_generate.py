"""Answers of a real engine process, against plain generation of the same model."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

PROMPTS = ["one", "two two", "Drei?", "vier: é", "5", "six six six", "seven\nseven", "acht und acht"]


@pytest.fixture(scope="module")
def plain(tiny) -> Callable[..., tuple[str, int]]:
    """Greedy text and token count of plain generation, one prompt at a time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = AutoModelForCausalLM.from_pretrained(tiny)

    def generate(text: str, count: int) -> tuple[str, int]:
        ids = torch.tensor([tokenizer.encode(text)])
        mask = torch.ones_like(ids)
        whole = model.generate(
            input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=count, pad_token_id=0
        )
        new = whole[0, ids.shape[1] :]
        return tokenizer.decode(new, skip_special_tokens=True), len(new)

    return generate


def test_a_greedy_answer_is_that_of_plain_generation(engine, plain):
    text, done = engine.generate(text="Once", parameters={"temperature": 0, "max_tokens": 60})
    expected, count = plain("Once", 60)
    assert text == expected
    assert done["usage"] == {"input_tokens": 4, "output_tokens": count}
    assert done["finish_reason"] == ("length" if count == 60 else "stop")


def test_every_piece_tells_the_tokens_so_far(engine):
    body = {"text": "Once", "parameters": {"temperature": 0, "max_tokens": 60}}
    *pieces, done = engine.events("/generate", body)
    counts = [piece["usage"]["output_tokens"] for piece in pieces]
    assert counts == sorted(counts)
    assert counts[0] >= 1
    assert counts[-1] <= done["usage"]["output_tokens"]
    assert all(piece["usage"]["input_tokens"] == done["usage"]["input_tokens"] for piece in pieces)


def test_a_prompt_is_counted_as_it_will_be_read_even_if_it_does_not_fit(engine):
    counted = engine.client.post("/count", json={"text": "Once"}).json()
    used = engine.events("/generate", {"text": "Once", "parameters": {"max_tokens": 1}})[-1]["usage"]
    assert counted["input_tokens"] == used["input_tokens"]
    too_long = engine.client.post("/count", json={"text": "x " * counted["context_length"]}).json()
    assert too_long["input_tokens"] > too_long["context_length"] == counted["context_length"]
    assert engine.client.post("/count", json={"text": "", "messages": []}).status_code == 422


def test_answers_side_by_side_are_those_of_plain_generation(engine, plain):
    def ask(prompt: str) -> str:
        return engine.generate(text=prompt, parameters={"temperature": 0, "max_tokens": 80})[0]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, PROMPTS))
    assert answers == [plain(prompt, 80)[0] for prompt in PROMPTS]
    assert len(set(answers)) == len(PROMPTS)


def test_without_a_temperature_the_models_own_default_holds(engine):
    body = {"messages": [{"role": "user", "content": "hi"}], "model": "test/tiny"}
    first = engine.generate(**body, parameters={"max_tokens": 20})
    assert first == engine.generate(**body, parameters={"max_tokens": 20, "temperature": 0})


def test_a_seed_repeats_an_answer_whatever_else_is_generated(engine):
    def ask(seed: int) -> tuple[str, dict[str, object]]:
        parameters = {"temperature": 1.2, "top_p": 0.9, "top_k": 40, "seed": seed, "max_tokens": 40}
        return engine.generate(text="seeded", parameters=parameters)

    alone, done = ask(11)
    wild = {"temperature": 1.5, "max_tokens": 80}
    with ThreadPoolExecutor(5) as pool:
        others = [pool.submit(engine.generate, text=prompt, parameters=wild) for prompt in PROMPTS[:4]]
        crowded, _ = ask(11)
        assert all(other.result()[1]["type"] == "done" for other in others)
    assert crowded == alone
    assert done["seed_applied"] is True
    assert ask(12)[0] != alone


def test_without_a_seed_answers_differ(engine):
    body = {"text": "free", "parameters": {"temperature": 1.5, "max_tokens": 40}}
    assert engine.generate(**body)[0] != engine.generate(**body)[0]


def test_a_stop_text_ends_the_answer_before_it(engine, plain):
    whole, _ = plain("stop me", 60)
    stop = whole[20:23]
    text, done = engine.generate(
        text="stop me", parameters={"temperature": 0, "max_tokens": 60, "stop": [stop, "never"]}
    )
    assert text == whole[: whole.index(stop)]
    assert done["finish_reason"] == "stop"
    assert done["usage"]["output_tokens"] < 60


def test_pieces_hold_only_whole_characters(engine, plain):
    events = engine.events("/generate", {"text": "é", "parameters": {"temperature": 0, "max_tokens": 60}})
    assert "".join(event["text"] for event in events[:-1]) == plain("é", 60)[0]
    assert len(events) > 2


def test_a_prompt_longer_than_the_context_is_refused_with_the_numbers(engine):
    response = engine.client.post("/generate", json={"text": "x" * 1030})
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (422, "context_length", "text")
    assert "1030 tokens" in error["message"]
    assert "holds 1024" in error["message"]


def test_an_answer_gets_what_the_prompt_leaves_of_the_context(engine):
    body = {"text": "y" * 1018, "parameters": {"temperature": 1.0, "max_tokens": 1000, "seed": 5}}
    _, done = engine.generate(**body)
    assert done["usage"] == {"input_tokens": 1018, "output_tokens": 6}
    assert done["finish_reason"] == "length"


def test_many_answers_of_full_length_fit_at_the_same_time(engine):
    body = {"parameters": {"temperature": 0, "max_tokens": 1000}}
    with ThreadPoolExecutor(8) as pool:
        ends = list(
            pool.map(
                lambda prompt: engine.generate(text=(prompt * 300).encode()[:801].decode(errors="ignore"), **body)[1],
                PROMPTS,
            )
        )
    assert [sum(end["usage"].values()) for end in ends] == [1024] * 8


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"text": "x", "model": "test/absent"}, 404, "not_found"),
        ({"text": "x", "parameters": {"temperature": 3}}, 422, "invalid_request"),
        ({"messages": [{"role": "user", "content": "x"}], "text": "x"}, 422, "invalid_request"),
        ({"nothing": 1}, 422, "invalid_request"),
    ],
)
def test_a_wrong_request_is_refused_before_the_stream(engine, body, status, kind):
    response = engine.client.post("/generate", json=body)
    assert (response.status_code, response.json()["error"]["type"]) == (status, kind)


def test_broken_json_and_large_bodies_are_refused(engine):
    assert engine.client.post("/generate", content=b"{").status_code == 422
    assert engine.client.post("/generate", content=b"[" * 100_000).status_code == 422
    large = engine.client.post("/generate", content=b'{"text": "' + b"x" * 2_200_000 + b'"}')
    assert (large.status_code, large.json()["error"]["type"]) == (413, "too_large")
    assert engine.status()["state"] == "ready"


def is_soon_alone(engine) -> bool:
    """Whether all others are gone while an answer is made that is shorter than theirs; they would end after it."""
    body = {"text": "Twice", "parameters": {"temperature": 0, "max_tokens": 500}}
    while True:
        with engine.client.stream("POST", "/generate", json=body) as response:
            if response.status_code == 200:
                looks = (engine.status() for line in response.iter_lines() if '"delta"' in line)
                return any((status["active"], status["waiting"]) == (1, 0) for status in looks)


def test_a_client_that_leaves_stops_its_answer(engine, slow_body):
    with engine.client.stream("POST", "/generate", json=slow_body) as response:
        lines = response.iter_lines()
        next(lines)
        assert engine.new_client().get("/status").json()["active"] == 1
    assert is_soon_alone(engine)


def test_clients_that_leave_while_they_wait_are_forgotten(engine, slow_body):
    stop = threading.Event()

    def ask() -> int:
        with engine.new_client() as client, client.stream("POST", "/generate", json=slow_body) as response:
            stop.wait(10)
            return response.status_code

    with ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(ask) for _ in range(40)]
        time.sleep(0.3)
        seen = engine.status()
        stop.set()
        codes = [one.result() for one in asked]
    assert seen["active"] <= 8
    assert seen["waiting"] <= 4
    assert set(codes) <= {200, 503}
    assert is_soon_alone(engine)


def test_status_answers_while_answers_are_generated(engine, slow_body):
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(engine.generate, **slow_body) for _ in range(3)]
        meanwhile = []
        while not all(one.done() for one in asked):
            status = engine.status()
            meanwhile.append(status["active"])
    assert len([active for active in meanwhile if active]) >= 5
    assert status["state"] == "ready"
    assert status["system"]["process_memory"] > 0
    assert json.dumps(status)


def test_status_tells_what_is_loaded(engine):
    status = engine.status()
    assert (status["model"], status["state"], status["context_length"]) == ("test/tiny", "ready", 1024)
    assert (status["chat"], status["device"], status["dtype"]) == (True, "cpu", "float32")
    assert status["parameters"] > 100_000
    assert status["error"] is None
    assert status["system"]["memory_total"] > status["system"]["memory_used"] > 0
    models = {model["id"]: model for model in engine.client.get("/models").json()["models"]}
    assert models["test/tiny"] == {"id": "test/tiny", "loaded": True, "bundled": False, "local": True}
    assert models["herding/cria"] == {"id": "herding/cria", "loaded": False, "bundled": True, "local": True}


def test_a_batch_is_computed_as_each_response_alone_also_where_prompts_are_read_in_pieces(engine, tiny):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(tiny), AutoModelForCausalLM.from_pretrained(tiny)
    texts = ["Once upon a time. " * count for count in (1, 5, 40, 50)]  # up to 900 tokens; a step reads 512
    with ThreadPoolExecutor(len(texts)) as pool:
        body = {"parameters": {"max_tokens": 20, "temperature": 0}}
        found = list(pool.map(lambda text: engine.generate(text=text, **body)[0], texts))
    for text, answer in zip(texts, found, strict=True):
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            alone = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=20)
        assert answer == tokenizer.decode(alone[0, ids.shape[1] :], skip_special_tokens=True)
