"""The state of one session's Nodes tab."""

from __future__ import annotations

from dataclasses import dataclass, replace

from herding.errors import UserError

PAGE = 12
"""Nodes on a page."""


@dataclass(frozen=True, slots=True)
class ListedNode:
    """A node as it was drawn last: its name, the models it can load, and whether it can be removed."""

    name: str
    models: tuple[str, ...]
    removable: bool


@dataclass(frozen=True)
class NodesState:
    """The nodes of the page; a refresh does not touch the controls of a node that is still the same.

    `can_manage` is whether the form is shown, `first` the index of the first node of the page.
    """

    nodes: tuple[ListedNode, ...] = ()
    can_manage: bool = False
    first: int = 0

    def turn_page(self, pages: int) -> NodesState:
        """Return the state some pages on."""
        return replace(self, first=max(0, self.first + pages * PAGE))

    def name_of(self, slot: int) -> str:
        """Return the name of the node in a slot; raise UserError if the slot is empty."""
        if slot >= len(self.nodes):
            raise UserError("Node not found. It may have been removed.", param="node")
        return self.nodes[slot].name
