"""The ``notifier`` command. Each subcommand's module is imported only when it runs."""

from notifier.cli.group import cli

__all__ = ["cli", "main"]


def main() -> None:
    """Run the command: the entry point."""
    cli(prog_name="notifier")
