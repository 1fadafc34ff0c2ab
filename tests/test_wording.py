"""The product speaks in the field's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.wording import findings

ROOT = Path(__file__).resolve().parent.parent


def test_no_text_uses_a_word_of_the_list() -> None:
    found = findings(ROOT)
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("herding/ui/x.py", 'LABEL = "Figures"'),
        ("herding/ui/x.py", 'raise UserError(f"Mend {name} before you run.")'),
        ("herding/api/x.py", 'def f():\n    """Whether it is so."""'),
        ("herding/api/x.py", 'LIMIT = 3\n"""How many whoever may have."""'),
        ("herding/store/x.py", "def open(shelf): ..."),
        ("herding/store/x.py", "class Shelf: ..."),
        ("herding/ui/assets/x.js", 'say("Draft kept")'),
        ("docs/x.md", "The contract of a prompt."),
    ],
)
def test_a_planted_word_is_found(tmp_path: Path, file: str, text: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(f"{text}\n", encoding="utf-8")
    found = findings(tmp_path)
    assert found
    assert all(one.place.startswith(f"{file}:") for one in found)
