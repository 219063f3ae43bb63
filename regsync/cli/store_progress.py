"""How far a long look at a store is, on stderr: a line that changes on a terminal, else one now and then."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import anyio

from regsync.cli import streams
from regsync.cli.failures import Manner, note
from regsync.report.units import human_bytes

ON_TERMINAL, ELSEWHERE = 0.5, 15.0  # seconds between two lines


class Progress(Protocol):
    """What is counted."""

    @property
    def blobs(self) -> int:
        """Blobs done."""
        ...

    @property
    def bytes(self) -> int:
        """Bytes done."""
        ...

    @property
    def total(self) -> int:
        """Blobs in all."""
        ...


@asynccontextmanager
async def watched(progress: Progress, manner: Manner, word: str) -> AsyncIterator[None]:
    """Tell how far it is until the end; `word` says what is going on."""
    terminal = sys.stderr.isatty() and not manner.json_log

    async def tell() -> None:
        while True:
            await anyio.sleep(ON_TERMINAL if terminal else ELSEWHERE)
            text = f"{progress.blobs} of {progress.total} blobs, {human_bytes(progress.bytes)}"
            if terminal:
                streams.tell(f"\r\x1b[K{text}")
            else:
                note(word, text, manner)

    async with anyio.create_task_group() as group:
        group.start_soon(tell)
        try:
            yield
        finally:
            group.cancel_scope.cancel()
            if terminal:
                streams.tell("\r\x1b[K")
