"""Make the services out of the settings: the only wiring. Each part is made when it is first asked for."""

from notifier.bootstrap.services import Services

__all__ = ["Services"]
