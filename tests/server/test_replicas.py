"""Fills by replicas on Ray (extra `ray`): the answers of one process, whichever replica makes them and
whoever is killed meanwhile.
"""

import contextlib
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx2 as httpx
import numpy as np
import pytest
from click.testing import CliRunner

from maskmend.cli import main
from maskmend.images.picture import picture_from
from maskmend.inference import cluster
from maskmend.server.app import create_app
from maskmend.server.queue import Job
from maskmend.server.registry import Catalogue
from maskmend.server.replicas import Replicas
from maskmend.server.settings import Limits, ServeConfig
from maskmend.server.workers import Abandoned
from server_parts import IMAGE_FILE, MASK, MASK_FILE, PIXELS, client_of, form, pixels_of, until
from test_no_session import session

NAME = f"tests-{os.getpid()}"
PATIENCE = 900
"""Seconds for a replica to start, on a machine that is busy with other work."""


def test_without_ray_the_extra_is_named(monkeypatch):
    """Catches a traceback, or advice that installs something else."""
    monkeypatch.setitem(sys.modules, "ray", None)
    ran = CliRunner().invoke(main, ["serve", "--engine", "ray", "--port", "0"], prog_name="maskmend")
    assert ran.exit_code == 2
    assert "\nmaskmend: the engine ray needs Ray: pip install '.[ray]'" in ran.stderr


def test_a_cluster_that_hangs_does_not_keep_the_server_from_ending(monkeypatch):
    """Catches a server that never ends, as its check of the replicas never returns."""
    deleted = []
    ray = SimpleNamespace(serve=SimpleNamespace(delete=deleted.append))
    for name, module in (("ray", ray), ("ray.serve", ray.serve)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("maskmend.server.replicas.LAST_CHECK_SECONDS", 0.01)
    never = threading.Event()
    replicas = Replicas(Catalogue([]), None, "app", own=False)
    replicas._watch = threading.Thread(target=never.wait, daemon=True)
    replicas._watch.start()
    stopping = threading.Thread(target=replicas.stop, daemon=True)
    stopping.start()
    stopping.join(60)
    assert not stopping.is_alive()
    assert deleted == ["app"]
    never.set()


def test_replicas_without_their_engine_are_a_mistake():
    """Catches replicas that were asked for and silently not made."""
    ran = CliRunner().invoke(main, ["serve", "--replicas", "3"], prog_name="maskmend")
    assert (ran.exit_code, "--engine ray" in ran.stderr) == (2, True)


@pytest.fixture(scope="module")
def replicas(tiny_model):
    """Two replicas of the tiny model."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    pytest.importorskip("ray.serve", reason="Ray Serve is not installed: pip install '.[ray]'")
    os.environ.setdefault("RAY_worker_niceness", "0")  # else they starve where the machine has other work
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    config = ServeConfig(engine="ray", replicas=2, models=(str(tiny_model),), limits=Limits(drain=5.0))
    replicas = Replicas.start(config, Catalogue.open(config.models, "cpu"), name=NAME)
    until(lambda: replicas.running == 2, PATIENCE)
    replicas.config = config
    yield replicas
    replicas.stop()
    ray.shutdown()


def processes():
    """Process numbers of the replicas that are there."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:  # it ended
                continue
            if line.startswith(b"ray::") and f"ServeReplica:{NAME}".encode() in line:
                found.add(int(entry.name))
    return found


def listening(parent):
    """On which addresses a process and its descendants accept connections (Linux): (command, address)."""
    parents, commands, owners = {}, {}, {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):  # it ended, or is no process
            number = int(entry.name)
            parents[number] = int((entry / "stat").read_text().rsplit(") ", 1)[1].split()[1])
            commands[number] = (entry / "cmdline").read_bytes()
            for opened in (entry / "fd").iterdir():
                with contextlib.suppress(OSError):  # closed meanwhile
                    owners[str(opened.readlink())] = number
    family, size = {parent}, 0
    while size < len(family):
        size = len(family)
        family |= {child for child, its in parents.items() if its in family}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            words = line.split()
            owner = owners.get(f"socket:[{words[9]}]")
            if words[3] == "0A" and owner in family:
                numbers = bytes.fromhex(words[1].partition(":")[0])  # 32 bits each, as the machine has them
                packed = b"".join(numbers[at : at + 4][::-1] for at in range(0, len(numbers), 4))
                address = ipaddress.ip_address(packed)
                found.append((commands[owner], getattr(address, "ipv4_mapped", None) or address))
    return found


def job(catalogue, told=None, **changes):
    options = {"samples": 2, "seed": 3, "settings": {"steps": 4}} | changes
    return Job(
        picture=picture_from(PIXELS),
        mask=MASK,
        model=catalogue.default,
        notify=(lambda what, detail: None) if told is None else told,
        **options,
    )


def ready(client):
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


# Ray warns of its own libraries, and of sockets that its threads close late.
on_ray = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def app(replicas):
    return create_app(replicas.config, replicas.catalogue, replicas)


class TestCommand:
    pytestmark = on_ray

    def test_it_serves_and_ends_as_it_should(self, tiny_model):
        """Catches an option that does not reach the replicas, a SIGTERM that loses what is under way, and a
        cluster that stays behind, or whose ports other machines can reach."""
        pytest.importorskip("ray.serve", reason="Ray Serve is not installed: pip install '.[ray]'")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = [
            "serve", "--engine", "ray", "--replicas", "2", "--port", str(port), "--model", str(tiny_model),
            "--drain", str(PATIENCE),
        ]  # fmt: skip
        environment = {**os.environ, "RAY_worker_niceness": "0"}
        for name in (cluster.ADDRESS, cluster.NETWORK):
            environment.pop(name, None)
        server = subprocess.Popen(
            [sys.executable, "-m", "maskmend", *words], env=environment, stdout=subprocess.PIPE, text=True
        )
        answers = []
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
                until(lambda: ready(client), PATIENCE)
                ports = listening(server.pid)
                assert len(ports) > 5  # those of Ray
                wide = {command for command, address in ports if not address.is_loopback}
                # Those through which replicas call each other: Serve has no option for their address.
                assert all(command.startswith(b"ray::ServeReplica") for command in wide), wide

                def ask():
                    files = {"image": IMAGE_FILE, "mask": MASK_FILE}
                    answers.append(client.post("/v1/inpaint", files=files, data={"steps": 60, "samples": 8}))

                asking = threading.Thread(target=ask)
                asking.start()
                begun = b"maskmend_places_taken 1.0"
                until(lambda: answers or begun in client.get("/metrics").content, PATIENCE)
                server.send_signal(signal.SIGTERM)
                asking.join()
            assert server.wait(PATIENCE) == 0
        finally:
            server.kill()
        assert [answer.status_code for answer in answers] == [200]


class TestReplicas:
    pytestmark = on_ray

    def test_a_session_is_answered_as_by_one_process(self, replicas, app, client):
        """Catches what is lost or changed on the way to a replica and back, events and notes included."""
        with client_of(app) as other:
            told, alone = session([other]), session([client])
        for one, two in zip(told, alone, strict=True):
            if one[0] != "/v1/models":  # another name
                assert [str(line).replace('"tiny"', "") for line in one[2:]] == [
                    str(line).replace('"tiny"', "") for line in two[2:]
                ], one[0]

    def test_many_at_once_are_shared_out_and_come_out_as_if_alone(self, replicas, app, tiny_pipeline):
        """Catches answers that go to another request, and a second replica that is never asked."""
        spent = {pid: cpu_seconds(pid) for pid in processes()}
        with client_of(app) as client, ThreadPoolExecutor(6) as pool:
            assert "\nmaskmend_replicas 2.0\n" in client.get("/metrics").text

            def ask(seed):
                settings = {"seed": seed, "steps": 2 + seed % 5}  # six kinds: few batches
                return client.post("/v1/inpaint", files=form(), data=settings)

            answers = list(pool.map(ask, range(40)))
        for seed, answer in enumerate(answers):
            alone = tiny_pipeline(PIXELS, MASK, seed=seed, steps=2 + seed % 5)
            np.testing.assert_array_equal(pixels_of(answer.content), alone.pictures[0].pixels)
        assert len(spent) == 2
        for pid, before in spent.items():
            assert cpu_seconds(pid) > before

    def test_each_request_may_go_to_another_replica(self, replicas, app, tiny_pipeline):
        """Catches what a replica keeps for later: all are killed and made anew before the next request."""
        with client_of(app) as client:
            for seed in (7, 8):
                answer = client.post("/v1/inpaint", files=form(), data={"seed": seed, "steps": 3})
                alone = tiny_pipeline(PIXELS, MASK, seed=seed, steps=3)
                np.testing.assert_array_equal(pixels_of(answer.content), alone.pictures[0].pixels)
                for pid in processes():
                    os.kill(pid, signal.SIGKILL)
                until(lambda: replicas.running == 2 and len(processes()) == 2, PATIENCE)

    def test_a_replica_that_dies_costs_no_request(self, replicas, tiny_pipeline):
        """Catches a fill that is lost with its replica, and one that is made anew from another seed."""
        done, killed = [], []

        def told(what, detail):
            if what == "step" and not killed:
                killed.extend(processes())
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)

        one = job(replicas.catalogue, told, watched=True, settings={"steps": 12})
        replicas.fill([one], lambda index, result: done.append((index, result)))
        alone = tiny_pipeline(PIXELS, MASK, samples=2, seed=3, steps=12)
        assert len(killed) == 2
        ((index, result),) = done
        assert index == 0
        for picture, wanted in zip(result.pictures, alone.pictures, strict=True):
            np.testing.assert_array_equal(picture.pixels, wanted.pixels)
        until(lambda: replicas.running == 2, PATIENCE)

    def test_readiness_is_that_of_the_replicas(self, replicas, app):
        """Catches a server that gets requests while no replica is there, or none when they are back."""
        with client_of(app) as client:
            for pid in processes():
                os.kill(pid, signal.SIGKILL)
            until(lambda: client.get("/readyz").status_code == 503, PATIENCE)
            answer = client.get("/readyz")
            if answer.status_code == 503:  # else they were made anew meanwhile
                assert answer.json()["error"]["code"] == "not_ready"
                assert answer.headers["Retry-After"] == "1"
            assert client.get("/healthz").status_code == 200
            until(lambda: client.get("/readyz").status_code == 200, PATIENCE)
            assert client.post("/v1/inpaint", files=form(), data={"steps": 2}).status_code == 200
            until(lambda: replicas.running == 2, PATIENCE)

    def test_more_requests_than_places_are_refused(self, replicas):
        """Catches a queue without limits in front of replicas, whose fills take no place of this process."""
        until(lambda: len(processes()) == 2, PATIENCE)
        app = create_app(replace(replicas.config, limits=Limits(places=2)), replicas.catalogue, replicas)
        stopped = processes()
        with client_of(app) as client, ThreadPoolExecutor(2) as pool:
            try:
                for pid in stopped:
                    os.kill(pid, signal.SIGSTOP)  # so that both places are taken for as long as it takes
                first = [
                    pool.submit(client.post, "/v1/inpaint", files=form(), data={"steps": steps})
                    for steps in (2, 3)
                ]
                until(lambda: app.state.service.queue.taken == 2, PATIENCE)
                refused = client.post("/v1/inpaint", files=form())
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "busy")
            assert int(refused.headers["Retry-After"]) >= 1
            assert [one.result().status_code for one in first] == [200, 200]

    def test_a_fill_that_nobody_waits_for_ends(self, replicas):
        """Catches a replica that goes on for a client that left, while others wait for it."""
        jobs, done = [], []

        def leave(what, detail):
            if what == "step":
                jobs[0].gone.set()

        jobs.append(job(replicas.catalogue, leave, watched=True, samples=8, settings={"steps": 16}))
        with pytest.raises(Abandoned):
            replicas.fill(jobs, lambda *result: done.append(result))
        assert done == []
        replicas.fill([job(replicas.catalogue)], lambda *result: done.append(result))
        assert len(done) == 1

    def test_an_error_of_ours_stays_ours(self, replicas, app):
        """Catches Ray's traceback, or a 503, where a picture cannot be filled by these settings."""
        with client_of(app) as client:
            answer = client.post("/v1/inpaint", files=form(), data={"label": "3"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "setting_invalid")


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
