"""``python -m notifier.embedded``: each part of the machine-in-a-box as a process of its own.

Options only; each command imports what it runs, so that a small one starts fast.
"""

import signal
import sys
import threading
from pathlib import Path

import click

from notifier.errors import NotifierError

_HOST = click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; containers need 0.0.0.0."
)


@click.group()
def main() -> None:
    """Run parts of notifier's environment on this machine: for the demo, tests and benchmarks."""


@main.command()
@_HOST
@click.option("--smtp-port", type=int, default=1025, show_default=True)
@click.option("--http-port", type=int, default=8025, show_default=True)
@click.option("--directory", type=click.Path(path_type=Path), help="Keep the mails here over restarts.")
@click.option(
    "--behaviours", type=click.Path(path_type=Path, exists=True), help="YAML that replaces the table."
)
@click.option(
    "--certificate", type=click.Path(path_type=Path, exists=True), help="Key and certificate: offer STARTTLS."
)
def catcher(  # noqa: PLR0917 - click passes them by name
    host: str, smtp_port: int, http_port: int, directory: Path | None, behaviours: Path | None,
    certificate: Path | None,
) -> None:  # fmt: skip
    """Catch mails and show them on a page."""
    from notifier.embedded.catcher import behaviours as table  # noqa: PLC0415
    from notifier.embedded.catcher.process import run  # noqa: PLC0415
    from notifier.embedded.certificate import server_context  # noqa: PLC0415

    tls = server_context(certificate) if certificate else None
    chosen = table.read_table(behaviours) if behaviours else table.TABLE
    run(host=host, smtp_port=smtp_port, http_port=http_port, directory=directory, table=chosen, tls=tls)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--host", default="localhost", show_default=True, help="The name clients connect to.")
def certificate(file: Path, host: str) -> None:
    """Write key and certificate of a catcher into FILE, unless it is there; clients trust it as CA file."""
    from notifier.embedded.certificate import write_certificate  # noqa: PLC0415

    if not file.exists():
        write_certificate(file, host=host)


@main.command("sms-gateway")
@_HOST
@click.option("--port", type=int, default=8026, show_default=True)
@click.option("--account", default="AC" + "0" * 32, show_default=True, help="The account's SID.")
@click.option("--token", default="local", envvar="NOTIFIER_SMS_GATEWAY_TOKEN", help="The account's secret.")
def sms_gateway(host: str, port: int, account: str, token: str) -> None:
    """Stand in for Twilio's Messages API; sends nothing."""
    from notifier.embedded.sms_gateway import run  # noqa: PLC0415

    run(host=host, port=port, account=account, token=token)


@main.command()
@_HOST
@click.option("--port", type=int, default=2525, show_default=True)
@click.option("--count-port", type=int, help="Tell the counts here, over HTTP as JSON.")
@click.option(
    "--latency-ms", type=float, default=0.0, help="Hold each answer back, as a distant relay would."
)
def sink(host: str, port: int, count_port: int | None, latency_ms: float) -> None:
    """Swallow mails as fast as possible, for benchmarks."""
    from notifier.embedded.sink import run  # noqa: PLC0415

    run(host=host, port=port, count_port=count_port, latency=latency_ms / 1000)


@main.command()
@click.option("--directory", type=click.Path(path_type=Path), default=Path(".notifier"), show_default=True)
@click.option("--postgres-port", type=int, help="A free one unless given.")
@click.option("--valkey-port", type=int, help="A free one unless given.")
def servers(directory: Path, postgres_port: int | None, valkey_port: int | None) -> None:
    """Run PostgreSQL and Valkey until Ctrl-C; prints their addresses, which hold their passwords."""
    from notifier.embedded.postgres import PostgresServer  # noqa: PLC0415
    from notifier.embedded.valkey import ValkeyServer  # noqa: PLC0415

    told_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told_to_stop.set())
    with (
        PostgresServer(directory / "postgres", port=postgres_port) as postgres,
        ValkeyServer(directory / "valkey", port=valkey_port) as valkey,
    ):
        click.echo(postgres.url())
        click.echo(valkey.url())
        told_to_stop.wait()


@main.command()
@click.option("--once", is_flag=True, help="End after the table; exit code 1 if it is not as expected.")
@click.option(
    "--directory", type=click.Path(path_type=Path), default=Path(".notifier/demo"), show_default=True
)
def demo(directory: Path, *, once: bool) -> None:
    """Show everything at work on this machine, until Ctrl-C."""
    from notifier.embedded.demo import show  # noqa: PLC0415

    sys.exit(show(directory, is_once=once))


def run() -> None:
    """Run a command; an error of ours is told in its own words, without a traceback."""
    try:
        main(prog_name="python -m notifier.embedded")
    except NotifierError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    run()
