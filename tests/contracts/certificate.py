"""A self-signed certificate for servers in tests; it is also the authority that vouches for itself."""

from pathlib import Path

from notifier.embedded import certificate


def write_certificate(folder: Path, host: str = "localhost") -> Path:
    """Write key and certificate for ``host`` and 127.0.0.1 into one PEM file; usable as ``ca_file`` too."""
    return certificate.write_certificate(folder / f"{host}.pem", host=host)
