"""Everything on one machine: real servers, the supervisor and the proxy."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from notifier.embedded.ports import LOOPBACK, free_port
from notifier.embedded.postgres import PostgresServer
from notifier.embedded.proxy import Mode, Proxy
from notifier.embedded.supervisor import Backoff, Program, Supervisor
from notifier.embedded.valkey import ValkeyServer
from notifier.errors import ConfigError
from tests.ports import answers

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")


def eventually(holds: Callable[[], bool], what: str, timeout: float = 10.0) -> None:
    """Poll until it holds."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Tell whether a process still does anything; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def script(text: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python program that prints one line when it is ready."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def answer(program: subprocess.Popen[str], count: int) -> list[int]:
    """Read the process ids of that line; a program that failed prints too few."""
    assert program.stdout is not None
    pids = [int(word) for word in program.stdout.readline().split()]
    assert len(pids) == count
    return pids


def kill_hard(program: subprocess.Popen[str]) -> None:
    """End a program so that nothing of its own clean-up runs."""
    program.kill()
    program.communicate()


# --- PostgreSQL ---------------------------------------------------------------------------------------------


def test_two_workers_claim_different_rows(database_url: str) -> None:
    """SKIP LOCKED, on which every claim rests, works on the fresh database of a test."""
    with psycopg.connect(database_url) as one, psycopg.connect(database_url) as other:
        one.execute("CREATE TABLE claimable AS SELECT generate_series(1, 2) AS id")
        one.commit()
        claim = "SELECT id FROM claimable ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"

        first, second = one.execute(claim).fetchone(), other.execute(claim).fetchone()

    assert (first, second) == ((1,), (2,))


def test_committed_rows_survive_kill_9(postgres_server: PostgresServer, database_url: str) -> None:
    """PostgreSQL killed with all its processes comes back on the same port with what was committed."""
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
    pid = postgres_server.pid

    postgres_server.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(database_url)
    postgres_server.restart()

    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (42,)
    assert postgres_server.pid != pid


def test_a_wrong_password_is_refused(postgres_server: PostgresServer) -> None:
    """Loopback alone opens nothing: other users of the machine need the password."""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_server.url(user="postgres", password="guess"))


def test_a_durable_server_keeps_every_safeguard_on(server_directory: Path) -> None:
    """By default commits wait for the disk, as the benchmarks and the demo claim."""
    with PostgresServer(server_directory / "pg") as server, psycopg.connect(server.url()) as connection:
        settings = [
            connection.execute(f"SHOW {name}").fetchone()
            for name in ("fsync", "full_page_writes", "synchronous_commit")
        ]

    assert settings == [("on",)] * 3


def test_a_second_start_goes_on_with_the_data(server_directory: Path) -> None:
    """Stopping and starting on the same directory, even by another object and port, keeps the data."""
    with (
        PostgresServer(server_directory / "pg", durable=False) as server,
        psycopg.connect(server.url()) as connection,
    ):
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    with ValkeyServer(server_directory / "vk") as valkey, redis.Redis.from_url(valkey.url()) as client:
        client.set("kept", 7)

    with (
        PostgresServer(server_directory / "pg", durable=False) as server,
        psycopg.connect(server.url()) as connection,
    ):
        assert connection.execute("SELECT value FROM kept").fetchone() == (7,)
    with ValkeyServer(server_directory / "vk") as valkey, redis.Redis.from_url(valkey.url()) as client:
        assert client.get("kept") == b"7"


def test_a_second_start_beside_a_running_one_says_so(postgres_server: PostgresServer) -> None:
    """Two servers never share a directory; the error names the process that has it."""
    second = PostgresServer(postgres_server.home.directory, durable=False)

    with pytest.raises(ConfigError, match=f"already running on this directory.*process {os.getpid()}"):
        second.start()

    assert postgres_server.pid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_data_of_another_user_is_named_with_its_mend(server_directory: Path) -> None:
    """A data directory left by another user id is not touched; the error says how to go on."""
    server = PostgresServer(server_directory / "pg", durable=False)
    server.start().stop()
    os.chown(server.data, 54_321, 54_321)

    with pytest.raises(ConfigError, match=r"left by another user \(id 54321\).*chown -R") as caught:
        server.start()

    assert caught.value.file == server.data
    assert server.data.stat().st_uid == 54_321


def test_a_taken_port_is_named(server_directory: Path) -> None:
    """Whoever asks for a port that is in use is told which."""
    with socket.create_server((LOOPBACK, free_port())) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigError, match=f"port {port} is taken"):
            ValkeyServer(server_directory / "vk", port=port).start()


# --- Valkey -------------------------------------------------------------------------------------------------


def test_streams_survive_kill_9(valkey_server: ValkeyServer, redis_url: str) -> None:
    """What XADD put into a stream, and the append-only file has, is there after kill -9."""
    with redis.Redis.from_url(redis_url) as client:
        client.xadd("intake", {"event": "1"})
        # Synced once a second: until then, and longer beside a busy disk, the file may lack it.
        assert client.waitaof(1, 0, 10_000)[0] == 1

    valkey_server.kill()
    assert valkey_server.pid is None
    valkey_server.restart()

    with redis.Redis.from_url(redis_url) as client:
        assert client.xlen("intake") == 1


@pytest.mark.parametrize("is_running", [True, False])
def test_wipe_loses_everything(valkey_server: ValkeyServer, redis_url: str, is_running: bool) -> None:  # noqa: FBT001
    """A fault test can bring Valkey back empty, whether it was up or killed."""
    with redis.Redis.from_url(redis_url) as client:
        client.set("key", "value")
    if not is_running:
        valkey_server.kill()

    valkey_server.wipe()
    valkey_server.restart()

    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


# --- Whoever starts a server or process dies ----------------------------------------------------------------

OWNER = """
    import sys, time
    from pathlib import Path
    from notifier.embedded.leash import leash
    from notifier.embedded.postgres import PostgresServer
    from notifier.embedded.valkey import ValkeyServer

    directory = Path(sys.argv[1])
    postgres = PostgresServer(directory / "pg", durable=False).start()
    valkey = ValkeyServer(directory / "vk").start()
    print(postgres.pid, valkey.pid, leash._watcher.pid, flush=True)
    time.sleep(600)
"""


def test_servers_end_when_their_owner_is_killed(server_directory: Path) -> None:
    """SIGKILL of the process that started them leaves no server behind."""
    owner = script(OWNER, server_directory)
    pids = answer(owner, 3)
    assert all(runs(pid) for pid in pids)

    kill_hard(owner)

    eventually(lambda: not any(runs(pid) for pid in pids), "servers and watcher gone")


def test_a_start_takes_over_what_a_dead_owner_left_running(server_directory: Path) -> None:
    """Even if the watcher died with the owner, the next start ends the old server and goes on."""
    owner = script(OWNER, server_directory)
    postgres, valkey, watcher = answer(owner, 3)
    os.kill(watcher, signal.SIGKILL)
    kill_hard(owner)
    assert runs(postgres)
    assert runs(valkey)

    with (
        PostgresServer(server_directory / "pg", durable=False) as server,
        psycopg.connect(server.url()) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with ValkeyServer(server_directory / "vk") as server, redis.Redis.from_url(server.url()) as client:
        assert client.ping()

    assert not runs(postgres)
    assert not runs(valkey)


STUBBORN = """
    import subprocess, sys, time
    from notifier.embedded.supervisor import Program, Supervisor

    child = '''
    import signal, subprocess, sys, time
    # Ignored signals stay ignored over fork and exec: the grandchild is as stubborn.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    grandchild = subprocess.Popen([sys.executable, "-Sc", "import time; time.sleep(600)"])
    open(sys.argv[1], "w").write(f"{grandchild.pid}\\\\n")
    time.sleep(600)
    '''
    import textwrap
    supervisor = Supervisor()
    argv = (sys.executable, "-c", textwrap.dedent(child), sys.argv[1])
    supervisor.start(Program(name="stubborn", argv=argv, grace=0.3))
    while True:
        try:
            text = open(sys.argv[1]).read()
        except FileNotFoundError:
            text = ""
        if text.endswith("\\n"):
            break
        time.sleep(0.01)
    print(supervisor.pid("stubborn"), text.strip(), flush=True)
    if sys.argv[2] == "stop":
        supervisor.stop()
    elif sys.argv[2] == "exit":
        sys.exit()
    time.sleep(600)
"""


@pytest.mark.parametrize("ending", ["kill", "exit", "stop", "interrupt"])
def test_a_supervisor_leaves_nothing_behind(tmp_path: Path, ending: str) -> None:
    """Children and theirs that ignore SIGTERM are gone after SIGKILL, Ctrl-C, exit without stop, and stop."""
    owner = script(STUBBORN, tmp_path / "grandchild", ending)
    pids = answer(owner, 2)

    if ending == "kill":
        owner.kill()
    elif ending == "interrupt":
        owner.send_signal(signal.SIGINT)

    eventually(lambda: not any(runs(pid) for pid in pids), "child and grandchild gone")
    kill_hard(owner)


# --- The supervisor -----------------------------------------------------------------------------------------


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """A supervisor that restarts quickly."""
    with Supervisor(backoff=Backoff(first=0.05, ceiling=0.2)) as running:
        yield running


def test_a_killed_child_is_started_again(supervisor: Supervisor) -> None:
    """A process that dies comes back under a new number, and is counted."""
    supervisor.start(Program(name="worker", argv=SLEEPER))
    before = supervisor.pid("worker")

    supervisor.kill("worker")

    eventually(lambda: supervisor.pid("worker") not in (None, before), "a new process")
    assert supervisor.restarts("worker") == 1
    assert supervisor.alive() == {"worker": True}


def test_a_child_that_keeps_failing_waits_longer_each_time(supervisor: Supervisor, tmp_path: Path) -> None:
    """A crash loop does not eat the machine, and its output is in the log."""
    log = tmp_path / "logs" / "broken.log"
    started = time.monotonic()

    supervisor.start(Program(name="broken", argv=(sys.executable, "-Sc", "raise SystemExit('no')"), log=log))
    eventually(lambda: supervisor.restarts("broken") >= 3, "three restarts")

    assert time.monotonic() - started >= 0.05 + 0.1 + 0.2
    assert log.read_text().splitlines()[:2] == ["no", "no"]


def test_children_stop_at_once(tmp_path: Path) -> None:
    """Each may take its time to end in order, and the time is that of the slowest, not the sum."""
    diary = tmp_path / "diary"
    child = textwrap.dedent("""
        import signal, sys, time
        def end(*_):
            time.sleep(2)
            open(sys.argv[1], "a").write("ended\\n")
            sys.exit()
        signal.signal(signal.SIGTERM, end)
        open(sys.argv[1], "a").write("ready\\n")
        time.sleep(600)
    """)
    with Supervisor() as supervisor:
        for name in "abcde":
            supervisor.start(Program(name=name, argv=(sys.executable, "-Sc", child, str(diary))))
        eventually(lambda: diary.exists() and diary.read_text().count("ready") == 5, "all are ready")
        started = time.monotonic()

    assert time.monotonic() - started < 8
    assert diary.read_text().count("ended") == 5


def test_a_deaf_child_is_killed_after_its_own_grace(tmp_path: Path) -> None:
    """And the others are not made to wait for more, nor cut short."""
    log = tmp_path / "log"
    deaf = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    supervisor = Supervisor()
    supervisor.start(Program(name="deaf", argv=(sys.executable, "-Sc", deaf), log=log, grace=0.3))
    supervisor.start(Program(name="good", argv=SLEEPER))
    eventually(lambda: log.exists() and "deaf" in log.read_text(), "it is deaf")
    pids = [supervisor.pid(name) for name in ("deaf", "good")]
    started = time.monotonic()

    supervisor.stop()

    assert 0.3 <= time.monotonic() - started < 5
    assert supervisor.alive() == {}
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)


def test_a_stopped_child_stays_down(supervisor: Supervisor) -> None:
    """One program can be taken away while the others go on."""
    supervisor.start(Program(name="goes", argv=SLEEPER))
    supervisor.start(Program(name="stays", argv=SLEEPER))

    supervisor.stop("goes")

    assert supervisor.alive() == {"stays": True}


# --- The proxy ----------------------------------------------------------------------------------------------


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    port = free_port()
    program = textwrap.dedent("""
        import socketserver, sys
        class Echo(socketserver.BaseRequestHandler):
            def handle(self):
                while data := self.request.recv(65536):
                    self.request.sendall(data)
        socketserver.ThreadingTCPServer.allow_reuse_address = True
        socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
    """)
    with Supervisor() as supervisor:
        supervisor.start(Program(name="echo", argv=(sys.executable, "-c", program, str(port)), grace=0.1))
        eventually(lambda: answers(port), "the echo server listens")
        yield port


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    """A proxy before the echo server."""
    with Proxy(echo) as running:
        yield running


def _dial(proxy: Proxy, timeout: float = 5.0) -> socket.socket:
    return socket.create_connection((LOOPBACK, proxy.port), timeout=timeout)


def test_the_proxy_passes_bytes_and_both_ends_of_file(proxy: Proxy) -> None:
    """In mode pass nobody notices it, down to a megabyte behind a half-closed connection."""
    sent = os.urandom(1_000_000)
    with _dial(proxy) as connection, connection.makefile("rb") as received:
        connection.sendall(sent[:10])
        assert received.read(10) == sent[:10]

        got = bytearray()
        for start in range(10, len(sent), 50_000):
            connection.sendall(sent[start : start + 50_000])
            got += received.read(len(sent[start : start + 50_000]))
        connection.shutdown(socket.SHUT_WR)

        assert bytes(got) == sent[10:]
        assert received.read() == b""


def test_a_cut_resets_and_refuses_until_it_is_mended(proxy: Proxy) -> None:
    """Open connections get RST, new ones are refused; afterwards the same port works again."""
    with _dial(proxy) as connection:
        connection.sendall(b"a")
        assert connection.recv(1) == b"a"

        proxy.set_mode(Mode.CUT)

        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionRefusedError):
        _dial(proxy)

    proxy.set_mode(Mode.PASS)

    with _dial(proxy) as connection:
        connection.sendall(b"b")
        assert connection.recv(1) == b"b"


def test_a_half_open_network_swallows_and_says_nothing(proxy: Proxy) -> None:
    """Old and new connections hang; once mended, those that lost bytes are reset, never resumed."""
    with _dial(proxy, timeout=0.2) as old:
        old.sendall(b"a")
        assert old.recv(1) == b"a"

        proxy.set_mode(Mode.HALF_OPEN)

        with _dial(proxy, timeout=0.2) as new:
            for connection in (old, new):
                connection.sendall(b"lost")
                with pytest.raises(TimeoutError):
                    connection.recv(1)

            proxy.set_mode(Mode.PASS)

            for connection in (old, new):
                with pytest.raises(ConnectionResetError):
                    connection.recv(1)


def test_a_slow_network_delays_by_latency_and_bandwidth(proxy: Proxy) -> None:
    """Each direction waits its latency, and its share of the bandwidth."""
    proxy.set_mode(Mode.SLOW, latency=0.05, bandwidth=10_000)

    with _dial(proxy) as connection:
        started = time.monotonic()
        connection.sendall(b"x" * 1_000)
        with connection.makefile("rb") as received:
            received.read(1_000)

    assert 0.3 <= time.monotonic() - started < 10


# --- Ports --------------------------------------------------------------------------------------------------


def test_ports_differ_and_lie_below_the_ephemeral_range() -> None:
    """A dialling client can never be given a restarting server's port as its own source."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    ports = [free_port() for _ in range(50)]

    assert len(set(ports)) == 50
    assert max(ports) < lowest
