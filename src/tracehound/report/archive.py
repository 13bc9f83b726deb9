"""In: an incident, its mail. Out: the files of a static archive: pages with a search that runs in the browser, from a folder or a server.
Never here: writing them (the edge does), or anything from outside: no font, no script of others, no address.

The search script reads an index that lies beside it as a script, for a page opened from a disk may not fetch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jinja2 import Environment

from tracehound.report import incident_text
from tracehound.report.document import STYLE, fragment
from tracehound.report.incident import Incident

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'self'; script-src 'self'">
<title>{{ title }}</title>
<link rel="stylesheet" href="{{ up }}style.css">
</head>
<body>
<nav aria-label="Archive"><a href="{{ up }}index.html">Case</a> · <a href="{{ up }}timeline.html">Timeline</a>{% if mail %} ·
<a href="{{ up }}mail.html">Correspondence</a>{% endif %} · <a href="{{ up }}search.html">Search</a></nav>
<main>
{{ body | safe }}
</main>
</body>
</html>
"""
_SEARCH: Final = """<h1>Search</h1>
<form role="search"><label for="q">Words</label> <input id="q" type="search" autocomplete="off" size="40"></form>
<p id="count" role="status" aria-live="polite"></p>
<ol id="hits"></ol>
<noscript><p>The search needs the script beside this page; all pages are plain files and can be searched as such.</p></noscript>
<script src="index.js"></script>
<script src="search.js"></script>
"""
_SCRIPT: Final = """'use strict';
const box = document.getElementById('q'), hits = document.getElementById('hits'), count = document.getElementById('count');
function show() {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  hits.replaceChildren();
  if (!words.length) { count.textContent = ''; return; }
  const found = TRACEHOUND_INDEX.map(d => ({ d, text: (d.title + ' ' + d.text).toLowerCase() }))
    .map(x => ({ d: x.d, n: words.filter(w => x.text.includes(w)).length })).filter(x => x.n === words.length);
  count.textContent = found.length + (found.length === 1 ? ' page holds' : ' pages hold') + ' all words';
  for (const { d } of found.slice(0, 200)) {
    const item = document.createElement('li'), link = document.createElement('a'), said = document.createElement('p');
    link.href = d.page; link.textContent = d.title;
    const at = Math.max(0, d.text.toLowerCase().indexOf(words[0]) - 80);
    said.textContent = d.text.slice(at, at + 240);
    item.append(link, said); hits.append(item);
  }
}
box.addEventListener('input', show);
document.querySelector('form').addEventListener('submit', e => { e.preventDefault(); show(); });
"""


def _page(title: str, body: str, *, mail: bool, up: str = "") -> str:
    return Environment(autoescape=True).from_string(_PAGE).render(title=title, body=body, mail=mail, up=up)


def files(incident: Incident, messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Name below the archive's folder -> text.

    messages   rows of the case's `messages`, in the order of their threads"""
    mail = bool(messages)
    report = incident_text.analyst(incident)
    rows = "".join(
        f"| {incident_text.stamp(m.ts_ns)} | {m.side} | {incident_text.plain(f'{m.kind}: {m.what}')} | {incident_text.code(m.source)} |\n"
        for m in incident.timeline
    )
    timeline = f"# Timeline\n\n| when | side | what | from |\n| --- | --- | --- | --- |\n{rows}"
    index: list[dict[str, str]] = [
        {"page": "index.html", "title": incident.title, "text": report},
        *({"page": "timeline.html", "title": f"{incident_text.stamp(m.ts_ns)}: {m.kind}", "text": m.what} for m in incident.timeline),
    ]
    out = {
        "index.html": _page(incident.title, fragment(report), mail=mail),
        "timeline.html": _page("Timeline", fragment(timeline), mail=mail),
        "style.css": STYLE,
        "search.js": _SCRIPT,
        "search.html": _page("Search", _SEARCH, mail=mail),
    }
    listed = []
    for number, m in enumerate(messages, 1):
        name = f"mail/{number:05d}.html"
        head = (
            f"# {incident_text.plain(m['subject'] or '(no subject)')}\n\nFrom {incident_text.plain(m['sender'])}, "
            f"{incident_text.stamp(m['sent_ns'])}\n\nTo {incident_text.plain(m['recipients'])}\n"
        )
        text = "\n".join("    " + line for line in incident_text.visible_lines(m["text"]))
        out[name] = _page(str(m["subject"]), fragment(f"{head}\n\n{text}\n"), mail=True, up="../")
        subject = incident_text.plain(m["subject"] or "(no subject)")
        listed.append(f"- [{subject}]({name}), {incident_text.plain(m['sender'])}, {incident_text.stamp(m['sent_ns'])}")
        index.append({"page": name, "title": str(m["subject"]), "text": f"{m['sender']} {m['text']}"})
    if mail:
        out["mail.html"] = _page("Correspondence", fragment("# Correspondence\n\n" + "\n".join(listed) + "\n"), mail=True)
    # "</" would end a script element if this were ever put into a page; U+2028 ends a line in old engines.
    data = json.dumps(index, ensure_ascii=True).replace("</", "<\\/")
    out["index.js"] = f"'use strict';\nconst TRACEHOUND_INDEX = {data};\n"
    return out
