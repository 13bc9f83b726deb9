"""In: the rules and what the engine says it can do. Out: which rules can be honoured exactly, and for the others the option
that stands in the way; the table of keywords for docs/rule-keywords.md. Never here: matching or reading text.

The engine exports one `HONOURS: frozenset[str]` (rules/honours.py: the union of what its modules verify), the names of what
it verifies exactly. A name that ends with `*` stands for all names with that beginning. The names (`Rule.needs`):

    content, pcre, byte_test, byte_jump, byte_extract, byte_math, isdataat, bsize, base64_decode, dataset, datarep, entropy,
    asn1, hash                        steps of rule.py, by class; `other:KEYWORD` for Other
    absent                            Group.absent
    buffer:NAME                       a buffer of keywords/buffers.py (buffer:http.uri, buffer:payload)
    transform:NAME                    transform:to_lowercase
    test:KEYWORD                      NumberTest, FlagTest, WordTest, HashList by keyword (test:ttl, test:tcp.flags, test:filemd5)
    event:KIND:NAME                   event:app-layer:http.request_chunk_extension, event:decode:ipv4.unknown_protocol
    flow                              the flow option; flow:only_frag, flow:no_frag besides
    flowbits, xbits, hostbits, flowint
    threshold, threshold:backoff, detection_filter, detection_filter:unique_on, tag
    protocol:NAME                     the header's word (protocol:tcp, protocol:http, protocol:pkthdr)
    direction:=>                      transactional rules
    action:NAME                       action:config (alert, drop, pass, reject, log are always understood)
    frame:NAME                        frame:http1.response"""

from __future__ import annotations

from collections.abc import Collection

from tracehound.rules.rule import Need, Rule


def missing(rule: Rule, honours: Collection[str], prefixes: tuple[str, ...] = ()) -> Need | None:
    """The first thing that `rule` needs and the engine cannot do; None if all is well. `prefixes`: see `prefixes_of`."""
    for need in rule.needs:
        if need.name not in honours and not (prefixes and need.name.startswith(prefixes)):
            return need
    return None


def prefixes_of(honours: Collection[str]) -> tuple[str, ...]:
    """The beginnings that names with a `*` stand for."""
    return tuple(sorted(name[:-1] for name in honours if name.endswith("*")))
