"""A worker: loads the model, fills chunks, and commits a chunk's results, then its part of the manifest."""

from dataclasses import dataclass

from maskmend.bulk.entries import Chunk
from maskmend.bulk.filling import Item, fill_items
from maskmend.bulk.job import Job
from maskmend.bulk.manifest import Record, digest_of, read_part
from maskmend.bulk.targets import ChunkWriter, EncodedFill, lie_there
from maskmend.errors import ConfigError, DataError
from maskmend.fill.preparation import NO_GUIDE
from maskmend.pipeline import InpaintPipeline


@dataclass(frozen=True, kw_only=True)
class Report:
    """The outcome of a chunk, as counts that can be summed up."""

    chunk: str
    filled: int = 0
    skipped: int = 0
    """Pictures that were done before."""
    failures: tuple[tuple[str, str], ...] = ()
    """Name and reason, including failures of earlier runs."""
    seconds: float = 0.0
    windows: int = 0
    notes: tuple[str, ...] = ()
    share: float = 0.0
    """As in `Chunk`."""


class Worker:
    """Loads the model once. Raises ConfigError if its settings differ from `run.json`."""

    def __init__(self, job: Job, pipe: InpaintPipeline | None = None) -> None:
        self.job = job
        self.pipe = pipe or job.filling.load()
        self.settings = job.described(self.pipe)
        if digest_of(self.settings) != job.digest:
            raise ConfigError(
                "this worker's model or settings differ from the run's: install the same maskmend and the "
                "same model on every machine"
            )

    def fill(self, chunk: Chunk) -> Report:
        """Fills the chunk unless it is done. Repeated or concurrent calls write the same bytes.

        Raises OutputError if results cannot be written.
        """
        before = self._done(chunk)
        if before is not None:
            failures = tuple((_name(one), one.reason or "") for one in before if one.status == "failed")
            skipped = len(before) - len(failures)
            return Report(chunk=chunk.name, skipped=skipped, failures=failures, share=chunk.share)
        writer = ChunkWriter(store=self.job.store, form=self.job.form, chunk=chunk.name)
        records: dict[str, Record] = {}
        order = {entry.name: number for number, entry in enumerate(chunk.entries)}
        guided = self.job.source.guided
        items = (
            Item(
                key=e.key,
                image=e.image,
                mask=e.mask,
                guide=e.guide,
                suffix=e.suffix,
                trouble=e.trouble,
                note=NO_GUIDE if guided and e.guide is None else None,
                tag=e,
            )
            for e in chunk.entries
        )
        windows = 0
        for outcome in fill_items(self.pipe, self.job.filling, items):
            entry, result, reason = outcome.item.tag, None, outcome.reason
            windows += outcome.windows
            if outcome.content is not None:
                try:
                    metadata = entry.metadata.read() if entry.metadata and self.job.form == "tar" else None
                except DataError:
                    metadata = None
                result = writer.add(
                    EncodedFill(
                        name=entry.name,
                        key=entry.key,
                        suffix=outcome.suffix,
                        content=outcome.content,
                        seed=outcome.seed,
                        note=outcome.note,
                        metadata=metadata,
                    )
                )
            records[entry.name] = Record(
                key=entry.key,
                part=entry.part,
                status="failed" if result is None else "filled",
                settings=self.job.digest,
                model=self.settings["model"],
                seed=outcome.seed,
                seconds=round(outcome.seconds, 4),
                result=result,
                reason=reason,
                note=outcome.note,
            )
        done = sorted(records.values(), key=lambda record: order[_name(record)])
        writer.commit(done, _replaced(read_part(self.job.store, chunk.name) or [], done))
        return Report(
            chunk=chunk.name,
            filled=sum(one.status == "filled" for one in done),
            failures=tuple((_name(one), one.reason or "") for one in done if one.status == "failed"),
            seconds=sum(one.seconds for one in done),
            windows=windows,
            notes=tuple(one.note for one in done if one.note),
            share=chunk.share,
        )

    def _done(self, chunk: Chunk) -> list[Record] | None:
        """The chunk's records if it is complete, else None."""
        if self.job.overwrite:
            return None
        records = read_part(self.job.store, chunk.name)
        if records is None or [_name(one) for one in records] != [entry.name for entry in chunk.entries]:
            return None
        if any(one.settings != self.job.digest for one in records):
            return None
        if self.job.retry_failed and any(one.status == "failed" for one in records):
            return None
        return records if lie_there(self.job.store, records) else None


def _replaced(before: list[Record], done: list[Record]) -> list[str]:
    """Old results of the same pictures under other names, as after a change of --format."""
    there = {record.result for record in done}
    names = {_name(record) for record in done if record.result is not None}
    old = {one.result for one in before if one.result is not None and _name(one) in names}
    return sorted(old - there)


def _name(record: Record) -> str:
    return f"{record.part}/{record.key}" if record.part else record.key
