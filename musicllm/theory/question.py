"""Questions with lettered options.

The schema is that of MusicTheoryBench (stem, options A to D, answer, subject, abc_score), with the
family as subject, and a level.
"""

from __future__ import annotations

from dataclasses import dataclass

from musicllm.theory.split import digest

LETTERS = "ABCD"


@dataclass(frozen=True)
class TheoryQuestion:
    """A multiple-choice question.

    Attributes:
        stem: the question.
        abc_score: its score, or empty.
        options: texts of A, B, C and D, all different.
        answer: letter of the right option.
        subject: its family.
        level: `easy`, `medium` or `hard`.
    """

    stem: str
    abc_score: str
    options: tuple[str, str, str, str]
    answer: str
    subject: str
    level: str

    @property
    def right(self) -> str:
        """Text of the right option."""
        return self.options[LETTERS.index(self.answer)]

    @property
    def id(self) -> str:
        """The family and a hash of stem, score and right answer, independent of sampling."""
        return f"{self.subject}/{digest(self.stem, self.abc_score, self.right)[:12]}"

    def as_row(self) -> dict[str, object]:
        """Return the question as a row of MusicTheoryBench, with level and id."""
        return {
            "id": self.id,
            "stem": self.stem,
            "options": dict(zip(LETTERS, self.options, strict=True)),
            "answer": self.answer,
            "subject": self.subject,
            "level": self.level,
            "abc_score": self.abc_score,
        }
