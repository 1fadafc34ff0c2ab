"""A short address of a prompt, for pages and programs that were written for another service."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from herding.files import Strict

OWN = ("api", "v1", "docs", "openapi.json", "redoc", "metrics", "healthz", "readyz", "login", "logout", "gradio_api")
"""First parts of paths that mean something else here."""

QueryName = Annotated[str, Field(min_length=1, max_length=64)]
VariableName = Annotated[str, Field(min_length=1, max_length=64)]


class Alias(Strict):
    """`GET <path>?...` runs the prompt; `variables` maps names in the query to names of variables."""

    path: str = Field(pattern=r"^/[a-z0-9_-]+(/[a-z0-9_-]+){0,4}$", max_length=100)
    variables: dict[QueryName, VariableName] = Field(default_factory=dict, max_length=100)

    @field_validator("path")
    @classmethod
    def _is_free(cls, path: str) -> str:
        if path.split("/")[1] in OWN:
            raise ValueError(f"paths under /{path.split('/')[1]} are taken; choose another first word")
        return path
