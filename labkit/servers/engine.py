"""A container engine (Docker, or what speaks its language): reaching it, and getting images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from labkit.errors import EngineMissing, FolderUnusable, ImageMissing, PortTaken, StartFailed

__all__ = ["Engine", "explain_failure", "progress_words"]

FULL_WORDS = ("no space left on device", "disk quota exceeded")
PORT_TAKEN_WORDS = ("port is already allocated", "address already in use", "ports are not available")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

Say = Callable[[str], None]


class Engine:
    """A connection to the engine of this machine. Its calls block; make them in a thread."""

    def __init__(self, client: Any) -> None:
        self.api = client  # Testcontainers' thin layer
        self.native = client.client  # docker.DockerClient
        self.host = os.environ.get("DOCKER_HOST", "")

    @classmethod
    def connect(cls) -> Engine:
        """Reach the engine that ``DOCKER_HOST``, or Docker's own default, names.

        Raises ``EngineMissing``, which says whether there is none, or whether it may not be used.
        """
        try:
            from docker.errors import DockerException  # type: ignore[import-untyped]
            from testcontainers.core.docker_client import DockerClient
        except ImportError as error:
            raise EngineMissing(
                "The package that talks to Docker is not installed.",
                remedy="pip install 'broker-lab[containers]'",
            ) from error
        _refuse_other_machine(os.environ.get("DOCKER_HOST", ""))
        try:
            client = DockerClient()
            client.client.ping()
        except (DockerException, OSError) as error:
            raise _missing(error) from error
        return cls(client)

    def fetch(self, image: str, say: Say) -> None:
        """Get an image unless it is here, telling how far it is. Raises ``ImageMissing``."""
        from docker.errors import APIError, ImageNotFound

        try:
            self.native.images.get(image)
            return
        except ImageNotFound:
            pass
        say(f"fetching {image}")
        try:
            for words in progress_words(self.native.api.pull(image, stream=True, decode=True)):
                say(f"fetching {image}: {words}")
        except APIError as error:
            raise _no_image(image, str(error.explanation or error)) from error
        except _PullFailed as error:
            raise _no_image(image, str(error)) from error

    def close(self) -> None:
        """Hang up."""
        self.native.close()


class _PullFailed(Exception):
    """What the engine said in the middle of a download."""


def progress_words(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield how far a download is, "12 of 40 MB", each time a megabyte has come."""
    layers: dict[str, tuple[int, int]] = {}
    said = ""
    for event in events:
        if "error" in event:
            raise _PullFailed(event["error"])
        detail = event.get("progressDetail") or {}
        if event.get("status") == "Downloading" and detail.get("total"):
            layers[event["id"]] = (detail["current"], detail["total"])
        if event.get("status") == "Download complete" and event["id"] in layers:
            layers[event["id"]] = (layers[event["id"]][1],) * 2
        come, total = (sum(part) / 1e6 for part in zip(*layers.values(), strict=True)) if layers else (0, 0)
        words = f"{come:.0f} of {total:.0f} MB"
        if layers and words != said:
            said = words
            yield words


def _refuse_other_machine(host: str) -> None:
    name = urlsplit(host).hostname
    if host.startswith(("tcp://", "ssh://")) and name not in LOCAL_HOSTS:
        raise EngineMissing(
            f"The engine at {host} is another machine's; the lab's brokers listen on loopback only.",
            remedy="unset DOCKER_HOST to use this machine's Docker",
        )


def _missing(error: Exception) -> EngineMissing:
    host = os.environ.get("DOCKER_HOST", "its usual place")
    if "permission denied" in str(error).lower():
        return EngineMissing(
            f"You may not use the Docker engine at {host}.",
            remedy="add yourself to its group (`sudo usermod -aG docker $USER`, then log in again), or use "
            "rootless Docker",
        )
    return EngineMissing(
        f"No Docker engine answers at {host}.",
        remedy="start Docker, or set DOCKER_HOST (`docker context inspect` shows it); or run the brokers as "
        "processes, without LABKIT_HOW",
    )


def _no_image(image: str, why: str) -> ImageMissing | FolderUnusable:
    if any(words in why.lower() for words in FULL_WORDS):
        return FolderUnusable(
            f"The Docker engine's disk is full, so {image} cannot be fetched.",
            remedy="make room there: `docker system df`, `docker image prune`",
        )
    return ImageMissing(
        f"The image {image} is not here and cannot be fetched: {why}.",
        remedy=f"check the network and `docker pull {image}`",
    )


def explain_failure(broker: str, why: str) -> StartFailed:
    """Return what an engine's refusal to run a broker means."""
    words = why.lower()
    if any(word in words for word in PORT_TAKEN_WORDS):
        return PortTaken(
            f"{broker} could not listen: a port is taken ({why}).",
            broker=broker,
            remedy="start it again, or without standard ports",
        )
    if any(word in words for word in FULL_WORDS):
        return FolderUnusable(
            f"The Docker engine's disk is full, so {broker} cannot run.",
            broker=broker,
            remedy="make room there: `docker system df`, `docker image prune`",
        )
    return StartFailed(
        f"{broker}'s container does not run: {why}.", broker=broker, remedy="`docker info` must work"
    )
