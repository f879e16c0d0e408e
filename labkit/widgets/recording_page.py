"""A recording as one HTML file: picture, player and data in it, nothing fetched."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from labkit.widgets.bundle import script, style
from labkit.widgets.flow_snapshot import flow_image
from labkit.widgets.recording_file import compact

if TYPE_CHECKING:
    from labkit.widgets.recording import Recording

__all__ = ["page"]

KEYS = "Keys: <kbd>space</kbd> plays and pauses, <kbd>←</kbd> and <kbd>→</kbd> step from batch to batch."

# The policy is the browser's word that the page asks nobody for anything.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{heading}</title>
<style>
{style}</style>
</head>
<body>
<main>
<h1>{heading}</h1>
<p class="intro">{intro} {keys}</p>
<div id="player"></div>
<noscript>{image}</noscript>
</main>
<script type="application/json" id="recording">{data}</script>
<script type="module">
{script}</script>
</body>
</html>
"""


def page(recording: Recording, *, heading: str = "", intro: str = "") -> str:
    """Return the page; ``intro`` is a plain sentence or two above the player."""
    return PAGE.format(
        heading=escape(heading or recording.title or "A recording"),
        intro=escape(intro),
        keys=KEYS,
        image=flow_image(recording.lanes, recording.at(recording.seconds), recording.title),
        # Inside a script only "</" could end it, and JSON lets a slash be escaped.
        data=compact(recording.data()).replace("</", "<\\/").replace("<!--", "<\\u0021--"),
        style=style("tokens", "message_flow", "flow_player", "flow_page"),
        script=script("flow_page"),
    )
