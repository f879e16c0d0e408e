"""Recordings as files: JSON, compressed or not. What is read is checked, for a page trusts it."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

from labkit.errors import LabError
from labkit.events import Kind
from labkit.servers.server import State
from labkit.widgets.flow_batch import PUBLISHER_KINDS, SUBSCRIBER_KINDS

__all__ = ["FORMAT", "VERSION", "compact", "read_recording", "write_recording"]

FORMAT = "broker-lab recording"
VERSION = 1
MOST_BYTES = 64_000_000
"""What a file may hold once unpacked; the largest recording the lab makes is a quarter of it."""
GZIP = b"\x1f\x8b"
LANE_KEYS = {"publishers", "subscribers", "state", "ready_in", "listening", "depths"}

Data = dict[str, Any]


def compact(data: Mapping[str, Any]) -> str:
    """Return JSON without a needless blank."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


def write_recording(path: Path, data: Mapping[str, Any]) -> Path:
    """Write a recording, compressed if the name ends in ``.gz``. Raises ``LabError`` if it cannot."""
    text = compact(data).encode()
    try:
        # No time in the archive: the same recording is the same bytes.
        path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    except OSError as error:
        remedy = "choose a folder that is there and can be written"
        raise LabError(f"{path} could not be written: {error.strerror}.", remedy=remedy) from error
    return path


def read_recording(path: Path) -> Data:
    """Return the recording in a file. Raises ``LabError`` if there is none, or not one that can be played."""
    try:
        data = json.loads(_unpacked(path))
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError, RecursionError) as error:
        _refuse(path, "is no recording, or is cut off", error)
    except OSError as error:
        raise LabError(f"{path} could not be read: {error.strerror}.", remedy="check its name") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        _refuse(path, "is no recording of Broker Lab")
    if data.get("version") != VERSION:
        what = f"has format version {data.get('version')!r}, and this Broker Lab reads {VERSION}"
        _refuse(path, what, remedy="update Broker Lab, or record it anew")
    try:
        _check(data)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        _refuse(path, "is a damaged recording", error)
    return data


def _unpacked(path: Path) -> str:
    with path.open("rb") as file:
        is_packed = file.read(len(GZIP)) == GZIP
    with gzip.open(path) if is_packed else path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"It holds more than {MOST_BYTES:,} bytes.")
    return content.decode()


def _refuse(
    path: Path,
    what: str,
    cause: Exception | None = None,
    remedy: str = "load a file that recording.save(path) wrote, or record it anew",
) -> NoReturn:
    detail = f" ({type(cause).__name__}: {cause})" if cause is not None and str(cause) else ""
    raise LabError(f"{path} {what}{detail}.", remedy=remedy) from cause


def _check(data: Data) -> None:
    """Raise one of several errors if something is not what a page takes it for."""
    _require(isinstance(data["title"], str), "title")
    date.fromisoformat(data["recorded"])
    _require(all(isinstance(word, str) for pair in data["brokers"].items() for word in pair), "brokers")
    _require(all(_is_count(data["left_out"][name]) for name in ("batches", "dots")), "left_out")
    _require(set(data["kinds"]) <= set(Kind), "kinds")
    _require(bool(data["frames"]) and "show" in data["frames"][0], "the first frame shows no lanes")
    last = 0.0
    shown: list[Data] = []
    for number, frame in enumerate(data["frames"]):
        if "show" in frame:
            shown = [_checked_lane(lane) for lane in frame["show"]]
        for problem in _problems(frame, shown, data["kinds"]):
            raise ValueError(f"frame {number}: {problem}")
        _require(math.isfinite(frame["at"]) and frame["at"] >= last, f"frame {number}: time")
        last = frame["at"]


def _problems(frame: Data, shown: list[Data], kinds: list[str]) -> Iterator[str]:
    lanes = frame.get("lanes", {})
    places = {str(at) for at in range(len(shown))}
    if not set(lanes) <= places or ("show" in frame and set(lanes) != places):
        yield "lanes"
    for at, news in lanes.items():
        yield from _lane_problems(shown[int(at)], news, is_first="show" in frame)
    for lane, kind, node, when in frame.get("dots", []):
        nodes = shown[lane]["subscribers" if kinds[kind] in SUBSCRIBER_KINDS else "publishers"]
        if not (all(map(_is_count, (lane, kind, node, when))) and node < len(nodes)):
            yield "dots"
    for broker, state in frame.get("changes", []):
        if not isinstance(broker, str) or not _is_state(state):
            yield "changes"
    if not isinstance(frame.get("caption", ""), str):
        yield "caption"


def _lane_problems(lane: Data, news: Data, is_first: bool) -> Iterator[str]:
    if not set(news) <= LANE_KEYS or (is_first and set(news) != LANE_KEYS):
        yield "parts of a lane"
    rows = {"publishers": len(PUBLISHER_KINDS), "subscribers": len(SUBSCRIBER_KINDS)}
    yield from (
        name
        for name, width in rows.items()
        if name in news and not _is_table(news[name], len(lane[name]), width)
    )
    if "state" in news and not _is_state(news["state"]):
        yield "state"
    for name, nodes in {"listening": "subscribers", "depths": "queues"}.items():
        if name in news and len(news[name]) != len(lane[nodes]):
            yield name


def _checked_lane(lane: Data) -> Data:
    words = [lane[name] for name in ("broker", "kind", "name")] + lane["publishers"] + lane["queues"]
    words += [one[name] for one in lane["subscribers"] for name in ("name", "filter")]
    _require(all(isinstance(word, str) for word in words), "words of a lane")
    _require(isinstance(lane["confirms"], bool), "confirms")
    queues = [one["queue"] for one in lane["subscribers"]]
    _require(all(queue is None or 0 <= queue < len(lane["queues"]) for queue in queues), "queues")
    return lane


def _is_table(rows: Any, count: int, width: int) -> bool:
    return len(rows) == count and all(len(row) == width and all(map(_is_count, row)) for row in rows)


def _is_state(word: Any) -> bool:
    return word in list(State)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def _require(is_so: bool, what: str) -> None:
    if not is_so:
        raise ValueError(what)
