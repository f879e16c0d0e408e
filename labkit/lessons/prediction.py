"""Predict, run, explain: commit to an answer first, then see what the broker did."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import traitlets

from labkit.errors import LabError
from labkit.lessons.shown import Shown, note
from labkit.widgets.page import PageWidget

__all__ = ["Prediction", "predict"]

HERE = Path(__file__).parent
Answer = str | int


class Prediction(PageWidget):
    """One question with its possible answers. Make one with ``predict``."""

    _esm = HERE / "prediction.js"
    _css = HERE / "prediction.css"

    question = traitlets.Unicode().tag(sync=True)
    choices = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.Unicode("").tag(sync=True)
    feedback = traitlets.Unicode("").tag(sync=True)

    def __init__(self, question: str, reasons: Mapping[Answer, str], answer: Answer | None) -> None:
        self.reasons = {str(choice): reason for choice, reason in reasons.items()}
        self.actual: str | None = None
        super().__init__(question=question, choices=list(self.reasons))
        self.observe(self._say, "chosen")
        if answer is not None:
            self.choose(answer)

    def heard(self, content: Mapping[str, Any]) -> None:
        self.choose(content["choice"])

    def choose(self, answer: Answer) -> None:
        """Commit to an answer, as a click on it does."""
        if str(answer) not in self.reasons:
            raise LabError(
                f"{str(answer)!r} is not among the answers.", remedy=f"one of: {', '.join(self.reasons)}"
            )
        self.chosen = str(answer)

    def explain(self, actual: Answer) -> Shown:
        """Compare the learner's answer with what really happened, and say why it did.

        Without an answer it says what happened all the same, so that a lesson runs from top to bottom.
        """
        self.actual = str(actual)
        self._say()
        return note(*self._verdict(self.actual))

    def _say(self, _: object = None) -> None:
        """Answer a click: at once with the verdict if the broker has already shown it."""
        if self.actual is None:
            self.feedback = f"Noted: {self.chosen}. Now run the next cells." if self.chosen else ""
        else:
            _, title, *paragraphs = self._verdict(self.actual)
            self.feedback = " ".join([title, *paragraphs])

    def _verdict(self, actual: str) -> tuple[Any, ...]:
        happened = f"What happened: {actual}."
        why = self.reasons.get(actual, "Nobody expected that. Run the cells above again, in order.")
        if not self.chosen:
            return (
                "plain",
                happened,
                why,
                "You have not predicted yet. Next time, choose first: it sticks better.",
            )
        if self.chosen == actual:
            return "good", f"You predicted {self.chosen}, and so it was.", why
        wrong = f"Why not {self.chosen}? {self.reasons[self.chosen]}"
        return "bad", f"You predicted {self.chosen}. {happened}", why, wrong

    def __repr__(self) -> str:
        return "\n".join([f"Predict: {self.question}", *(f"  ( ) {choice}" for choice in self.choices)])

    def fallback(self) -> str:
        items = "".join(f"<li>{escape(choice)}</li>" for choice in self.choices)
        return f"<p><strong>Predict:</strong> {escape(self.question)}</p><ul>{items}</ul>"


def predict(question: str, reasons: Mapping[Answer, str], *, answer: Answer | None = None) -> Prediction:
    """Ask the learner to commit to an answer before a cell runs.

    ``reasons`` holds the possible answers, each with why it is right or wrong. ``answer`` answers in the
    learner's place. Nothing waits: ``explain`` works with and without an answer.

        late = predict("How many of the three orders reach it?", {0: "...", 3: "..."})
        late.explain(count)
    """
    return Prediction(question, reasons, answer)
