"""What a verdict asks of the evidence is all that is read for it, and the verdict is the same."""

from __future__ import annotations

import pytest

from tests.conftest import SHARED, needs_shared
from tracehound.edges import reading
from tracehound.edges.investigation import verdict_of, verdict_tables
from tracehound.pipeline import Wanted
from tracehound.protocols import transactions
from tracehound.protocols.identify import SERVICE_CODE
from tracehound.tables import ALL, TRANSACTIONS

SOME = ("zeek/smb", "zeek/ldap", "zeek/dnp3", "zeek/krb", "zeek/dhcp", "zeek/ntp", "zeek/tls", "zeek/ftp", "malcolm/plugins")


def test_a_verdict_asks_for_tables_that_there_are():
    asked = verdict_tables()
    assert asked <= set(ALL) | {"arp", "link_addresses"}
    assert {"http", "dns", "tls", "smb", "logins", "files"} <= asked
    assert not asked & {"dhcp", "ntp", "netbios", "ssdp", "syslog", "packets"}


def test_services_that_fill_no_asked_table_are_not_read():
    read = transactions.reads(frozenset({"tls"}))
    assert read.streams[SERVICE_CODE["ssl"]] and read.streams[SERVICE_CODE["http"]] and read.datagrams[SERVICE_CODE["quic"]]
    assert not read.streams[SERVICE_CODE["ssh"]] and not read.datagrams[SERVICE_CODE["ntp"]] and not read.dns
    everything = transactions.reads(None)
    assert everything.dns and everything.datagrams[SERVICE_CODE["ntp"]] and everything.streams[SERVICE_CODE["ssh"]]


@needs_shared
@pytest.mark.parametrize("folder", SOME)
def test_what_is_asked_is_the_same_with_and_without_the_rest(folder, monkeypatch):
    path = SHARED / "captures" / folder
    if not path.exists():
        pytest.skip(f"no captures in {path}")
    filled: dict[str, set[str]] = {}
    feed, end = transactions.Transactions._feed, transactions.Transactions._end_stream
    speaking = [""]
    emit = transactions.Transactions._emit

    def of(method):
        def told(self, it):
            flow_id = it if isinstance(it, int) else it.flow_id
            speaking[0] = transactions._SERVICE_OF.get(int(self._codes[flow_id]), "")
            return method(self, it)

        return told

    def noted(self, table, row):
        filled.setdefault(speaking[0], set()).add(table)
        emit(self, table, row)

    with monkeypatch.context() as patch:
        patch.setattr(transactions.Transactions, "_feed", of(feed))
        patch.setattr(transactions.Transactions, "_end_stream", of(end))
        patch.setattr(transactions.Transactions, "_read_datagrams", lambda *_: None)
        patch.setattr(transactions.Transactions, "_emit", noted)
        reading.read(str(path)).close()
    for service, tables in filled.items():
        assert service not in transactions.FILLS or tables <= set(transactions.FILLS[service]), service

    asked = verdict_tables()
    with reading.read(str(path)) as whole, reading.read(str(path), wanted=Wanted(tables=asked)) as part:
        assert set(part.names()) == set(whole.names()) - {t.name for t in TRANSACTIONS if t.name not in asked}
        for name in set(part.names()) - {"evidence"}:
            assert whole.table(name).equals(part.table(name)), name
        first, second = verdict_of(whole), verdict_of(part)
        assert first.summary == second.summary
        assert [f.statement for f in first.findings] == [f.statement for f in second.findings]
