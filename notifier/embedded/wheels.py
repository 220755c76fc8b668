"""Find the servers' programs inside their installed wheels, without importing those packages.

Importing them starts locks, warnings and plugins nobody here needs.
"""

from importlib.util import find_spec
from pathlib import Path

from notifier.errors import ConfigError


def installed(package: str) -> Path:
    """Return the folder of an installed package.

    Raises:
        ConfigError: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        mend = "pip install 'notifier[embedded]'"
        raise ConfigError(f"the package {package!r} is not installed", mend=mend)
    return Path(spec.submodule_search_locations[0])
