"""Origins as browsers send them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from herding.prompts.model import Prompt
from herding.prompts.web_access import allows_origin


def prompt(*cors: str) -> Prompt:
    return Prompt.model_validate({"name": "X", "target_models": ["m"], "prompt": "x", "cors": list(cors)})


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "http://localhost:3000",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "https://sub.example.co.uk:8443",
        "chrome-extension://abcdefghijklmnop",
        "https://xn--bcher-kva.example",
    ],
)
def test_an_origin(origin: str) -> None:
    assert allows_origin(prompt(origin).cors, origin)
    assert not allows_origin(prompt("https://other.example").cors, origin)
    assert allows_origin(prompt("*").cors, origin)


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ("example.com", "scheme://host"),
        ("https://example.com/", "without a path"),
        ("https://example.com/page", "without a path"),
        ("https://Example.com", "lower case"),
        ("https://*.example.com", "for all origins"),
        ("https://user@example.com", "scheme://host"),
        ("https://example.com:443", "omit port 443"),
        ("http://example.com:80", "omit port 80"),
        ("https://example.com:0", "scheme://host"),
        ("https://example.com:70000", "scheme://host"),
        ("https://bücher.example", "scheme://host"),
        ("https://a b", "scheme://host"),
        ("https://example.com\n", "scheme://host"),
        ("https://example.com\r\nX-Evil: 1", "scheme://host"),
        ("null", "scheme://host"),
        ("", "scheme://host"),
        ("https://", "scheme://host"),
        ("https://" + "a" * 300, "scheme://host"),
    ],
)
def test_what_is_none(origin: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        prompt(origin)


def test_all_stands_alone() -> None:
    with pytest.raises(ValidationError, match="includes all origins"):
        prompt("*", "https://example.com")


@pytest.mark.parametrize(
    "origin", ["https://example.com:8443", "http://example.com", "https://example.com.evil.example"]
)
def test_an_origin_is_compared_whole(origin: str) -> None:
    assert not allows_origin(["https://example.com"], origin)


def test_a_page_without_address_is_welcome_where_all_are() -> None:
    assert allows_origin(["*"], "null")
    assert not allows_origin(["https://example.com"], "null")


@pytest.mark.parametrize("origin", ["", "*", "https://a b", "https://x\r\ny"])
def test_what_no_browser_sends_is_welcome_nowhere(origin: str) -> None:
    assert not allows_origin(["*"], origin)


@pytest.mark.parametrize("cors", [None, []])
def test_without_origins_nobody_is_welcome(cors: list[str] | None) -> None:
    assert not allows_origin(cors, "https://example.com")


def test_a_prompt_without_roles_and_origins_keeps_its_digest() -> None:
    data = {"name": "X", "target_models": ["m"], "prompt": "x"}
    assert "roles" not in Prompt.model_validate(data).canonical
    assert "cors" not in Prompt.model_validate(data).canonical


@pytest.mark.parametrize("roles", [[], ["Two Words"], [""], "user", ["x" * 41]])
def test_roles_that_are_none(roles: object) -> None:
    with pytest.raises(ValidationError):
        Prompt.model_validate({"name": "X", "target_models": ["m"], "prompt": "x", "roles": roles})


def test_a_null_in_a_schema_counts() -> None:
    head = {"name": "X", "target_models": ["m"], "prompt": "x"}
    one = Prompt.model_validate(head | {"checks": {"json_schema": {"const": None}}})
    other = Prompt.model_validate(head | {"checks": {"json_schema": {}}})
    assert one.digest != other.digest
    assert one.content["checks"] == {"json_schema": {"const": None}}
