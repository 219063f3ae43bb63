"""The exception that a signal leads to where there is nothing to report; light enough for start-up."""

from signal import Signals


class Interrupted(Exception):  # noqa: N818 - not an error but an order
    """A signal ended the work before it had anything to say. `exit_code` is 128 plus its number."""

    def __init__(self, number: int) -> None:
        super().__init__(Signals(number).name)
        self.exit_code = 128 + number
