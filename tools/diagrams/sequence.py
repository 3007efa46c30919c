"""Sequence diagrams: columns of participants, one row per message or note."""

from dataclasses import dataclass

from diagrams.canvas import Canvas

TOP, ROW = 84, 54  # y of the first row; height of a row
HEAD_WIDTH, HEAD_HEIGHT = 164, 50


@dataclass(frozen=True, slots=True)
class Participant:
    """A column: its name and the package that implements it."""

    name: str
    room: str


@dataclass(frozen=True, slots=True)
class Message:
    """An arrow between two columns, by their index; equal indices make a note at that column."""

    sender: int
    receiver: int
    words: str
    ink: str = "text"
    small: str = ""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A whole diagram."""

    title: str
    participants: tuple[Participant, ...]
    messages: tuple[Message, ...]
    column: int = 200

    def draw(self, colours: dict[str, str]) -> str:
        """Return the diagram as SVG in the given palette."""
        width = self.column * len(self.participants) + 20
        height = TOP + ROW * len(self.messages) + 18
        canvas = Canvas(width, height, colours, self.title)
        for number, participant in enumerate(self.participants):
            x = self._x(number)
            canvas.arrow((x, 12 + HEAD_HEIGHT), (x, height - 12), width=1, dashed=True, head=False)
            canvas.box(x - HEAD_WIDTH // 2, 12, HEAD_WIDTH, HEAD_HEIGHT, participant.name, participant.room)
        for number, message in enumerate(self.messages):
            self._message(canvas, message, TOP + ROW * number + 30)
        return canvas.svg()

    def _x(self, number: int) -> int:
        return 10 + self.column * number + self.column // 2

    def _message(self, canvas: Canvas, message: Message, y: int) -> None:
        start, end = self._x(message.sender), self._x(message.receiver)
        if start != end:
            canvas.arrow((start, y), (end, y), ink=message.ink)
        middle = (start + end) // 2
        canvas.text(middle, y - 8, message.words, size=13, ink=message.ink)
        if message.small:
            canvas.text(middle, y + (15 if start != end else 9), message.small, size=11, ink="quiet")
