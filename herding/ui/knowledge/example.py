"""A small collection to try: the handbook of a bakery."""

from __future__ import annotations

from collections.abc import Sequence

from herding.knowledge.documents import uploaded_document
from herding.values import NewDocument

NAME = "docs"
"""The collection that the prompt collection_question searches."""

DESCRIPTION = "Example: the handbook of a bakery"
QUESTION = "Can I bring a cake back?"

_TEXTS = {
    "opening_hours.md": """\
# Opening hours

From Tuesday to Saturday the shop opens at 7 in the morning and closes at 6 in the evening. On Sunday it is open
from 8 to noon. It stays closed on Monday.

# Orders by phone

Orders for the next day are taken until 4 in the afternoon. Cakes need two days.
""",
    "returns.md": """\
# Returns

Bread and rolls are replaced on the day of the purchase if something is wrong with them. Please bring the receipt.

Cakes that were made to order can't be returned. If a cake arrives damaged, send a photo within 24 hours and the
price is refunded.
""",
    "sourdough.md": """\
# Sourdough bread

The starter is fed with equal parts of rye flour and water the evening before. The dough rests for four hours at
24 °C and is folded every 45 minutes.

# Baking

Bake at 250 °C with steam for 15 minutes, then at 210 °C for another 35 minutes.
""",
}


def example_documents() -> Sequence[NewDocument]:
    """Return the documents of the example."""
    return [uploaded_document(name, text.encode(), param="files") for name, text in _TEXTS.items()]
