"""The base of all tabs."""

from __future__ import annotations

from typing import ClassVar

from herding.orchestrator import Orchestrator
from herding.values import Principal


class Tab:
    """A tab of the page; its layout is built in `__init__`.

    key: its name in addresses and in the `allow_tabs` of roles.
    rights: without all of these the tab is hidden, whatever the role allows.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    rights: ClassVar[frozenset[str]]

    def __init__(self, orchestrator: Orchestrator) -> None:
        """Build the layout."""

    @classmethod
    def title(cls, principal: Principal) -> str:  # noqa: ARG003 (for tabs with a label per role)
        """Return the label for a principal."""
        return cls.label

    @classmethod
    def is_visible(cls, principal: Principal) -> bool:
        """Return True if the role allows the tab and has the rights to fill it."""
        return cls.key in principal.tabs and principal.rights >= cls.rights
