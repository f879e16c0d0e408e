"""What a broker's container is to be: image, ports on loopback, volume, labels."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from labkit.servers.engine import Engine
from labkit.servers.leftovers import BROKER_LABEL, LAB_LABEL
from labkit.servers.ports import LOOPBACK
from labkit.servers.recipe import Contained, image_recipe_of

__all__ = ["Plan", "image_of", "plan_for"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One broker's container in the lab whose folder is ``lab``; ``ports`` are those of this machine."""

    broker: str
    lab: Path
    ports: Mapping[str, int]
    contained: Contained

    @property
    def image(self) -> str:
        """The image's name, as ``image_of`` says."""
        return image_of(self.broker)

    @property
    def version(self) -> str:
        """The version in the image's tag, "" if there is none."""
        found = re.search(r":[^/]*?(\d+(\.\d+)+)", self.image)
        return found[1] if found else ""

    @property
    def volume(self) -> str:
        """The volume's name, and the container's: the same for each lab in this folder."""
        return f"labkit-{sha256(os.fsencode(self.lab)).hexdigest()[:10]}-{self.broker}"

    @property
    def labels(self) -> dict[str, str]:
        """By which all of it is found again."""
        return {LAB_LABEL: str(self.lab), BROKER_LABEL: self.broker}

    def create(self, engine: Engine) -> Any:
        """Make the container, not yet started, with a volume for its data. Blocks."""
        from docker.types import Mount  # type: ignore[import-untyped]

        engine.native.volumes.create(self.volume, labels=self.labels)
        return engine.api.create(
            self.image,
            command=list(self.contained.argv) or None,
            environment=dict(self.contained.env),
            ports={
                f"{port}/tcp": (LOOPBACK, self.ports[name]) for name, port in self.contained.ports.items()
            },
            labels=self.labels,
            name=self.volume,
            hostname=self.broker,
            mounts=[Mount(self.contained.data, self.volume)],
        )


def image_of(broker: str) -> str:
    """Return the image of a broker: ``LABKIT_NATS_IMAGE`` and so on, else the one the lab is tested with.

    Before it stands the mirror in Testcontainers' own variable, where one is set.
    """
    chosen = os.environ.get(f"LABKIT_{broker.upper()}_IMAGE") or image_recipe_of(broker).IMAGE
    return os.environ.get("TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX", "") + chosen


def plan_for(broker: str, lab: Path, ports: Mapping[str, int]) -> Plan:
    """Return the plan of a broker's container that is reached at these ports."""
    return Plan(broker, lab, ports, image_recipe_of(broker).contained(ports))
