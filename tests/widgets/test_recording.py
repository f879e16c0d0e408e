"""A recording holds what the page was told, and a file of one is read back whole or refused with a reason."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit.errors import LabError
from labkit.events import Kind, Place
from labkit.feed import Feed
from labkit.message import Message
from labkit.servers.server import State
from labkit.topology import Lane, LaneQueue, LaneSubscriber
from labkit.widgets import FlowPlayer, MessageFlow, Recording, play
from labkit.widgets import recording as module
from labkit.widgets.recording_file import VERSION
from tests.support import until
from tests.widgets.conftest import KnownServer, Page

SHOP = Place("rabbitmq", "orders", "shop")
BILLING = Place("rabbitmq", "billing", "billing")
LANE = Lane("rabbitmq", "topic exchange", "orders", (LaneSubscriber("billing", "", LaneQueue("billing")),))
TWO = Lane("rabbitmq", "exchange", "orders", (LaneSubscriber("billing"), LaneSubscriber("audit")))


class Picture:
    """A flow that nobody looks at, its feed and its server."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.server = KnownServer("rabbitmq")
        servers: Any = {"rabbitmq": self.server}
        self.flow = MessageFlow([LANE], feed=self.feed, servers=servers, title="Orders")
        self.page = Page(self.flow)

    def happen(self, kind: Kind, place: Place, times: int = 1) -> None:
        meter = self.feed.meter(kind, place)
        for _ in range(times):
            meter(Message(b"{}", "orders.paid"))


async def recorded(recording: Recording, sent: int) -> None:
    await until(lambda: recording.frames and recording.at(1e9)[0]["publishers"][0][0] == sent)


@pytest.fixture
async def picture() -> Any:
    picture = Picture()
    yield picture
    picture.flow.stop()


@pytest.fixture
async def saved(picture: Picture) -> Recording:
    """A recording of orders, a kill, and a subscriber more."""
    recording = picture.flow.record()
    recording.caption("The shop opens.")
    for count in (3, 5):
        picture.happen(Kind.SENT, SHOP, count)
        picture.happen(Kind.DELIVERED, BILLING, count)
        await recorded(recording, 3 if count == 3 else 8)
    picture.server.become(State.DEAD)
    await until(lambda: recording.at(1e9)[0]["state"] == "dead")
    picture.flow.show(TWO)
    await until(lambda: len(recording.lanes[0].subscribers) == 2)
    recording.stop()
    return recording


async def test_it_records_though_no_page_shows_the_picture_and_ends_when_told(picture: Picture) -> None:
    recording = picture.flow.record()
    picture.happen(Kind.SENT, SHOP, 7)
    await recorded(recording, 7)
    recording.stop()
    frames = len(recording.frames)
    picture.happen(Kind.SENT, SHOP, 7)
    picture.page.watch()
    await until(lambda: picture.page.of("batch")[-1]["lanes"][0]["publishers"][0][0] == 14)
    assert len(recording.frames) == frames
    assert not recording.is_recording


async def test_a_page_that_looks_does_not_end_a_recording_and_its_end_does_not_end_the_page(
    picture: Picture,
) -> None:
    recording = picture.flow.record()
    picture.page.watch()
    await until(lambda: recording.frames)
    recording.stop()
    assert picture.flow._pump()._watched_until[picture.flow] < float("inf")
    picture.happen(Kind.SENT, SHOP, 2)
    await until(lambda: picture.page.of("batch")[-1]["lanes"][0]["publishers"][0][0] == 2)


async def test_its_state_at_each_time_is_what_the_page_was_told_then(picture: Picture) -> None:
    recording = picture.flow.record()
    for total in (4, 8, 12):
        picture.happen(Kind.SENT, SHOP, 4)
        await recorded(recording, total)
    picture.flow.stop()
    told = picture.page.of("batch")
    assert len(told) == len(recording.frames)
    for batch, frame in zip(told, recording.frames, strict=True):
        assert recording.at(frame["at"]) == batch["lanes"]


async def test_dots_captions_and_changes_are_kept(saved: Recording) -> None:
    dots = [dot for frame in saved.frames for dot in frame.get("dots", [])]
    kinds = [saved.data()["kinds"][kind] for _, kind, _, _ in dots]
    assert {"sent", "delivered"} == set(kinds)
    assert all(isinstance(milliseconds, int) for *_, milliseconds in dots)
    assert [frame["caption"] for frame in saved.frames if "caption" in frame] == ["The shop opens."]
    assert [frame["changes"] for frame in saved.frames if "changes" in frame] == [[["rabbitmq", "dead"]]]
    assert saved.brokers == {"rabbitmq": KnownServer("rabbitmq").version}


async def test_what_did_not_change_is_not_said_again(saved: Recording) -> None:
    later = [frame["lanes"] for frame in saved.frames[1:] if "lanes" in frame and "show" not in frame]
    assert later
    assert all("listening" not in lanes["0"] for lanes in later)


async def test_the_end_of_the_picture_is_the_end_of_the_recording(picture: Picture) -> None:
    recording = picture.flow.record()
    picture.happen(Kind.SENT, SHOP, 5)
    picture.flow.stop()
    assert not recording.is_recording
    assert recording.at(recording.seconds)[0]["publishers"] == [[5, 0, 0, 0, 0]]
    with pytest.raises(LabError, match="is stopped"):
        picture.flow.record()


def test_a_picture_outside_of_a_loop_cannot_be_recorded() -> None:
    with pytest.raises(LabError, match="no event loop"):
        MessageFlow([LANE], feed=Feed(), servers={}).record()


async def test_a_recording_of_nothing_is_not_saved(picture: Picture, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="Nothing was recorded"):
        picture.flow.record().save(tmp_path / "empty.json")


async def test_what_has_no_room_is_counted(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FRAMES", 2)
    monkeypatch.setattr(module, "MOST_DOTS", 3)
    recording = picture.flow.record()
    for total in (5, 10, 15):
        picture.happen(Kind.SENT, SHOP, 5)
        batches = len(picture.page.told)
        await until(lambda batches=batches: len(picture.page.told) > batches)
        assert picture.page.told[-1]["lanes"][0]["publishers"][0][0] == total
    assert len(recording.frames) == 2
    assert recording.left_out == {"batches": 1, "dots": 7}
    assert recording.at(1e9)[0]["publishers"][0][0] == 10, "totals do without dots"


@pytest.mark.parametrize("name", ["shop.flow.json", "shop.flow.json.gz"])
async def test_a_file_is_read_back_whole(saved: Recording, tmp_path: Path, name: str) -> None:
    path = saved.save(tmp_path / name)
    again = Recording.load(path)
    assert again.data() == saved.data()
    assert repr(again) == repr(saved) == "<recording: rabbitmq exchange 'orders'>"
    assert again.lanes == saved.lanes
    first = path.read_bytes()
    assert again.save(path).read_bytes() == first, "the same recording is the same bytes"
    assert (first[:2] == b"\x1f\x8b") == name.endswith(".gz")


def damages() -> Iterator[Any]:
    def damage(name: str, spoil: Callable[[dict[str, Any]], Any]) -> Any:
        return pytest.param(spoil, id=name)

    yield damage("no-frames", lambda data: data.update(frames=[]))
    yield damage("no-title", lambda data: data.pop("title"))
    yield damage("no-lanes", lambda data: data["frames"][0].pop("show"))
    yield damage("a-date-that-is-none", lambda data: data.update(recorded="yesterday"))
    yield damage("a-kind-that-is-none", lambda data: data["kinds"].append("vanished"))
    yield damage("time-goes-back", lambda data: data["frames"][-1].update(at=-1))
    yield damage("time-is-words", lambda data: data["frames"][-1].update(at="late"))
    yield damage("endless-time", lambda data: data["frames"][-1].update(at=float("inf")))
    yield damage("a-lane-too-many", lambda data: data["frames"][-1].update(lanes={"7": {}}))
    yield damage("a-row-too-short", lambda data: data["frames"][0]["lanes"]["0"].update(publishers=[[1]]))
    yield damage("a-state-unheard-of", lambda data: data["frames"][-1].update(lanes={"0": {"state": "odd"}}))
    yield damage("a-dot-nowhere", lambda data: data["frames"][-1].update(dots=[[0, 0, 9, 1]]))
    yield damage("a-part-missing", lambda data: data["frames"][0]["lanes"]["0"].pop("depths"))
    yield damage("a-caption-of-numbers", lambda data: data["frames"][0].update(caption=5))
    yield damage("frames-that-are-words", lambda data: data.update(frames=["a", "b"]))


@pytest.mark.parametrize("spoil", list(damages()))
async def test_a_damaged_recording_is_refused(
    saved: Recording, tmp_path: Path, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    path = saved.save(tmp_path / "shop.json")
    data = json.loads(path.read_text())
    spoil(data)
    path.write_text(json.dumps(data))
    with pytest.raises(LabError, match=r"shop\.json is a damaged recording") as refused:
        play(path)
    assert "record it anew" in refused.value.remedy


async def test_a_file_that_is_cut_off_is_refused(saved: Recording, tmp_path: Path) -> None:
    for name in ("shop.json", "shop.json.gz"):
        path = saved.save(tmp_path / name)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(LabError, match="is cut off"):
            Recording.load(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe", b"[1]", b"{}", b"\x1f\x8bno", b"null"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(LabError, match="is no recording"):
        Recording.load(path)


def test_a_file_that_unpacks_to_more_than_any_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b" " * 64_000_001))
    with pytest.raises(LabError, match="more than 64,000,000 bytes"):
        Recording.load(path)


async def test_a_file_of_another_version_is_refused_and_says_which(saved: Recording, tmp_path: Path) -> None:
    path = saved.save(tmp_path / "shop.json")
    path.write_text(path.read_text().replace(f'"version":{VERSION}', '"version":99'))
    with pytest.raises(LabError, match="format version 99") as refused:
        Recording.load(path)
    assert "update Broker Lab" in refused.value.remedy


async def test_a_path_that_cannot_be_used_is_an_error_that_names_it(saved: Recording, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"missing\.json could not be read: No such file"):
        Recording.load(tmp_path / "missing.json")
    with pytest.raises(LabError, match=r"a\.json could not be written"):
        saved.save(tmp_path / "nowhere" / "a.json")


async def test_a_player_gives_its_page_everything_and_a_saved_notebook_the_last_picture(
    saved: Recording, tmp_path: Path
) -> None:
    player = play(saved.save(tmp_path / "shop.json.gz"))
    assert isinstance(player, FlowPlayer)
    assert player.recording["frames"] == saved.frames
    first, second = (play(saved)._repr_mimebundle_()[0] for _ in range(2))
    assert first["text/html"] == second["text/html"]
    assert first["text/plain"] == "<recording: rabbitmq exchange 'orders'>"


async def test_the_page_holds_all_it_needs_and_forbids_the_rest(saved: Recording, tmp_path: Path) -> None:
    saved.frames[0]["caption"] = "</script><!--<script>alert(1)"
    html = saved.to_html(tmp_path / "look.html", heading="A <crash>").read_text()
    assert "<title>A &lt;crash&gt;</title>" in html
    assert "default-src 'none'" in html
    assert html.count("</script>") == 2
    assert "<!--" not in html.split("</style>")[1]
    assert not re.search(r'(src|href)="(?!data:)', html)
    found = re.search(r'id="recording">(.*?)</script>', html)
    assert found
    assert json.loads(found[1]) == saved.data()
