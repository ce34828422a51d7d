"""The server's metrics, in Prometheus' text format."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120)


class Metrics:
    """Metrics with their own registry, so that several servers can run in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "maskmend_requests", "Requests answered.", ("route", "status"), registry=self.registry
        )
        self.fills = Counter("maskmend_fills", "Holes filled; each sample counts.", registry=self.registry)
        self.abandoned = Counter(
            "maskmend_abandoned",
            "Requests whose client disconnected or whose time limit expired.",
            registry=self.registry,
        )
        self.batches = Histogram(
            "maskmend_batch_requests",
            "Requests filled together.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )
        self.waited = Histogram(
            "maskmend_wait_seconds", "Time from entering the queue to the start of the fill.",
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.spent = Histogram(
            "maskmend_fill_seconds", "Time to fill one batch.",
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.replicas = Gauge("maskmend_replicas", "Processes that can fill.", registry=self.registry)
        self.waiting = Gauge("maskmend_waiting", "Requests in the queue.", registry=self.registry)
        self.uploads = Gauge("maskmend_uploads", "Requests whose body is arriving.", registry=self.registry)
        self.taken = Gauge(
            "maskmend_places_taken", "Requests that have arrived and are in progress.", registry=self.registry
        )

    def text(self) -> bytes:
        return generate_latest(self.registry)
