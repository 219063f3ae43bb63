"""People are told when a mirror fails, recovers, drifts or is blocked: once, until that changes.

Telling happens beside the runs and never holds one up. Addresses are secrets, since whoever has one can
post: neither they nor what a server answers ever stand in a message.
"""

import json
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import anyio

from regsync.clock import Clock
from regsync.errors import RegsyncError, TemporaryError
from regsync.plan.document import API_VERSION, timestamp
from regsync.reconcile.standing import Ended, Ending
from regsync.spec.notifications import Notification, NotificationFormat, Occasion, fill_template

MAX_WAITING: Final = 200  # messages that wait for a slow server
ATTEMPTS: Final = 5
FIRST_PAUSE: Final = 1.0  # seconds; four times as long before each further attempt
MAX_MESSAGE: Final = 600  # characters
TWICE: Final = 2
_TROUBLES: Final[Sequence[Occasion]] = (Occasion.FAILURE, Occasion.BLOCKED, Occasion.DRIFT)
_AGAIN: Final = frozenset({408, 425, 429})  # of the 4xx, those that may pass

Post = Callable[[str, bytes], Awaitable[int]]
"""Posts JSON to a URL, follows nothing, gives the status; raises TemporaryError or another RegsyncError."""


class NotificationError(RegsyncError):
    """Nobody could be told."""

    def __init__(self, notification: Notification, cause: str, event: str) -> None:
        super().__init__(f"notification to the URL in {notification.url}: {event}: {cause}")

    @property
    def hint(self) -> str:
        """What to do next."""
        return "see that the URL is right and its server takes JSON by POST; runs go on without it"


@dataclass(frozen=True, slots=True)
class Message:
    """What is told of one mirror."""

    occasion: Occasion
    mirror: str
    text: str
    run: str
    time: datetime


def troubles_of(ended: Ended, told: frozenset[Occasion], *, failures: int) -> frozenset[Occasion]:
    """What is wrong with a mirror after a run, where people know of `told`.

    `failures`: runs in a row that failed, this one included. What may pass by itself is a failure when
    it came twice, or when the one before has not ended.
    """
    found = set()
    if ended.failed or ended.ending in (Ending.FAILED, Ending.CRASHED, Ending.TEMPORARY):
        passes = ended.ending is Ending.TEMPORARY and failures < TWICE and Occasion.FAILURE not in told
        if not passes:
            found.add(Occasion.FAILURE)
    if ended.blocked or ended.ending is Ending.REFUSED:
        found.add(Occasion.BLOCKED)
    if ended.drift:
        found.add(Occasion.DRIFT)
    return frozenset(found)


def messages(
    mirror: str, ended: Ended, told: frozenset[Occasion], troubles: frozenset[Occasion]
) -> list[Message]:
    """What to say, where people know of `told` and `troubles` is what there is: nothing twice."""
    lasting = frozenset({Occasion.DRIFT})
    occasions = [one for one in _TROUBLES if one in troubles - told]
    if told - lasting and not troubles - lasting:
        occasions.append(Occasion.RECOVERY)
    return [Message(one, mirror, _text(one, ended), ended.run, ended.ended) for one in occasions]


def _text(occasion: Occasion, ended: Ended) -> str:
    match occasion:
        case Occasion.DRIFT:
            found = f"{ended.drift} tag{'s were' if ended.drift > 1 else ' was'}"
            return f"{found} moved or deleted at a target by somebody else; put right again"
        case Occasion.RECOVERY:
            return "everything is as it should be again"
        case Occasion.BLOCKED:
            what = f"{ended.blocked} blocked"
        case _:
            what = f"{ended.failed} failed" if ended.failed else "the run failed"
    return f"{what}: {ended.problem or 'no reason was given'}"[:MAX_MESSAGE]


def body_of(notification: Notification, message: Message) -> bytes:
    """The JSON that is posted."""
    fields = {
        "event": message.occasion.value,
        "mirror": message.mirror,
        "message": message.text,
        "run": message.run,
        "time": timestamp(message.time),
    }
    if notification.format is NotificationFormat.SLACK:
        line = f"{message.mirror}: {message.occasion.value}: {message.text} (run {message.run})"
        return json.dumps({"text": _for_slack(line)}).encode()
    if notification.template is not None:
        return fill_template(notification.template, fields).encode()
    return json.dumps({"apiVersion": API_VERSION, "kind": "Notification", **fields}).encode()


def _for_slack(text: str) -> str:
    # Source: Slack, "Formatting text for app surfaces": these three, or `<!channel>` would call everybody.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Notifier:
    """Tells, as `run` gets to it. `say` never waits; what could not be told is given to `failed`."""

    def __init__(self, post: Post, clock: Clock, failed: Callable[[RegsyncError], object]) -> None:
        self._post, self._clock, self._failed = post, clock, failed
        self._waiting: deque[tuple[Notification, Message]] = deque()
        self._said = anyio.Event()
        self.lost = 0  # messages that nobody got

    def say(self, notifications: Sequence[Notification], message: Message) -> None:
        """Have everybody told who wants to know of such."""
        for one in notifications:
            if message.occasion not in one.on:
                continue
            if len(self._waiting) >= MAX_WAITING:
                self._lose(one, message, f"{MAX_WAITING} others wait already")
            else:
                self._waiting.append((one, message))
                self._said.set()

    async def run(self) -> None:
        """Tell for ever."""
        while True:
            while self._waiting:
                await self._tell(*self._waiting[0])
                self._waiting.popleft()
            self._said = anyio.Event()
            await self._said.wait()

    async def drain(self) -> None:
        """Try once to tell what still waits."""
        while self._waiting:
            await self._attempt(*self._waiting.popleft(), last=True)

    async def _tell(self, notification: Notification, message: Message) -> None:
        pause = FIRST_PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            if await self._attempt(notification, message, last=attempt == ATTEMPTS):
                return
            await anyio.sleep(pause + self._clock.jitter(pause))
            pause *= 4

    async def _attempt(self, notification: Notification, message: Message, *, last: bool) -> bool:
        """Whether there is nothing more to try."""
        try:
            status = await self._post(notification.url.read(), body_of(notification, message))
        except TemporaryError:
            cause, final = "its server gave no answer", last
        except RegsyncError as error:
            cause, final = f"not sent: {type(error).__name__}", True
        else:
            if 200 <= status < 300:
                return True
            cause = f"its server answered {status}"
            final = last or (status < 500 and status not in _AGAIN)
        if final:
            self._lose(notification, message, cause)
        return final

    def _lose(self, notification: Notification, message: Message, cause: str) -> None:
        self.lost += 1
        event = f"{message.occasion.value} of {message.mirror} was not told"
        self._failed(NotificationError(notification, cause, event))
