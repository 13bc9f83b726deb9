"""In: requests of one suspect (HTTP requests or first payload bytes). Out: what they have in common: a model.Template with
constant and variable parts. Never here: choosing the requests (findings/verdict.py) or drafting a rule.

The method is that of sequence alignment over tokens (Newsome, Karp, Song: Polygraph, 2005; methods of the field): requests
are tokenised by structure, grouped by shape, aligned token by token, and each position is constant or gets the tightest
class that covers all samples. A class is a guess where few samples stand behind it, so their number goes with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tracehound import limits
from tracehound.findings.model import Citation, Citations, Template, TemplatePart

EXAMPLES: Final = 3
BROWSER_HEADERS: Final = ("Host", "User-Agent", "Accept", "Accept-Language", "Accept-Encoding", "Referer", "Connection")
"""What an ordinary browser of any year since 1997 sends with a request that follows a link; absence of Referer or
User-Agent on every probe sets a program apart (RFC 9110 sections 10.1.3 and 10.1.5)."""
MIN_SIMILARITY: Final = 0.8
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. HTTP: method, uri, version, headers; else `payload` (first bytes of the flow or datagram).

    method         None: not HTTP, align `payload`
    uri            request target as sent
    version        '0.9', '1.0', '1.1'
    header_names, header_values   in order, as sent
    payload        HTTP: request body as far as kept; otherwise the first payload bytes
    length         bytes of the request (head and body) or of the payload on the wire
    target, own    addresses of the target and of the suspect, canonical text
    ts_ns          time of the request
    flow_id, txn_id, citation     what it rests on
    """

    method: str | None = None
    uri: str = ""
    version: str = ""
    header_names: tuple[str, ...] = ()
    header_values: tuple[str, ...] = ()
    payload: bytes = b""
    length: int = 0
    target: str = ""
    own: str = ""
    ts_ns: int = 0
    flow_id: int | None = None
    txn_id: int | None = None
    citation: Citation | None = None


# -- tokens -----------------------------------------------------------------------------------------------------------
_TOKEN = re.compile(
    r"(?P<quad>(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]))"
    r"|(?P<word>%[0-9A-Fa-f]{2}|%u[0-9A-Fa-f]{4}|[A-Za-z0-9]+)"
    r"|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)


def tokens(text: str) -> list[str]:
    """Text -> words, dotted quads, escapes and single delimiters; joined they give the text again."""
    return [m.group() for m in _TOKEN.finditer(text)]


def token_type(token: str) -> str:
    """Shape of a token for alignment: delimiters are themselves, words are one type."""
    if token[:1].isalnum() or token[:1] == "%":
        return "word"
    return "space" if token.isspace() else token


# -- classes ----------------------------------------------------------------------------------------------------------
def _span(values: Sequence[str]) -> str:
    low, high = min(map(len, values)), max(map(len, values))
    return f"{low}" if low == high else f"{low},{high}"


def _all(pattern: str) -> Callable[[Sequence[str]], bool]:
    compiled = re.compile(pattern)
    return lambda values: all(compiled.fullmatch(v) is not None for v in values)


_CLASSES: Final[tuple[tuple[str, Callable[[Sequence[str]], bool]], ...]] = (
    ("digit", _all(r"\d+")),
    ("lower", _all(r"[a-z]+")),
    ("upper", _all(r"[A-Z]+")),
    ("letter", _all(r"[A-Za-z]+")),
    ("hex", _all(r"[0-9a-f]+|[0-9A-F]+")),
    ("alnum", _all(r"[A-Za-z0-9]+")),
    ("base64", _all(r"(?=.{8,})[A-Za-z0-9+/_-]+={0,2}")),
)
"""Tightest first. A run of hex digits that happen to be digits only is called digit, one of letters only letter."""


def _is_timestamp(values: Sequence[str], samples: Sequence[Sample]) -> bool:
    """Epoch seconds or milliseconds within a day of the packet's time, in every sample."""
    if not all(re.fullmatch(r"\d{9,13}", v) for v in values) or not all(s.ts_ns for s in samples):
        return False
    for value, sample in zip(values, samples, strict=True):
        seconds = int(value) / (1000 if len(value) == 13 else 1)
        if abs(seconds - sample.ts_ns / 1e9) > DAY_S:
            return False
    return True


def _is_counter(values: Sequence[str], samples: Sequence[Sample]) -> bool:
    """At least four numbers, none less than the one before in time, changing often, in steps small against their range."""
    if len(values) < 4 or not all(v.isascii() and v.isdigit() and len(v) < 19 for v in values):
        return False
    order = sorted(range(len(values)), key=lambda i: samples[i].ts_ns)
    numbers = [int(values[i]) for i in order]
    steps = [b - a for a, b in pairwise(numbers)]
    return min(steps) >= 0 and len(set(numbers)) * 2 >= len(numbers) and numbers[-1] > numbers[0]


def classify(values: Sequence[str], samples: Sequence[Sample]) -> str:
    """The tightest class that covers all values (one a sample, in the same order), for instance digit{9} or hex{4,8}."""
    if all(s.target for s in samples) and all(v == s.target for v, s in zip(values, samples, strict=True)):
        return "target address"
    if all(s.own for s in samples) and all(v == s.own for v, s in zip(values, samples, strict=True)):
        return "own address"
    if _all(r"\d{1,3}(\.\d{1,3}){3}")(values):
        return "dotted quad"
    if _is_timestamp(values, samples):
        return "timestamp"
    if _is_counter(values, samples):
        return f"counter digit{{{_span(values)}}}"
    filled = [v for v in values if v]
    for name, test in _CLASSES:
        if filled and len(filled) == len(values) and test(filled):
            return f"{name}{{{_span(values)}}}"
    return f"free{{{_span(values)}}}"


def guess_variable(token: str, sample: Sample) -> str | None:
    """With one sample (or one value in all): the class of a token that looks made up by a program, None where it looks like
    a word. Long runs of digits or hex and the addresses of the flow are guesses, and are said to be."""
    if sample.target and token == sample.target:
        return "target address"
    if sample.own and token == sample.own:
        return "own address"
    # A run of one digit (000000000000) is as likely a fixed filler: it stays constant.
    if re.fullmatch(r"\d{6,}", token) and len(set(token)) > 1:
        return f"digit{{{len(token)}}}"
    if re.fullmatch(r"(?=.*\d)(?=.*[A-Fa-f])([0-9a-f]{12,}|[0-9A-F]{12,})", token):
        return f"hex{{{len(token)}}}"
    return None


# -- alignment --------------------------------------------------------------------------------------------------------
MAX_ALIGNED_TOKENS: Final = 400
"""Tokens of one field that are aligned; what follows is one free token. Alignment is quadratic in this."""


def _bounded(text: str) -> list[str]:
    found = tokens(text)
    if len(found) <= MAX_ALIGNED_TOKENS:
        return found
    return [*found[:MAX_ALIGNED_TOKENS], "".join(found[MAX_ALIGNED_TOKENS:])]


def _needleman_wunsch(first: Sequence[str], second: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """Global alignment (Needleman and Wunsch 1970): equal token +2, equal type +1, gap -1."""
    n, m = len(first), len(second)
    types = [token_type(t) for t in second]
    score = [[-j for j in range(m + 1)]]
    for i in range(1, n + 1):
        row, above, kind, token = [-i], score[i - 1], token_type(first[i - 1]), first[i - 1]
        for j in range(1, m + 1):
            if token == second[j - 1]:
                match = 2
            else:
                match = 1 if kind == types[j - 1] else -3
            row.append(max(above[j - 1] + match, above[j] - 1, row[j - 1] - 1))
        score.append(row)
    pairs: list[tuple[int | None, int | None]] = []
    i, j = n, m
    while i or j:
        # Gaps before matches: what only some texts have is then taken to stand late, where parameters are added.
        if j and score[i][j] == score[i][j - 1] - 1:
            j -= 1
            pairs.append((None, j))
        elif i and score[i][j] == score[i - 1][j] - 1:
            i -= 1
            pairs.append((i, None))
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]


def columns(texts: Sequence[str]) -> list[list[str]]:
    """Texts -> aligned columns of tokens, one entry a text ('' where a text has nothing there).

    Texts with one sequence of token types align as they stand; each other shape is aligned against the commonest."""
    split = {text: _bounded(text) for text in set(texts)}
    shapes = {text: tuple(token_type(t) for t in toks) for text, toks in split.items()}
    weight = Counter(shapes[text] for text in texts)
    centre_shape = max(weight, key=lambda s: (weight[s], s))
    centre = next(text for text in texts if shapes[text] == centre_shape)
    base = split[centre]
    placed: dict[str, dict[int, str]] = {}
    extra: dict[int, bool] = {}
    for text, toks in split.items():
        if shapes[text] == centre_shape:
            placed[text] = dict(enumerate(toks))
            continue
        row: dict[int, str] = {}
        last = -1
        for here, there in _needleman_wunsch(base, toks):
            if here is not None:
                last = here
                if there is not None:
                    row[here * 2] = toks[there]
            elif there is not None:
                slot = last * 2 + 1
                row[slot] = row.get(slot, "") + toks[there]
                extra[slot] = True
        placed[text] = {k // 2: v for k, v in row.items() if k % 2 == 0} | {
            -(k + 2): v for k, v in row.items() if k % 2
        }
    keys = sorted([(i * 2, i) for i in range(len(base))] + [(slot, -(slot + 2)) for slot in extra])
    return [[placed[text].get(key, "") for text in texts] for _, key in keys]


def align_texts(where: str, texts: Sequence[str], samples: Sequence[Sample]) -> list[TemplatePart]:
    """Constant and variable parts of one field of all samples, neighbours of one kind joined."""
    parts: list[TemplatePart] = []
    distinct_samples = len(set(texts)) > 1
    for column in columns(texts):
        values = Counter(column)
        guess = None if distinct_samples else guess_variable(column[0], samples[0])
        if len(values) == 1 and guess is None:
            # Constant in all samples, but equal to each sample's target: an address of the flow is not a constant.
            address = samples[0].target and column[0] == samples[0].target and len({s.target for s in samples}) == 1
            parts.append(TemplatePart(where, "target address" if address else column[0], not address, (column[0],), 1))
            continue
        text = guess if guess is not None else classify(column, samples)
        shown = tuple(v for v, _ in values.most_common(EXAMPLES))
        parts.append(TemplatePart(where, text, False, shown, len(values)))
    return _join(_merge_ragged(parts, texts, where, samples))


def _merge_ragged(
    parts: list[TemplatePart], texts: Sequence[str], where: str, samples: Sequence[Sample]
) -> list[TemplatePart]:
    """A field whose variable parts touch one another, or are only sometimes there, was not aligned but torn: three such parts
    in a row say less than one class over the whole of what varies."""
    variable = [i for i, p in enumerate(parts) if not p.constant]
    if len(variable) < 3 or variable != list(range(variable[0], variable[-1] + 1)):
        return parts
    before = "".join(p.text for p in parts[: variable[0]])
    after = "".join(p.text for p in parts[variable[-1] + 1 :])
    middle = [t[len(before) : len(t) - len(after)] for t in texts]
    values = Counter(middle)
    shown = tuple(v for v, _ in values.most_common(EXAMPLES))
    whole = TemplatePart(where, classify(middle, samples), False, shown, len(values))
    return [*parts[: variable[0]], whole, *parts[variable[-1] + 1 :]]


def _join(parts: Iterable[TemplatePart]) -> list[TemplatePart]:
    joined: list[TemplatePart] = []
    for part in parts:
        if joined and part.constant and joined[-1].constant and joined[-1].where == part.where:
            text = joined[-1].text + part.text
            joined[-1] = TemplatePart(part.where, text, True, (text,), 1)
        else:
            joined.append(part)
    return joined


# -- groups -----------------------------------------------------------------------------------------------------------
def _path_shape(uri: str) -> tuple[str, ...]:
    path = uri.partition("?")[0]
    return tuple(re.sub(r"\d+", "0", piece) for piece in path.split("/"))


def _similar(first: Sequence[str], second: Sequence[str]) -> float:
    """Share of tokens that two requests have in common, as multisets (Dice's coefficient)."""
    if not first and not second:
        return 1.0
    common = sum((Counter(first) & Counter(second)).values())
    return 2 * common / (len(first) + len(second))


def cluster(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Samples grouped by kind of request, largest group first: equal method, path shape and header order, or similar
    tokens (Dice >= 0.8). Non-HTTP samples are grouped by how their first bytes agree."""
    groups: dict[tuple[object, ...], list[Sample]] = {}
    for s in samples:
        key: tuple[object, ...]
        if s.method is not None:
            key = ("http", s.method, _path_shape(s.uri), tuple(n.lower() for n in s.header_names))
        else:
            key = ("bytes", s.payload[:4])
        groups.setdefault(key, []).append(s)
    merged: list[tuple[tuple[object, ...], list[Sample]]] = []
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), str(item[0])))
    for key, members in ordered:
        for other, home in merged:
            if key[0] == other[0] and _alike(members[0], home[0]):
                home.extend(members)
                break
        else:
            merged.append((key, list(members)))
    return sorted((m for _, m in merged), key=len, reverse=True)


def _alike(first: Sample, second: Sample) -> bool:
    if first.method is None:
        size = min(len(first.payload), len(second.payload), 64)
        if size == 0 or len(first.payload) != len(second.payload):
            # Lengths differ: the same program only where nearly all of the first bytes agree.
            return size > 0 and _same_bytes(first.payload, second.payload, size) >= MIN_SIMILARITY
        return _same_bytes(first.payload, second.payload, size) >= 0.5
    if first.method != second.method:
        return False
    if _path_shape(first.uri) == _path_shape(second.uri):
        names = ([n.lower() for n in s.header_names] for s in (first, second))
        if _similar(*names) >= 0.6:
            return True
    heads = [tokens(f"{s.method} {s.uri} {s.version} {' '.join(s.header_names)}") for s in (first, second)]
    return _similar(*heads) >= MIN_SIMILARITY


def _same_bytes(first: bytes, second: bytes, size: int) -> float:
    return sum(a == b for a, b in zip(first[:size], second[:size], strict=True)) / size


# -- templates --------------------------------------------------------------------------------------------------------
def _headers(samples: Sequence[Sample]) -> tuple[list[str], list[str], list[str], bool]:
    """Header names present in all, in some, absent of what a browser sends; and whether their order is one."""
    spelled: dict[str, str] = {}
    count: Counter[str] = Counter()
    for s in samples:
        for name in s.header_names:
            spelled.setdefault(name.lower(), name)
        count.update({n.lower() for n in s.header_names})
    total = len(samples)
    always = [spelled[k] for k in spelled if count[k] == total]
    sometimes = [spelled[k] for k in spelled if count[k] < total]
    absent = [n for n in BROWSER_HEADERS if n.lower() not in spelled]
    orders = {tuple(n.lower() for n in s.header_names if count[n.lower()] == total) for s in samples}
    return always, sometimes, absent, len(orders) == 1


def _http_version(version: str) -> str:
    return f" HTTP/{version}" if version and version != "0.9" else ""


def _value(sample: Sample, name: str) -> str:
    for key, value in zip(sample.header_names, sample.header_values, strict=False):
        if key.lower() == name.lower():
            return value
    return ""


def _http(samples: list[Sample], usual_headers: Sequence[str]) -> tuple[list[TemplatePart], Template]:
    lines = [f"{s.method} {s.uri}{_http_version(s.version)}" for s in samples]
    parts = align_texts("request line", lines, samples)
    always, sometimes, absent, one_order = _headers(samples)
    for name in always:
        parts += align_texts(name, [_value(s, name) for s in samples], samples)
    if any(s.payload for s in samples):
        parts += _bytes_parts("body", samples)
    notes = []
    if len(always) > 1 and not one_order:
        notes.append("the order of the headers varies")
    known = {n.lower() for n in (*always, *sometimes)}
    lacking = [n for n in usual_headers if n.lower() not in known]
    if lacking:
        notes.append("the host's other requests send " + ", ".join(lacking))
    return parts, Template(
        "http", len(samples), (), 0, 0, tuple(always), tuple(sometimes), tuple(absent), "", "; ".join(notes)
    )


def _printable(data: bytes) -> bool:
    return bool(data) and sum(32 <= b < 127 or b in (9, 10, 13) for b in data) >= 0.9 * len(data)


def _bytes_parts(where: str, samples: Sequence[Sample]) -> list[TemplatePart]:
    """Parts of payloads: as text where they are printable, else constant and variable byte positions."""
    if all(_printable(s.payload) or not s.payload for s in samples):
        return align_texts(where, [s.payload.decode("latin-1") for s in samples], samples)
    size = min(len(s.payload) for s in samples)
    constant = [len({s.payload[i] for s in samples}) == 1 for i in range(size)]
    parts: list[TemplatePart] = []
    start = 0
    for end in range(1, size + 1):
        if end < size and constant[end] == constant[start]:
            continue
        pieces = [s.payload[start:end] for s in samples]
        if constant[start]:
            parts.append(TemplatePart(where, show_bytes(pieces[0]), True, (show_bytes(pieces[0]),), 1))
        else:
            values = Counter(pieces)
            shown = tuple(show_bytes(v) for v, _ in values.most_common(EXAMPLES))
            parts.append(TemplatePart(where, f"byte{{{end - start}}}", False, shown, len(values)))
        start = end
    if len({len(s.payload) for s in samples}) > 1:
        longest = max(len(s.payload) for s in samples)
        parts.append(TemplatePart(where, f"byte{{0,{longest - size}}}", False, (), len({s.payload for s in samples})))
    return parts


def show_bytes(data: bytes, most: int = 64) -> str:
    """Bytes in the notation of rules: printable as they are, the rest as |hex|; a long run of one byte is counted."""
    out: list[str] = []
    for m in re.finditer(
        rb"(.)\1{7,}|[\x20-\x7b\x7d\x7e]+?(?=(.)\2{7,}|[^\x20-\x7b\x7d\x7e]|$)|[^\x20-\x7b\x7d\x7e]",
        data[:4096],
        re.DOTALL,
    ):
        piece = m.group()
        if m.group(1) is not None:
            out.append(f"|{piece[:1].hex().upper()}|×{len(piece)}")
        elif 32 <= piece[0] < 127 and piece[:1] != b"|":
            out.append(piece.decode("ascii"))
        else:
            out.append(f"|{piece.hex().upper()}|")
    text = re.sub(r"\|([0-9A-F]{2})\|(?!×)(?=\|[0-9A-F]{2}\|(?!×))", r"|\1 ", "".join(out)).replace(" |", " ")
    return text if len(text) <= most * 4 else text[: most * 4] + "…"


_SHOWN = re.compile(r"^(counter )?(\w+)\{(\d+(?:,\d+)?)\}$")


def part_text(part: TemplatePart) -> str:
    """A part as it stands in the one-line template: {digit×9}, {lower×2-8}, {target address}."""
    if part.constant:
        return part.text
    shape = _SHOWN.match(part.text)
    if shape is None:
        return "{" + part.text + "}"
    return "{" + (shape[1] or "") + shape[2] + "×" + shape[3].replace(",", "-") + "}"


def _one_line(protocol: str, parts: Sequence[TemplatePart]) -> str:
    first = {"http": "request line"}.get(protocol, "payload")
    return "".join(part_text(p) for p in parts if p.where == first)


def align(samples: Sequence[Sample], usual_headers: Sequence[str] = ()) -> Template | None:
    """What the samples have in common. `usual_headers`: names that the host's other HTTP requests carry (compared).

    Samples of several kinds are grouped; the largest group gives the template and `note` says how many others there were.
    None where there is no sample. At most limits.MAX_TEMPLATE_SAMPLES are aligned, taken evenly over time."""
    chosen = sorted(samples, key=lambda s: s.ts_ns)
    if not chosen:
        return None
    step = max(1, -(-len(chosen) // limits.MAX_TEMPLATE_SAMPLES))
    chosen = chosen[::step]
    groups = cluster(chosen)
    group = sorted(groups[0], key=lambda s: s.ts_ns)
    if group[0].method is not None:
        parts, shape = _http(group, usual_headers)
    else:
        parts = _bytes_parts("payload", group)
        shape = Template("payload", len(group), (), 0, 0)
    lengths = [s.length or len(s.payload) for s in group]
    notes = [shape.note] if shape.note else []
    distinct = len({(s.method, s.uri, s.header_values, s.payload) for s in group})
    if len(group) == 1:
        notes.append("one sample only: its classes are guesses")
    elif distinct == 1:
        notes.append(f"all {len(group)} samples are the same: what varies is a guess")
    if len(groups) > 1:
        others = sum(len(g) for g in groups[1:])
        kinds = ", ".join(f"{_kind(g[0])} ({len(g)})" for g in groups[1:4])
        notes.append(f"{others} of {len(chosen)} requests are of {len(groups) - 1} other kind(s): {kinds}")
    cited = tuple(s.citation for s in group if s.citation is not None)
    return Template(
        shape.protocol,
        len(group),
        tuple(parts),
        min(lengths),
        max(lengths),
        shape.headers_present,
        shape.headers_sometimes,
        shape.headers_absent,
        _one_line(shape.protocol, parts),
        "; ".join(notes),
        Citations(cited[: limits.MAX_CITATIONS], len(cited)),
    )


def _kind(sample: Sample) -> str:
    if sample.method is None:
        return show_bytes(sample.payload[:8])
    return f"{sample.method} {sample.uri.partition('?')[0][:40]}"
