"""In: the tables of keywords. Out: one table a dialect: name or alias -> keyword. Never here: reading rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tracehound.rules.keywords import events, file_facts, meta, packet, payload, services, state, transforms
from tracehound.rules.keywords.assembly import Assembly
from tracehound.rules.keywords.buffers import ALSO, BASE64_DATA, BUFFERS, HEADER_FIELDS, PAYLOAD
from tracehound.rules.keywords.keyword import Keyword, KeywordError
from tracehound.rules.keywords.payload import no_value, required
from tracehound.rules.rule import Buffer


def _sticky(buffer: Buffer) -> Callable[[Assembly, str | None], None]:
    def read(a: Assembly, value: str | None) -> None:
        if value in ("to_server", "to_client"):
            _side(a, buffer, value)
            return
        no_value(value)
        a.open(buffer)

    return read


def _side(a: Assembly, buffer: Buffer, value: str) -> None:
    # Suricata 8, transactional rules: `file.data: to_client;`
    if a.header.direction != "=>":
        raise KeywordError(f"takes {value} only in rules with the direction =>")
    if buffer.side is not None:
        raise KeywordError(f"is {buffer.side} anyway")
    group = a.open(buffer, value)
    group.side = "to_server" if value == "to_server" else "to_client"


def _moving(name: str) -> Callable[[Assembly, str | None], None]:
    def read(a: Assembly, value: str | None) -> None:
        no_value(value)
        a.move(name)

    return read


def _snort3_sticky(buffer: Buffer) -> Callable[[Assembly, str | None], None]:
    """Snort 3's buffers may take a part of the message: `http_header: field host, request;`, `http_param: "id", nocase;`."""

    def read(a: Assembly, value: str | None) -> None:
        words = value.lower().split() if value else []
        if buffer.name == "http.header" and len(words) == 2 and words[0] == "field" and words[1] in HEADER_FIELDS:
            a.open(BUFFERS[HEADER_FIELDS[words[1]]])
            return
        a.open(buffer, " ".join(value.split()) if value else "")
        if value:
            a.need("buffer:" + buffer.name + ":part")

    return read


def _frame(a: Assembly, value: str | None) -> None:
    name = required(value).strip()
    group = a.open(BUFFERS["frame"], name)
    group.option = a.option
    a.need("frame:" + name)
    service = name.partition(".")[0]
    if "." in name:
        a.speaks((_FRAME_SERVICES.get(service, service),))


_FRAME_SERVICES: Final = {"http1": "http1", "stream": "stream"}


def _buffers() -> list[Keyword]:
    found = []
    for b in BUFFERS.values():
        if b is BASE64_DATA or b.name == "frame":
            continue
        letters = "s" + ("2" if b.snort2 and b.snort2 in (b.name, *b.aliases) else "") + ("3" if b.snort3 in (b.name, *b.aliases) else "")
        name = b.aliases[0] if b is PAYLOAD else b.name
        aliases = tuple(x for x in b.aliases if x != name)
        found.append(Keyword(name, "buffer", b.meaning, _sticky(b), (), aliases, letters))
        if b.modifier:
            found.append(Keyword(b.modifier, "modifier", f"the content before it is in {b.name}", _moving(b.name), dialects="s2"))
    for word, name in ALSO.items():
        found.append(Keyword(word, "modifier", f"the content before it is in {name}", _moving(name), dialects="2"))
    found.append(Keyword("frame", "buffer", BUFFERS["frame"].meaning, _frame))
    return found


def _spread(keywords: list[Keyword]) -> dict[str, Keyword]:
    table: dict[str, Keyword] = {}
    for k in keywords:
        for name in (k.name, *k.aliases):
            assert name not in table, f"two keywords are called {name}"
            table[name] = k
    return table


ALL: Final[tuple[Keyword, ...]] = (
    *meta.KEYWORDS,
    *packet.KEYWORDS,
    *payload.KEYWORDS,
    *_buffers(),
    *transforms.KEYWORDS,
    *events.KEYWORDS,
    *file_facts.KEYWORDS,
    *services.KEYWORDS,
    *state.KEYWORDS,
)
"""Every keyword, in the order of the documentation."""

COMMON: Final = _spread(list(ALL))
"""Suricata's and Snort 2's spelling -> keyword."""

SNORT3: Final = dict(COMMON)
"""Snort 3's spelling -> keyword: its buffers are all sticky, and contents have their modifiers behind commas."""
for _b in BUFFERS.values():
    if _b.snort3 and _b is not PAYLOAD and _b is not BASE64_DATA:
        SNORT3[_b.snort3] = Keyword(_b.snort3, "buffer", _b.meaning, _snort3_sticky(_b), (), (), "3")
for _word, _name in ALSO.items():
    SNORT3[_word] = Keyword(_word, "buffer", BUFFERS[_name].meaning, _snort3_sticky(BUFFERS[_name]), (), (), "3")
SNORT3["content"] = Keyword("content", "payload", COMMON["content"].meaning, payload._inline_content, dialects="3")
