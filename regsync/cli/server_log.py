"""What the server notes while it runs, in the manner of the command line."""

import logging

from regsync.server.configured import Story


class StoryHandler(logging.Handler):
    """Tells the story what is logged below `regsync`; other libraries' logs are not ours to tell."""

    def __init__(self, story: Story) -> None:
        super().__init__(logging.INFO)
        self._story = story

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of it: its text, with the traceback of a defect."""
        try:
            self._story.note(record.levelname.lower(), self.format(record))
        except Exception:  # noqa: BLE001 - as every handler: a line that cannot be told ends nothing
            self.handleError(record)

    def install(self) -> None:
        """From now on."""
        logger = logging.getLogger("regsync")
        logger.addHandler(self)
        logger.setLevel(logging.INFO)
        logger.propagate = False
