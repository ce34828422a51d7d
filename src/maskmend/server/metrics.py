"""What the server counts, in Prometheus' text format."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120)


class Metrics:
    """One registry for one server, so that several can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "maskmend_requests", "Requests answered.", ("route", "status"), registry=self.registry
        )
        self.fills = Counter(
            "maskmend_fills", "Holes filled, samples counted singly.", registry=self.registry
        )
        self.abandoned = Counter(
            "maskmend_abandoned",
            "Requests whose client went away or whose time was up.",
            registry=self.registry,
        )
        self.batches = Histogram(
            "maskmend_batch_requests",
            "Requests filled together.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )
        self.waited = Histogram(
            "maskmend_wait_seconds", "From arrival in the queue to the start of the fill.",
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.spent = Histogram(
            "maskmend_fill_seconds", "Of one batch, from tokens to pictures.",
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.replicas = Gauge("maskmend_replicas", "Processes that can fill.", registry=self.registry)
        self.waiting = Gauge("maskmend_waiting", "Requests in the queue.", registry=self.registry)
        self.uploads = Gauge("maskmend_uploads", "Requests whose body is arriving.", registry=self.registry)
        self.taken = Gauge(
            "maskmend_places_taken", "Requests that have arrived and are under way.", registry=self.registry
        )

    def text(self) -> bytes:
        return generate_latest(self.registry)
