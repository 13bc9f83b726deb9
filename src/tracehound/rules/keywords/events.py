"""In: the values of app-layer-event, decode-event, stream-event, engine-event, app-layer-protocol. Out: their tests in the
assembly. Never here: which events the engine sees (it declares `event:KIND:NAME`).

Source: Suricata 8 (rules/*-events.rules, decode-events.h, app-layer keywords)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal

from tracehound.rules.keywords.assembly import Assembly
from tracehound.rules.keywords.keyword import Keyword, KeywordError
from tracehound.rules.keywords.payload import required
from tracehound.rules.rule import Event, WordTest

_NAME: Final = re.compile(r"[\w.\-]+")


def _event(kind: Literal["app-layer", "decode", "stream", "engine"]) -> Callable[[Assembly, str | None], None]:
    def read(a: Assembly, value: str | None) -> None:
        name = required(value).strip().lower()
        if not _NAME.fullmatch(name):
            raise KeywordError(f"{name[:40]!r} is no name of an event")
        if kind == "app-layer" and "." in name:
            service = name.partition(".")[0]
            if service not in ("applayer",):
                a.speaks((_SERVICES.get(service, service),))
        a.tests.append(Event(kind, name))
        a.need(f"event:{kind}:{name}")

    return read


_SERVICES: Final = {"ssl": "tls", "tls": "tls"}
_MODES: Final = ("final", "original", "to_server", "to_client", "either", "exact")


def _app_layer_protocol(a: Assembly, value: str | None) -> None:
    text = required(value)
    negated = text.startswith("!")
    name, *modes = (w.strip() for w in text.lstrip("! ").split(","))
    if not _NAME.fullmatch(name):
        raise KeywordError(f"{name[:40]!r} is no name of a protocol")
    for mode in modes:
        if mode not in _MODES:
            raise KeywordError(f"{mode[:40]!r} is none of {', '.join(_MODES)}")
    if len(modes) > 1 and set(modes) - {"exact"} == set(modes):
        raise KeywordError(f"{' and '.join(modes)} exclude each other")
    a.tests.append(WordTest("app-layer-protocol", (name,), negated, ",".join(modes)))
    a.need("test:app-layer-protocol")


KEYWORDS: Final = (
    Keyword("app-layer-event", "event", "an event of an application protocol", _event("app-layer")),
    Keyword("decode-event", "event", "an event of the decoder", _event("decode")),
    Keyword("stream-event", "event", "an event of the stream", _event("stream")),
    Keyword("engine-event", "event", "an event of the engine", _event("engine")),
    Keyword("app-layer-protocol", "event", "the application protocol that was recognised", _app_layer_protocol),
)  # fmt: skip
"""Keywords of this file."""
