"""The prompts that come with Herding."""

from __future__ import annotations

from pathlib import Path

import pytest

from herding.prompts.compose import compose
from herding.prompts.library import Library
from herding.prompts.model import dump_body
from herding.prompts.prompt_file import parse_body
from herding.prompts.render import placeholders
from herding.prompts.steps import groups
from herding.prompts.variables import fill

DIRECTORY = Path(__file__).resolve().parents[2] / "prompts"
LIBRARY = Library(DIRECTORY)
KEYS = sorted(LIBRARY.refresh().prompts)


def test_all_files_load_without_notes() -> None:
    snapshot = LIBRARY.snapshot
    assert snapshot.broken == ()
    assert len(KEYS) == len(list(DIRECTORY.glob("*.yaml"))) >= 10
    assert {loaded.notes for loaded in snapshot.prompts.values()} == {()}


CHAINS = [key for key in KEYS if LIBRARY.get(key).prompt.steps]
TEXTS = [key for key in KEYS if LIBRARY.get(key).prompt.has_text]


def test_there_is_a_chain_with_steps_side_by_side() -> None:
    chains = [LIBRARY.get(key).prompt for key in CHAINS]
    assert any(len(group) > 1 for chain in chains for group in groups(chain.steps or ()))


@pytest.mark.parametrize("key", TEXTS)
def test_a_prompt_renders_with_its_defaults(key: str) -> None:
    prompt = LIBRARY.get(key).prompt
    rendered = compose(prompt, fill(prompt.variables, {}))
    texts = [rendered.text] if rendered.messages is None else [message.content for message in rendered.messages]
    assert all(text and text.strip() and not placeholders(text) for text in texts)


@pytest.mark.parametrize("key", TEXTS)
def test_a_body_goes_through_the_editor_unchanged(key: str) -> None:
    prompt = LIBRARY.get(key).prompt
    assert parse_body(dump_body(prompt), prompt).digest == prompt.digest


@pytest.mark.parametrize(
    ("error", "variant"),
    [
        ("0", "celebrate"),
        ("449.99", "celebrate"),
        ("450", "encourage"),
        ("2000", "encourage"),
        ("2000.01", "tease"),
        ("1e6", "tease"),
    ],
)
def test_the_bands_of_jay(error: str, variant: str) -> None:
    prompt = LIBRARY.get("jay_trainer").prompt
    rendered = compose(prompt, fill(prompt.variables, {"error": error, "attempts": "900, 700.5"}))
    assert rendered.variant == variant
    assert rendered.messages is not None
    assert rendered.messages[-1].content.endswith("Attempts: 900, 700.5")
