"""The retrieval of a prompt: which chunks of a collection fill one of its variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from herding.prompts.render import placeholders
from herding.yaml_files import FieldError, StrictModel

Filter = str | int | float | bool


class Retrieval(StrictModel):
    """Fills the variable `into` with up to `top_k` chunks of a collection that fit the question `query`.

    They have at most `max_tokens` tokens together; chunks that are less similar than `min_similarity` are left out.
    `filters` are values that a document's metadata must have. `query` and `filters` may contain placeholders.
    `rerank` is a model that reads more chunks than `top_k` and orders them by its own scores.
    """

    collection: Annotated[str, Field(min_length=1, max_length=64)]
    query: Annotated[str, Field(min_length=1, max_length=4_000)]
    into: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")] = "context"
    top_k: Annotated[int, Field(ge=1, le=50)] = 3
    max_tokens: Annotated[int, Field(ge=20, le=100_000)] = 1_000
    min_similarity: Annotated[float, Field(ge=-1, le=1)] = 0.2
    rerank: Annotated[str, Field(min_length=1, max_length=300, pattern=r"^\S+$")] | None = None
    filters: Annotated[dict[str, Filter | list[Filter]], Field(max_length=20)] = Field(default_factory=dict)

    def placeholders(self) -> Iterator[str]:
        """Yield the variables that the query and the filters use."""
        yield from placeholders(self.query)
        for value in self.filters.values():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, str):
                    yield from placeholders(item)

    def check(self, variables: Mapping[str, Any]) -> None:
        """Raise FieldError if a variable is not declared, or can't be filled with a text."""
        for name in self.placeholders():
            if name == self.into:
                raise FieldError(
                    f"the retrieval fills '{name}', so it can't be part of the query", "retrieval", "query"
                )
            if name not in variables:
                raise FieldError(f"'{name}' is not declared under variables", "retrieval", "query")
        if variables[self.into].type != "text":
            raise FieldError(f"'{self.into}' must be a variable of the type text", "retrieval", "into")


def with_filled_variable(data: Any) -> Any:
    """Return the data of a prompt in which the variable that its retrieval fills is declared, empty by default."""
    retrieval = data.get("retrieval") if isinstance(data, dict) else None
    if not isinstance(retrieval, dict):
        return data
    into, variables = retrieval.get("into", "context"), data.get("variables") or {}
    if not isinstance(into, str) or not isinstance(variables, dict):
        return data
    declared = variables.get(into, {})
    if not isinstance(declared, dict) or "default" in declared:
        return data
    return {**data, "variables": {**variables, into: {"type": "text", **declared, "default": ""}}}
