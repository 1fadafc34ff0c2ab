"""The database: requests with attempts and feedback, prompts, users, tokens, nodes, and the use of limits.

The only package that uses SQLModel, SQLAlchemy and Alembic.
"""

from herding.store.history import Facets
from herding.store.store import Store, StoreStatus, now_ms
