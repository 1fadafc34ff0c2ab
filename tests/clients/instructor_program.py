"""Uses instructor as an application does and prints what it got as JSON. Arguments: URL, key and model of each way."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

import instructor
import openai
from pydantic import BaseModel, field_validator


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


class Adult(Person):
    """Somebody whose first description is refused, so that the model is asked again."""

    @field_validator("age")
    @classmethod
    def _is_adult(cls, age: int) -> int:
        if len(REQUESTS) < 2:
            raise ValueError("ask me again")
        return age


REQUESTS: list[Any] = []
SAID: Any = [{"role": "user", "content": "'Ada' is 36."}]


def use(url: str, key: str, model: str) -> dict[str, Any]:
    """The results by the name of the mode."""
    REQUESTS.clear()
    got: dict[str, Any] = {}
    with openai.OpenAI(base_url=url, api_key=key, max_retries=0) as sdk:
        for mode in (instructor.Mode.TOOLS, instructor.Mode.TOOLS_STRICT, instructor.Mode.JSON_SCHEMA):
            client = instructor.from_openai(sdk, mode=mode)
            person = client.chat.completions.create(model=model, messages=SAID, response_model=Person)
            got[mode.value] = person.model_dump()
        client = instructor.from_openai(sdk)
        parts = client.chat.completions.create_partial(model=model, messages=SAID, response_model=Person)
        got["partial"] = [part.model_dump() for part in parts][-1]
        people = client.chat.completions.create(model=model, messages=SAID, response_model=Iterable[Person])
        got["iterable"] = [person.model_dump() for person in people]
        client.on("completion:kwargs", lambda *_, **asked: REQUESTS.append(asked))
        client.chat.completions.create(model=model, messages=SAID, response_model=Adult, max_retries=2)
        got["requests"] = len(REQUESTS)
    return got


ways = zip(*[iter(sys.argv[1:])] * 3, strict=True)
print(json.dumps([use(*way) for way in ways]))  # noqa: T201
