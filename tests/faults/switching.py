"""How a safeguard is switched off: an attribute of production code gets another value."""

from collections.abc import Callable
from typing import Any

Put = Callable[[Any, str, Any], None]
"""``setattr``, or pytest's that takes it back."""
