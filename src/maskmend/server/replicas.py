"""Fills by replicas on a Ray cluster (`maskmend serve --engine ray`), through Ray Serve's handles.

    clients ─► this process: security, uploads, limits, queue, batches, answers ─► replicas: fills

Everything except the fill itself runs in this process, with the same code as without Ray. Requests are
stateless, so any replica can fill them, and Serve picks the least busy one. When a replica dies, no request
is lost: another replica fills the batch again from the same seeds, with the same result, while Serve starts a
replacement. Serve's own HTTP proxy is not used, as it limits neither slow uploads nor slow readers.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from maskmend.inference.cluster import connect, import_ray
from maskmend.server.queue import Job
from maskmend.server.registry import Catalogue
from maskmend.server.replica import Replica, carried
from maskmend.server.settings import ServeConfig
from maskmend.server.workers import Abandoned, Filler

LOG = logging.getLogger("maskmend.server")

ATTEMPTS = 2
"""Replicas that may die while filling a batch before it counts as failed: the batch may be the cause."""
CHECK_SECONDS = 1.0
"""Seconds between two checks of the running replicas."""
LAST_CHECK_SECONDS = 5.0
"""Seconds that `stop` waits for a check to return: the server must end even where the cluster hangs."""


class Replicas(Filler):
    """The replicas of one server, created by `start` and ended by `stop`."""

    def __init__(self, catalogue: Catalogue, handle: Any, name: str, *, own: bool) -> None:
        self.catalogue, self.name = catalogue, name
        self.running = 0  # at the last check
        self._handle, self._own = handle, own
        self._failure: str | None = None
        self._stopped = threading.Event()
        self._watch = threading.Thread(target=self._check, name="maskmend-replicas", daemon=True)

    @classmethod
    def start(cls, config: ServeConfig, catalogue: Catalogue, name: str) -> "Replicas":
        """Requests the replicas from the cluster, without waiting until they run.

        `name` is the name of the Serve application; a leftover application of that name is replaced.

        Raises ConfigError if Ray is missing or its cluster cannot be reached.
        """
        serve = import_ray("serve").serve
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        own = connect()
        serve.start(proxy_location="Disabled", logging_config={"log_level": "WARNING"})
        deployment = serve.deployment(
            Replica,
            name="replica",
            num_replicas=config.replicas,
            max_ongoing_requests=config.workers,
            graceful_shutdown_timeout_s=config.limits.drain,
            graceful_shutdown_wait_loop_s=0.2,
            health_check_period_s=2,
            ray_actor_options={
                "num_cpus": config.replica_cpus,
                "num_gpus": int(config.device.startswith("cuda")),
            },
        )
        threads = max(1, int(config.replica_cpus))
        target = serve.RunTarget(
            target=deployment.bind(config.models, config.device, threads, config.workers),
            name=name,
            route_prefix=None,
        )
        (handle,) = serve.run_many([target], wait_for_applications_running=False)
        replicas = cls(catalogue, handle.options(stream=True), name, own=own)
        replicas._watch.start()
        return replicas

    def stop(self) -> None:
        """Ends the replicas, and the cluster if it was started for them."""
        import ray  # pyright: ignore[reportMissingImports]
        from ray import serve  # pyright: ignore[reportMissingImports]

        self._stopped.set()
        self._watch.join(LAST_CHECK_SECONDS)
        if self._own:
            ray.shutdown()
        else:
            serve.delete(self.name)

    @property
    def trouble(self) -> str | None:
        if self.running:
            return None
        return self._failure or "no replica is ready yet"

    def fill(self, batch: list[Job], finished: Callable[[int, Any], None]) -> None:
        """Like `workers.fill`, on any replica. Raises Abandoned; the replica's error; RuntimeError when
        `ATTEMPTS` replicas die while filling the batch."""
        from ray.exceptions import RayError, RayTaskError  # pyright: ignore[reportMissingImports]

        self.catalogue.entry(batch[0].model).loaded()  # responses need its sizes
        left = dict(enumerate(batch))
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._fill(left, finished)
            except RayTaskError:
                raise
            except RayError as error:
                if not left:
                    return
                LOG.warning("a replica was lost while it filled %d pictures: %s", len(left), _line(error))
                if attempt == ATTEMPTS:
                    raise RuntimeError(f"{ATTEMPTS} replicas were lost over this fill") from error
            else:
                return

    def _fill(self, left: dict[int, Job], finished: Callable[[int, Any], None]) -> None:
        """Fills the jobs in `left`, and removes each one that is filled."""
        places, jobs = list(left), list(left.values())
        stream = self._handle.fill.remote([carried(job) for job in jobs])
        try:
            for place, what, detail in stream:
                if all(job.gone.is_set() for job in jobs):
                    raise Abandoned
                if what == "failed":
                    raise detail
                if place is None:
                    continue
                if what == "filled":
                    job = left.pop(places[place])
                    finished(places[place], replace(detail, source=job.picture))
                else:
                    jobs[place].notify(what, detail)
        finally:
            stream.cancel()

    def _check(self) -> None:
        from ray import serve  # pyright: ignore[reportMissingImports]

        while not self._stopped.wait(CHECK_SECONDS):
            try:
                application = serve.status().applications[self.name]
                state = application.deployments["replica"]
            except Exception as error:  # whatever it is, the next check may succeed
                self.running, self._failure = 0, "the Ray cluster does not answer"
                LOG.warning("cannot see the replicas: %s", _line(error))
                continue
            self.running = state.replica_states.get("RUNNING", 0)
            failed = "FAILED" in application.status or "UNHEALTHY" in state.status
            if failed and self._failure is None:
                LOG.error("replicas cannot be started: %s", _line(state.message))
            # Not in the response: the reason contains paths of the replica's machine.
            self._failure = "replicas cannot be started: see the server's log" if failed else None


def _line(error: object) -> str:
    """The last line of Ray's message: the error itself, below the remote traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:500] if lines else type(error).__name__
