"""The models that an engine may load."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from herding.errors import ConfigError, NotFoundError

CRIA = "herding/cria"
"""Id of the bundled model."""

_WEIGHTS = Path(__file__).parent / "cria" / "weights"
_ID = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?")


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that may be loaded: from `path`, or from the hub where there is none."""

    id: str
    path: Path | None = None
    bundled: bool = False


def parse_offer(text: str) -> Offer:
    """Read `ID` or `ID=PATH`."""
    name, separator, path = text.partition("=")
    if not _ID.fullmatch(name):
        raise ConfigError(f"'{name}' is not a model id; write it as owner/name.")
    if separator and not path:
        raise ConfigError(f"The offer '{text}' has no path after '='.")
    if name == CRIA and not separator:
        return Offer(CRIA, _WEIGHTS, bundled=True)
    return Offer(name, Path(path).expanduser() if separator else None)


class Offers:
    """The offered models by id; the bundled one is always among them."""

    def __init__(self, offers: Iterable[Offer] = ()) -> None:
        self._by_id = {CRIA: parse_offer(CRIA)} | {offer.id: offer for offer in offers}

    def __iter__(self) -> Iterator[Offer]:
        return iter(self._by_id.values())

    def get(self, model: str) -> Offer:
        """The offer of `model`; NotFoundError when it is not offered."""
        offer = self._by_id.get(model)
        if offer is None:
            raise NotFoundError(
                f"This engine does not offer '{model}'. Offered: {', '.join(self._by_id)}.", param="model"
            )
        return offer
