"""What a gathering gave, in its order."""

from regsync.content.pieces import Piece


class Taken(list[Piece]):
    """A list that can be given to `gather`."""

    async def take(self, piece: Piece) -> None:
        """Keep a piece."""
        self.append(piece)
