"""Predict, run, explain: commit to an answer first, then see what the broker did."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import traitlets

from labkit.errors import LabError
from labkit.lessons.shown import Shown, note
from labkit.widgets.page import PageWidget

__all__ = ["NumberPrediction", "Prediction", "predict", "predict_number"]

HERE = Path(__file__).parent
Answer = str | float


class Prediction(PageWidget):
    """One question with its possible answers. Make one with ``predict``."""

    _esm = HERE / "prediction.js"
    _css = HERE / "prediction.css"

    kind = traitlets.Unicode("choice").tag(sync=True)
    question = traitlets.Unicode().tag(sync=True)
    choices = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.Unicode("").tag(sync=True)
    feedback = traitlets.Unicode("").tag(sync=True)

    def __init__(self, question: str, reasons: Mapping[Answer, str], answer: Answer | None) -> None:
        self.reasons = {str(choice): reason for choice, reason in reasons.items()}
        self.actual: str | None = None
        super().__init__(question=question, choices=self.offered())
        self.observe(self._say, "chosen")
        if answer is not None:
            self.choose(answer)

    def offered(self) -> list[str]:
        """Return the answers to choose from."""
        return list(self.reasons)

    def heard(self, content: Mapping[str, Any]) -> None:
        self.choose(content["choice"])

    def choose(self, answer: Answer) -> None:
        """Commit to an answer, as a click on it does."""
        if str(answer) not in self.reasons:
            raise LabError(
                f"{str(answer)!r} is not among the answers.", remedy=f"one of: {', '.join(self.reasons)}"
            )
        self.chosen = str(answer)

    def written(self, answer: Answer) -> str:
        """Return an answer as it is shown and compared."""
        return str(answer)

    def why_not(self, answer: str) -> str:
        """Return why this answer, which was chosen, is wrong."""
        return self.reasons[answer]

    def explain(self, actual: Answer) -> Shown:
        """Compare the learner's answer with what really happened, and say why it did.

        Without an answer it says what happened all the same, so that a lesson runs from top to bottom.
        """
        self.actual = self.written(actual)
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
        wrong = f"Why not {self.chosen}? {self.why_not(self.chosen)}"
        return "bad", f"You predicted {self.chosen}. {happened}", why, wrong

    def __repr__(self) -> str:
        return "\n".join([f"Predict: {self.question}", *(f"  ( ) {choice}" for choice in self.choices)])

    def fallback(self) -> str:
        items = "".join(f"<li>{escape(choice)}</li>" for choice in self.choices)
        return f"<p><strong>Predict:</strong> {escape(self.question)}</p><ul>{items}</ul>"


class NumberPrediction(Prediction):
    """One question whose answer is a number, which the learner types. Make one with ``predict_number``."""

    def __init__(
        self, question: str, reasons: Mapping[float, str], otherwise: str, answer: float | None
    ) -> None:
        self.otherwise = otherwise
        super().__init__(question, {self.written(number): why for number, why in reasons.items()}, answer)
        self.kind = "number"

    def offered(self) -> list[str]:
        """Return nothing: what is named in the reasons would give the answer away."""
        return []

    def heard(self, content: Mapping[str, Any]) -> None:
        try:
            self.choose(content["choice"])
        except LabError:  # a page sends nothing for what is no number
            self.feedback = "Type a number first."

    def choose(self, answer: Answer) -> None:
        """Commit to a number, as typing it does. Raises ``LabError`` if it is none."""
        self.chosen = self.written(answer)

    def written(self, answer: Answer) -> str:
        """Return a number as it is shown and compared: ``3`` and ``3.0`` are the same."""
        try:
            number = float(answer)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise LabError(f"{str(answer)!r} is not a number.", remedy="type digits: 40")
        return str(int(number) if number.is_integer() else number)

    def why_not(self, answer: str) -> str:
        """Return why this number is wrong: its own reason, or the one for all others."""
        return self.reasons.get(answer, self.otherwise)

    def __repr__(self) -> str:
        return f"Predict a number: {self.question}"

    def fallback(self) -> str:
        return f"<p><strong>Predict a number:</strong> {escape(self.question)}</p>"


def predict(question: str, reasons: Mapping[Answer, str], *, answer: Answer | None = None) -> Prediction:
    """Ask the learner to commit to an answer before a cell runs.

    ``reasons`` holds the possible answers, each with why it is right or wrong. ``answer`` answers in the
    learner's place. Nothing waits: ``explain`` works with and without an answer.

        late = predict("How many of the three orders reach it?", {0: "...", 3: "..."})
        late.explain(count)
    """
    return Prediction(question, reasons, answer)


def predict_number(
    question: str, reasons: Mapping[float, str], *, otherwise: str, answer: float | None = None
) -> NumberPrediction:
    """Ask the learner to commit to a number before a cell runs.

    ``reasons`` holds the right number and those that one may well think of, each with why it is right or
    wrong; ``otherwise`` says why any other is wrong. ``answer`` answers in the learner's place.

        copies = predict_number("How many copies?", {120: "...", 40: "..."}, otherwise="...")
        copies.explain(count)
    """
    return NumberPrediction(question, reasons, otherwise, answer)
