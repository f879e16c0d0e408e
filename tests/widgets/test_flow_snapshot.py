"""The picture that stays in a saved notebook."""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

from labkit.topology import Lane, LaneQueue, LaneSubscriber
from labkit.widgets.flow_picture import flow_svg
from labkit.widgets.flow_snapshot import FlowSnapshot
from tests.widgets.places import PLACES, places

NATS = Lane("nats", "subject", "orders.*", (LaneSubscriber("audit", "orders.*"),), confirms=False)
RABBITMQ = Lane(
    "rabbitmq", "topic exchange", "<orders>", (LaneSubscriber("billing", queue=LaneQueue("billing")),)
)
COUNTS = (
    {"publishers": [[1200, 0, 0, 0, 0]], "subscribers": [[1200, 0]]},
    {"publishers": [[1200, 1187, 10, 3, 2]], "subscribers": [[1180, 10]]},
)
TEXT = "{http://www.w3.org/2000/svg}text"
SNAPSHOT = FlowSnapshot("Orders & more", (NATS, RABBITMQ), COUNTS)


def words_in(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(TEXT)]


def test_the_table_has_a_row_for_everybody_with_true_totals() -> None:
    assert repr(SNAPSHOT).splitlines() == [
        "Orders & more",
        "Broker    Who      Sent  Confirmed  Refused  In doubt  Unheard  Received  Again",
        "NATS      shop     1200      never        0         0        0",
        "NATS      audit                                                     1200      0",
        "RabbitMQ  shop     1200       1187       10         3        2",
        "RabbitMQ  billing                                                   1190     10",
    ]


def test_html_has_the_picture_as_an_image_inside_it_and_the_table() -> None:
    html = SNAPSHOT._repr_html_()
    found = re.search(r'<img alt="Orders &amp; more" src="data:image/svg\+xml;base64,([^"]+)">', html)
    assert found
    assert "<orders>" in words_in(base64.b64decode(found[1]).decode())
    assert html.count("<tr>") == 5
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")


def test_the_same_totals_always_look_the_same() -> None:
    again = FlowSnapshot("Orders & more", (NATS, RABBITMQ), COUNTS)
    assert again._repr_html_() == SNAPSHOT._repr_html_()


def test_the_picture_shows_names_kinds_and_numbers() -> None:
    words = words_in(flow_svg((NATS, RABBITMQ), COUNTS))
    for expected in (
        "NATS",
        "subject",
        "orders.*",
        "1,200 sent",
        "no confirms",
        "✕ 10 refused",
        "? 3 in doubt",
        "✕ 2 unheard",
    ):
        assert expected in words


def test_what_did_not_happen_is_not_in_the_picture() -> None:
    words = " ".join(words_in(flow_svg((NATS,), COUNTS[:1])))
    assert not re.search("refused|in doubt|unheard", words)


def test_what_is_in_doubt_stands_where_refusals_stand_or_below_them() -> None:
    def heights(refused: int, in_doubt: int) -> dict[str, float]:
        counts = {"publishers": [[20, 0, refused, in_doubt, 0]], "subscribers": [[0, 0]]}
        texts = ET.fromstring(flow_svg((RABBITMQ,), (counts,))).iter(TEXT)
        return {(one.text or "").split(" ")[0]: float(one.attrib["y"]) for one in texts}

    both = heights(10, 3)
    assert both["?"] - both["✕"] >= 11
    assert heights(0, 3)["?"] == both["✕"] == heights(10, 0)["✕"]


def test_of_several_publishers_each_shows_in_its_own_box_what_failed() -> None:
    lane = replace(RABBITMQ, publishers=("shop", "till"))
    counts = {"publishers": [[20, 7, 10, 3, 0], [5, 5, 0, 0, 0]], "subscribers": [[0, 0]]}
    svg = flow_svg((lane,), (counts,))
    words = words_in(svg)
    assert {"✕ 10", "? 3", "all confirmed"} <= set(words)
    assert "7 confirmed" not in words
    heights = {one.text: float(one.attrib["y"]) for one in ET.fromstring(svg).iter(TEXT)}
    assert heights["20 sent"] < heights["✕ 10"] == heights["? 3"] < heights["till"]


def test_without_counts_it_shows_no_number() -> None:
    assert not any(re.search(r"\d", word) for word in words_in(flow_svg((NATS, RABBITMQ))))


def test_nodes_stand_where_the_page_puts_them() -> None:
    assert json.loads(PLACES.read_text()) == places(), "the layout changed: python tests/widgets/places.py"
