"""A fetched program's folder is there whole, or not at all."""

from __future__ import annotations

import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labkit.errors import InstallFailed
from labkit.programs.unpacked import fetch_once


def fill(scratch: Path, home: Path) -> None:
    scratch.mkdir()
    (scratch / "program").write_text(str(home))


def test_what_was_filled_is_moved_to_its_home(empty_home: Path) -> None:
    folder = fetch_once("broker", fill)
    assert folder == empty_home / "programs" / "broker"
    assert (folder / "program").read_text() == str(folder)
    assert not folder.with_name("broker.partial").exists()


def test_a_second_call_does_not_fill_again(empty_home: Path) -> None:
    fetch_once("broker", fill)

    def refuse(scratch: Path, home: Path) -> None:
        pytest.fail("filled twice")

    assert (fetch_once("broker", refuse) / "program").is_file()


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_an_interrupted_fill_leaves_nothing_and_the_next_one_succeeds(
    empty_home: Path, error: BaseException
) -> None:
    def break_off(scratch: Path, home: Path) -> None:
        fill(scratch, home)
        raise error

    with pytest.raises(type(error)):
        fetch_once("broker", break_off)
    assert [path.name for path in (empty_home / "programs").iterdir() if path.is_dir()] == []
    assert (fetch_once("broker", fill) / "program").is_file()


def test_what_a_killed_fill_left_is_not_part_of_the_next(empty_home: Path) -> None:
    left = empty_home / "programs" / "broker.partial"
    left.mkdir(parents=True)
    (left / "half").touch()
    assert [path.name for path in fetch_once("broker", fill).iterdir()] == ["program"]


def test_two_at_once_fill_once(empty_home: Path) -> None:
    filled = []
    together = threading.Barrier(2)

    def count(scratch: Path, home: Path) -> None:
        filled.append(home)
        fill(scratch, home)

    def fetch() -> Path:
        together.wait()
        return fetch_once("broker", count)

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.submit(fetch), pool.submit(fetch)
    assert one.result() == two.result() == empty_home / "programs" / "broker"
    assert len(filled) == 1


def test_a_folder_that_cannot_be_made_names_labkit_home(empty_home: Path) -> None:
    (empty_home / "programs").write_text("in the way")
    with pytest.raises(InstallFailed, match=str(empty_home / "programs")) as caught:
        fetch_once("broker", fill)
    assert "LABKIT_HOME" in caught.value.remedy


def test_a_full_disk_is_said_so(empty_home: Path) -> None:
    def run_out(scratch: Path, home: Path) -> None:
        scratch.mkdir()
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InstallFailed, match="disk is full"):
        fetch_once("broker", run_out)
    assert not (empty_home / "programs" / "broker.partial").exists()
