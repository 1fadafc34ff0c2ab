"""What a generation request may say."""

from __future__ import annotations

import pytest

from herding.engine.requests import parse_generation, parse_load
from herding.errors import UserError
from herding.values import Message, Parameters


def test_a_whole_request_is_read():
    body = {
        "id": "r1",
        "model": "herding/cria",
        "messages": [{"role": "user", "content": "hi"}],
        "parameters": {"temperature": 0, "top_p": 1, "top_k": 0, "max_tokens": 5, "stop": ["a"], "seed": -3},
    }
    wanted = parse_generation(body)
    assert wanted.messages == (Message("user", "hi"),)
    assert wanted.parameters == Parameters(0.0, 1.0, 0, 5, ("a",), -3)


def test_null_means_not_given():
    wanted = parse_generation({"text": "x", "messages": None, "parameters": {"temperature": None}})
    assert wanted.parameters == Parameters()


@pytest.mark.parametrize(
    ("parameters", "at_fault"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.01}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"seed": 2**63}, "seed"),
        ({"stop": "x"}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["x" * 1001]}, "stop"),
        ({"frequency_penalty": 1}, "frequency_penalty"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(parameters, at_fault):
    with pytest.raises(UserError) as refused:
        parse_generation({"text": "x", "parameters": parameters})
    assert refused.value.param == at_fault


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"text": ""},
        {"text": "x", "messages": [{"role": "user", "content": "x"}]},
        {"text": "x", "stream": True},
        {"text": "\ud800"},
        {"messages": []},
        {"messages": "x"},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [{"role": ["user"], "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": ["x"]}]},
        {"messages": [{"role": "user", "content": "x", "name": "y"}]},
        {"text": "x", "parameters": []},
        {"text": "x", "tokens": [1]},
        {"tokens": []},
        {"tokens": [-1]},
        {"tokens": ["a"]},
        {"text": "x", "id": 5},
    ],
)
def test_a_wrong_body_is_refused(body):
    with pytest.raises(UserError):
        parse_generation(body)


@pytest.mark.parametrize("body", [{}, {"model": ""}, {"model": 1}, {"model": "a", "force": True}])
def test_a_load_names_one_model(body):
    with pytest.raises(UserError):
        parse_load(body)
