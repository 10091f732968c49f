"""What is left of a call that is over: its journal, its row in the index, its recording."""

import wave
from dataclasses import dataclass
from pathlib import Path

from callpipe.pipelines.records.call_index import CallIndex, IndexedCall
from callpipe.pipelines.records.journal import read_journal

OFF_BY_S = 0.1
"""A recording is as long as its call's media streams, from the first's start to the last's end, within this."""


@dataclass(frozen=True)
class Record:
    """What is left of a call.

    Attributes:
        endings: How often its journal says that it has ended; once is right.
        indexed: Its row in the index is complete.
        recording_s: How long its recording is; None when there is none.
        broken: Why its recording can't be opened; empty when it can.
    """

    endings: int
    indexed: bool
    recording_s: float | None
    broken: str = ""

    @property
    def complete(self) -> bool:
        """Whether journal and index tell of the call's end."""
        return self.endings == 1 and self.indexed


class Records:
    """The records of a data directory. All of it blocks."""

    def __init__(self, data_dir: Path) -> None:
        self._calls = data_dir / "calls"
        self._index = CallIndex(data_dir / "calls.sqlite")

    def all(self) -> dict[str, Record]:
        """Return every call's record, by its id."""
        rows = {row.call_id: row for row in self._index.recent(1_000_000)}
        folders = {folder.name for folder in self._calls.iterdir()}
        return {call_id: self._record(call_id, rows.get(call_id)) for call_id in sorted(rows.keys() | folders)}

    def journal_text(self, call_id: str) -> str:
        """Return a call's journal as it is."""
        path = self._calls / call_id / "journal.jsonl"
        return path.read_text(errors="replace") if path.is_file() else "no journal"

    def _record(self, call_id: str, row: IndexedCall | None) -> Record:
        indexed = row is not None and None not in (row.ended_at, row.duration_s, row.reason)
        journal, recording = self._calls / call_id / "journal.jsonl", self._calls / call_id / "recording.wav"
        endings = (
            sum(event["event"] == "call_ended" for event in read_journal(journal)) if journal.is_file() else 0
        )
        if not recording.is_file():
            return Record(endings, indexed, None)
        try:
            with wave.open(str(recording)) as file:
                return Record(endings, indexed, file.getnframes() / file.getframerate())
        except (wave.Error, EOFError) as broken:
            return Record(endings, indexed, None, str(broken) or type(broken).__name__)
