"""The folders of labs: claimed by one lab each, and swept when nobody holds them."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from labkit.errors import LabError
from labkit.home import labs_folder
from labkit.servers import folders
from labkit.servers.folders import claim, is_in_use, lab_folder, read_brokers, sweep, write_brokers


def test_a_claimed_folder_is_in_use_and_not_swept(home: Path) -> None:
    with claim("shop", keep=False) as (folder, _):
        assert is_in_use(folder)
        sweep()
        assert folder.is_dir()
    assert not is_in_use(folder)
    sweep()
    assert not folder.exists()


def test_a_lab_that_sweeps_in_the_moment_of_a_claim_leaves_the_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FollowedBySweep(FileLock):
        """Where this lock is given back, another lab that waited for it sweeps."""

        def __exit__(self, *error: object) -> None:
            super().__exit__(*error)
            sweep()

    monkeypatch.setattr(folders, "FileLock", FollowedBySweep)
    with claim(None, keep=False) as (folder, _):
        assert folder.is_dir()


def test_a_kept_folder_is_not_swept(home: Path) -> None:
    with claim("shop", keep=True) as (folder, _):
        pass
    sweep()
    assert folder.is_dir()


def test_a_claim_that_fails_leaves_no_file_open(home: Path) -> None:
    with claim("shop", keep=False):
        before = psutil.Process().num_fds()
        with pytest.raises(LabError), claim("shop", keep=False):
            pass
        assert psutil.Process().num_fds() == before


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "x" * 61, "two words"])
def test_a_name_that_is_no_plain_word_is_refused(home: Path, name: str) -> None:
    with pytest.raises(LabError, match="is no name for a lab"):
        lab_folder(name)
    assert not labs_folder().exists()


def test_what_is_written_of_brokers_is_read_again(home: Path) -> None:
    with claim("shop", keep=False) as (folder, _):
        assert read_brokers(folder) == {}
        write_brokers(folder, {"redis": {"pid": 7}})
        assert read_brokers(folder) == {"redis": {"pid": 7}}
