"""Jars are fetched by name and taken only if their hash is the one that was listed."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from labkit.brokers.kafka.program import COORDINATES, JARS
from labkit.errors import InstallFailed
from labkit.programs import maven
from labkit.programs.maven import Jar, fetch, read_list, write_list

CONTENT = b"a jar"


def jar(artifact: str, content: bytes = CONTENT) -> Jar:
    return Jar("org.example", artifact, "1.0", hashlib.sha256(content).hexdigest())


def quiet(text: str) -> None:
    """Say nothing."""


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An archive on this machine where every jar has the same content; returns what was asked for."""
    asked: list[str] = []

    def download(group: str, artifact: str, version: str, cache: Path) -> Path:
        asked.append(f"{group}:{artifact}:{version}")
        path = cache / f"{artifact}-{version}.jar"
        cache.mkdir(exist_ok=True)
        path.write_bytes(CONTENT)
        return path

    monkeypatch.setattr(maven, "_download", download)
    return asked


def test_jars_whose_hash_is_right_are_put_side_by_side(tmp_path: Path, archive: list[str]) -> None:
    fetch([jar("one"), jar("two")], tmp_path / "jars", quiet)
    assert sorted(path.name for path in (tmp_path / "jars").iterdir()) == ["one-1.0.jar", "two-1.0.jar"]
    assert (tmp_path / "jars" / "one-1.0.jar").read_bytes() == CONTENT
    assert sorted(archive) == ["org.example:one:1.0", "org.example:two:1.0"]


def test_a_jar_whose_hash_differs_is_refused_and_removed(tmp_path: Path, archive: list[str]) -> None:
    with pytest.raises(InstallFailed, match=r"org\.example:bad:1\.0 is not the file that was listed"):
        fetch([jar("bad", b"another jar")], tmp_path / "jars", quiet)
    assert not list((tmp_path / "jars").rglob("*.jar"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "The disk is full"),
        (ConnectionError("Max retries exceeded with url"), "there is no way to the archive"),
        (RuntimeError("CERTIFICATE_VERIFY_FAILED"), "SSL_CERT_FILE"),
        (RuntimeError("404"), "org.example:one:1.0 could not be fetched: 404"),
    ],
)
def test_a_jar_that_cannot_be_had_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def download(*_: object) -> Path:
        raise error

    monkeypatch.setattr(maven, "_download", download)
    with pytest.raises(InstallFailed) as caught:
        fetch([jar("one")], tmp_path / "jars", quiet)
    assert said in caught.value.what
    assert caught.value.remedy
    assert caught.value.__cause__ is error


def test_a_list_is_read_as_it_was_written_sorted(tmp_path: Path) -> None:
    path = tmp_path / "jars.toml"
    write_list(path, [jar("two"), jar("one")])
    assert read_list(path) == (jar("one"), jar("two"))


def test_kafkas_list_has_no_address_and_a_whole_hash_for_every_jar() -> None:
    assert "://" not in JARS.read_text()
    jars = read_list(JARS)
    assert all(re.fullmatch("[0-9a-f]{64}", one.sha256) for one in jars)
    assert len({one.file for one in jars}) == len(jars)


def test_kafkas_list_has_what_was_asked_for_and_is_sorted() -> None:
    jars = read_list(JARS)
    assert set(COORDINATES) <= {str(one) for one in jars}
    assert list(jars) == sorted(jars)
