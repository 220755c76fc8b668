"""The command ``notifier serve``."""

import click


@click.command()
@click.option("--host", help="Address to listen on; web_host of the settings unless given.")
@click.option("--port", type=click.IntRange(0, 65535), help="web_port of the settings unless given.")
@click.option("--openapi", is_flag=True, help="Describe the API at /openapi.json.")
def serve(host: str | None, port: int | None, *, openapi: bool) -> None:
    """Answer over HTTP: /livez, /readyz, /metrics; the links of messages; SMS that come in."""
    # The command's help must not wait for the server's libraries.
    from notifier.bootstrap import Services  # noqa: PLC0415
    from notifier.web.serve import serve as run  # noqa: PLC0415

    run(Services(process="web"), host=host, port=port, openapi=openapi)
