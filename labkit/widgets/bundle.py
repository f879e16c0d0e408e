"""One ES module out of several files, so that each can be read and tested alone and no build is needed."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["script", "style"]

HERE = Path(__file__).parent
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class) )", re.MULTILINE)


def script(stem: str) -> str:
    """Return ``<stem>.js`` with the siblings it imports written in place of the imports, each once."""
    return _inlined(stem, done=set(), is_main=True)


def style(*stems: str) -> str:
    """Return these style sheets, one after another."""
    return "\n".join((HERE / f"{stem}.css").read_text(encoding="utf-8") for stem in stems)


def _inlined(stem: str, done: set[str], is_main: bool = False) -> str:
    if stem in done:
        return ""
    done.add(stem)
    text = (HERE / f"{stem}.js").read_text(encoding="utf-8")
    siblings = [_inlined(sibling, done) for sibling in IMPORT.findall(text)]
    own = IMPORT.sub("", text)
    return "".join(siblings) + (own if is_main else EXPORT.sub("", own))
