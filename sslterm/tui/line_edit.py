"""A line of text that is being typed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LineEdit:
    """The text, and the place in it where the next character goes."""

    text: str = ""
    at: int = 0

    @classmethod
    def of(cls, text: str) -> LineEdit:
        """A text with the cursor at its end."""
        return cls(text, len(text))

    def typed(self, text: str) -> LineEdit:
        """With what was typed or pasted; of several lines the first."""
        text = (
            "".join(character for character in text.splitlines()[0] if character.isprintable())
            if text
            else ""
        )
        return LineEdit(self.text[: self.at] + text + self.text[self.at :], self.at + len(text))

    def pressed(self, key: str) -> LineEdit | None:
        """After a key of editing, as Textual names it; None where it is none."""
        before, after = self.text[: self.at], self.text[self.at :]
        word = before.rstrip().rpartition(" ")[0]
        changed = {
            "backspace": LineEdit.of(before[:-1]),
            "delete": LineEdit.of(before),
            "ctrl+u": LineEdit.of(""),
            "ctrl+w": LineEdit.of(word + " " if word else ""),
            "ctrl+k": LineEdit.of(before),
            "left": LineEdit.of(before[:-1]),
            "right": LineEdit.of(before + after[:1]),
            "home": LineEdit.of(""),
            "ctrl+a": LineEdit.of(""),
            "end": LineEdit.of(self.text),
            "ctrl+e": LineEdit.of(self.text),
        }
        if key not in changed:
            return None
        place = changed[key].at
        rest = {"ctrl+k": "", "delete": after[1:]}.get(key, after)
        if key in ("left", "right", "home", "ctrl+a", "end", "ctrl+e"):
            return LineEdit(self.text, place)
        return LineEdit(changed[key].text + rest, place)

    def window(self, width: int) -> tuple[str, int]:
        """The part of the text that fits into `width` cells, and the cursor's column in it."""
        start = max(self.at - width + 1, 0)
        return self.text[start : start + max(width, 0)], self.at - start
