"""Pieces of a view that are asked for again and again, and replaced on the page only where they changed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from herding.ui.kit.format import el, join


def live(tag: str, id: str, *children: object, cls: str = "", **attributes: str | None) -> Markup:
    """Return an element that the swap `patch` replaces only if its content or its attributes changed.

    Where all its children have ids too, they are compared one by one, so that what did not change keeps its focus.
    """
    content = join(children)
    version = zlib.crc32(f"{content}{attributes}{cls}".encode())
    return el(tag, content, id=id, data_v=f"{version:x}", cls=cls, **attributes)


def fixed(tag: str, id: str, *children: object, cls: str = "", **attributes: str | None) -> Markup:
    """Return an element that the swap `patch` never replaces, such as a form that somebody may be filling."""
    return el(tag, *children, id=id, data_v="fixed", cls=cls, **attributes)


def every(seconds: float) -> str:
    """Return the trigger of a request that is sent again and again while the tab is open and the page visible."""
    return f"every {round(seconds * 1000)}ms [!document.hidden && !!this.closest('.view').offsetParent]"


def poll(url: str, target: str, *, seconds: float, event: str = "shown from:closest .view") -> Markup:
    """Return an empty element that asks for a piece while it is visible and patches it into the element `target`.

    `event` is one more trigger.
    """
    return live(
        "span",
        f"{target}-poll",
        hx_get=url,
        hx_trigger=f"{every(seconds)}, {event}",
        **patch(target),
    )


def patch(target: str) -> dict[str, Any]:
    """Return the attributes that patch the response of a request into the element with the id `target`."""
    return {"hx_target": f"#{target}", "hx_swap": "patch", "hx_ext": "patch"}


def out_of_band(pieces: Mapping[str, Markup | None]) -> Markup:
    """Return pieces that replace the content of the elements with their ids, beside the target of a request."""
    return join(el("div", html, id=name, hx_swap_oob="innerHTML") for name, html in pieces.items())
