"""Steps that a stopped run finishes because they were begun, within a bounded time.

Source: DESIGN.md, section 6, rule 8.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

import anyio
from anyio import CancelScope
from anyio.abc import TaskGroup

from regsync.content.errors import ContentError
from regsync.errors import TemporaryError

STOP_WITHIN = 20.0  # seconds; Kubernetes kills 30 s after it asked a process to end, which has to report too


class AbandonedError(ContentError, TemporaryError):
    """The run was stopped, and a step that was under way did not end in time."""

    usual_hint = "run again: what the place shows is complete, and the rest goes on from it"

    def __init__(self, step: str, *, where: str) -> None:
        super().__init__(f"{where}: {step} was given up: the run was stopped, and no answer came in time")


class StepsInHand:
    """Steps that go on for `within` seconds after `group` was cancelled, then end as cancelled ones do."""

    def __init__(self, group: TaskGroup, *, within: float = STOP_WITHIN) -> None:
        self._group, self._within = group, within
        self._scopes: set[CancelScope] = set()
        self._deadline = inf
        self._is_watching = False

    @contextmanager
    def finish(self, step: str, *, where: str) -> Iterator[None]:
        """Shield the body; raises AbandonedError, which names `step`, when its time is over."""
        if not self._is_watching:
            self._is_watching = True
            self._group.start_soon(self._watch)
        with CancelScope(shield=True, deadline=self._deadline) as scope:
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)
        if scope.cancelled_caught:
            raise AbandonedError(step, where=where)

    def abandon(self, *, within: float = 0.0) -> None:
        """End what is not finished within so many seconds."""
        self._deadline = min(self._deadline, anyio.current_time() + within)
        for scope in self._scopes:
            scope.deadline = self._deadline

    async def _watch(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.abandon(within=self._within)
