"""In: Markdown of our own making (incident_text.py, notes). Out: one HTML page that works offline, prints well, light and dark.
Never here: writing it, or Markdown's rules (markdown-it-py reads it, with raw HTML off)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from jinja2 import Environment
from markdown_it import MarkdownIt

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; --line: #c9ccd1; --soft: #f2f4f7; --link: #0b57d0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #16181c; --line: #41464e; --soft: #22262c; --link: #8ab4f8; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 2rem auto; }
body { padding: 0 1rem; }
a { color: var(--link); }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; font-size: .9rem; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
code, pre { font: .88em/1.45 ui-monospace, monospace; background: var(--soft); border-radius: 3px; }
code { padding: 0 .2em; overflow-wrap: anywhere; } pre { padding: .7rem; overflow-x: auto; } pre code { padding: 0; }
blockquote { margin: .5rem 0; padding: .1rem 1rem; border-left: 4px solid var(--line); }
@media print {
  body { margin: 0; max-width: none; font-size: 10pt; color: #000; background: #fff; }
  table { display: table; font-size: 8pt; } h2 { break-after: avoid; } tr { break-inside: avoid; }
}
@page { margin: 18mm 15mm; @bottom-center { content: counter(page) " / " counter(pages); font-size: 8pt; } }
"""
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ title }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<main>
{{ body | safe }}
</main>
</body>
</html>
"""


@lru_cache(maxsize=1)
def _reader() -> MarkdownIt:
    """CommonMark with tables; raw HTML is text, links go to http(s) and mailto only, pictures are not loaded."""
    return MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").disable("image")


def fragment(markdown: str) -> str:
    """Markdown as HTML without a page around it; safe to be put into a page."""
    return str(_reader().render(markdown))


def page(markdown: str, title: str) -> str:
    """Markdown as a whole page."""
    environment = Environment(autoescape=True)
    return environment.from_string(_PAGE).render(title=title, style=STYLE, body=fragment(markdown))
