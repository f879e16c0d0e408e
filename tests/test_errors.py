"""Errors say what happened, to what, and what to try, and survive a process border."""

from __future__ import annotations

import pickle

import pytest

from labkit import errors
from labkit.errors import LabError, StartFailed

KINDS = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_a_lab_error(kind: type[LabError]) -> None:
    assert issubclass(kind, LabError)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_keeps_its_facts_when_pickled(kind: type[LabError]) -> None:
    error = pickle.loads(pickle.dumps(kind("It broke.", broker="nats", remedy="mend it")))
    assert type(error) is kind
    assert (error.what, error.broker, error.remedy) == ("It broke.", "nats", "mend it")


def test_the_text_names_the_remedy() -> None:
    assert str(LabError("It broke.", remedy="mend it")) == "It broke.\n  Try: mend it"


def test_a_failed_start_shows_the_last_lines_of_the_log() -> None:
    error = StartFailed("NATS did not start.", broker="nats", log="line one\nline two")
    assert "line one" in str(error)
    assert "line two" in str(error)
