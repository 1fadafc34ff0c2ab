"""The database: the history of requests with their scores and comments, prompts, users, tokens, use of limits.

The only room that knows SQLModel, SQLAlchemy and Alembic.
"""

from herding.store.history import Facets
from herding.store.store import Store, StoreStatus, now_ms

__all__ = ["Facets", "Store", "StoreStatus", "now_ms"]
