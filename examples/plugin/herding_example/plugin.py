"""The functions that Herding calls: each returns what this package adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from herding.plugins import hookimpl
from herding_example.checks import ends_with
from herding_example.filters import MaskDigits, without_words
from herding_example.loaders import read_properties
from herding_example.nodes import ReverseConfig
from herding_example.policies import first_good
from herding_example.sources import read_property

herding_api = 1
"""The version of the hooks that this plugin is written for."""


@hookimpl
def herding_node_kinds() -> list[type]:
    """Add the kind `reverse`."""
    return [ReverseConfig]


@hookimpl
def herding_checks() -> Mapping[str, Callable[[str, Any], str | None]]:
    """Add the check `ends_with`."""
    return {"ends_with": ends_with}


@hookimpl
def herding_document_loaders() -> Mapping[str, Callable[[bytes, str], str]]:
    """Read files that end in `.properties`."""
    return {"properties": read_properties}


@hookimpl
def herding_variable_sources() -> Mapping[str, Callable[..., Any]]:
    """Add the source `property`."""
    return {"property": read_property}


@hookimpl
def herding_response_filters() -> Mapping[str, Callable[..., Any]]:
    """Add the filters `without_words` and `mask_digits`."""
    return {"without_words": without_words, "mask_digits": MaskDigits}


@hookimpl
def herding_routing_policies() -> Mapping[str, Callable[..., Any]]:
    """Add the policy `first_good`."""
    return {"first_good": first_good}
