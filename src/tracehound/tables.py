"""In: nothing. Out: the contract: every table of the program, its columns with Arrow type, unit, meaning, nullability, and
the identifier that points back towards the bytes. Never here: code that fills a table.

One name means one thing in the whole program. Times are nanoseconds since 1970 UTC; sizes are bytes; addresses are
canonical text (RFC 5952 for IPv6). `docs/tables.md` is generated from this file, and tests/test_columns.py holds every
stage to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

TS: Final = pa.timestamp("ns", tz="UTC")
TEXT: Final = pa.string()
NAME: Final = pa.dictionary(pa.int32(), pa.string())
"""Text that repeats: addresses, states, services."""

EVIDENCE_SHIFT: Final = 40
"""packet_id = evidence_id << 40 | frame: a packet can be cited without looking anything up."""
FRAME_MASK: Final = (1 << EVIDENCE_SHIFT) - 1


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `unit` is empty where there is none; `upstream` names the id that leads towards the bytes."""

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    nullable: bool = False
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    meaning: str
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.columns]


EVIDENCE: Final = Table(
    "evidence",
    "One row a file (or stream) that was read.",
    (
        Column("evidence_id", pa.int32(), "number of the file in this run, in order of first packet"),
        Column("path", TEXT, "path as given, '-' for standard input"),
        Column("kind", TEXT, "pcap, pcapng, ... decided from content"),
        Column("compression", TEXT, "gzip, bzip2, xz, zstd, lz4", nullable=True),
        Column("size", pa.int64(), "size of the file as it lies on disk", "bytes", nullable=True),
        Column(
            "sha256", TEXT, "SHA-256 of the file as it lies on disk (null when it was not asked for)", nullable=True
        ),
        Column("packets", pa.int64(), "packet records read"),
        Column("records", pa.int64(), "records of a flow log read"),
        Column("start", TS, "time of the earliest packet", "ns", nullable=True),
        Column("end", TS, "time of the latest packet", "ns", nullable=True),
        Column("link_types", TEXT, "LINKTYPE numbers with their names, in order of appearance", nullable=True),
        Column("damage", TEXT, "where and why reading stopped early", nullable=True),
    ),
)

QUALITY: Final = Table(
    "quality",
    "The capture-quality record: what the capture lacks, each counted. Goes with every result.",
    (
        Column("evidence_id", pa.int32(), "file", upstream="evidence.evidence_id"),
        Column("item", TEXT, "what is counted (see docs/quality.md)"),
        Column("count", pa.int64(), "how often", "packets, flows or bytes as the item says"),
        Column("note", TEXT, "what it means for the answers", nullable=True),
    ),
)

NOTES: Final = Table(
    "capture_notes",
    "Comments, name-resolution records and other words that a pcapng file carries beside its packets.",
    (
        Column("evidence_id", pa.int32(), "file", upstream="evidence.evidence_id"),
        Column("kind", TEXT, "comment_packet, comment_section, comment_interface, name, application, hardware, os, log"),
        Column("frame", pa.int64(), "frame that a packet comment belongs to", nullable=True),
        Column("subject", TEXT, "address that a name belongs to", nullable=True),
        Column("text", TEXT, "the words"),
    ),
)

PACKETS: Final = Table(
    "packets",
    "One row a packet record of the capture, whatever it holds.",
    (
        Column("packet_id", pa.int64(), "evidence_id << 40 | frame"),
        Column("evidence_id", pa.int32(), "file", upstream="evidence.evidence_id"),
        Column("frame", pa.int64(), "number of the packet in its file, from 1, as Wireshark shows it"),
        Column("file_offset", pa.int64(), "where the packet's bytes begin in the (decompressed) file", "bytes"),
        Column("ts", TS, "capture time", "ns"),
        Column("caplen", pa.int32(), "bytes captured", "bytes"),
        Column("wirelen", pa.int32(), "bytes on the wire", "bytes"),
        Column("src", NAME, "sender's address; ARP: the sender's IP address", nullable=True),
        Column("dst", NAME, "receiver's address; ARP: the target's IP address", nullable=True),
        Column("proto", pa.uint8(), "IP protocol number", nullable=True),
        Column("sport", pa.uint16(), "sender's port; ICMP: type", nullable=True),
        Column("dport", pa.uint16(), "receiver's port; ICMP: code", nullable=True),
        Column(
            "tcp_flags", pa.uint8(), "TCP flags, FIN=1 SYN=2 RST=4 PSH=8 ACK=16 URG=32 ECE=64 CWR=128", nullable=True
        ),
        Column("seq", pa.uint32(), "TCP sequence number", nullable=True),
        Column("ack", pa.uint32(), "TCP acknowledgment number", nullable=True),
        Column("window", pa.uint16(), "TCP window as sent, unscaled", nullable=True),
        Column("ttl", pa.uint8(), "IPv4 time to live or IPv6 hop limit", nullable=True),
        Column("ip_id", pa.uint32(), "IPv4 identification (IPv6: that of the fragment header)", nullable=True),
        Column(
            "payload_offset",
            pa.int64(),
            "first byte of the transport payload in the (decompressed) file; null for a "
            "datagram put together from fragments",
            "bytes",
            nullable=True,
        ),
        Column("payload_len", pa.int32(), "transport payload on the wire", "bytes", nullable=True),
        Column("vlan", NAME, "VLAN identifiers from the outside in, '10' or '10.200'", nullable=True),
        Column("tunnel", NAME, "tunnels from the outside in, 'vxlan' or 'gtp.teredo'; the row shows what is inside", nullable=True),
        Column("flow_id", pa.int64(), "flow that the packet belongs to", nullable=True, upstream="flows.flow_id"),
        Column("decode_note", NAME, "why decoding stopped or what is odd; null = clean", nullable=True),
    ),
)

FLOWS: Final = Table(
    "flows",
    "One row a flow: both directions of one conversation, src = originator. Unanswered SYNs that repeat are one row.",
    (
        Column("flow_id", pa.int64(), "number of the flow in this run, in order of first packet"),
        Column("community_id", TEXT, "Community ID v1, seed 0", nullable=True),
        Column("evidence_id", pa.int32(), "file of the first packet", upstream="evidence.evidence_id"),
        Column("start", TS, "first packet", "ns"),
        Column("end", TS, "last packet", "ns"),
        Column("proto", pa.uint8(), "IP protocol number"),
        Column("src", NAME, "originator's address"),
        Column("sport", pa.uint16(), "originator's port; ICMP: type"),
        Column("dst", NAME, "responder's address"),
        Column(
            "dport", pa.uint16(), "responder's port; ICMP: the type that answers (echo), otherwise the code, as in Zeek"
        ),
        Column("service", NAME, "application protocol, recognised from content", nullable=True),
        Column("pkts_src", pa.int64(), "packets from the originator; null = a log that does not say", "packets", nullable=True),
        Column("pkts_dst", pa.int64(), "packets from the responder; null = a log that does not say", "packets", nullable=True),
        Column(
            "bytes_src",
            pa.int64(),
            "IP bytes from the originator, headers included (Argus logs: whole frames); null = a log does not say",
            "bytes",
            nullable=True,
        ),
        Column(
            "bytes_dst",
            pa.int64(),
            "IP bytes from the responder, headers included (Argus logs: whole frames); null = a log does not say",
            "bytes",
            nullable=True,
        ),
        Column(
            "payload_src",
            pa.int64(),
            "payload from the originator; TCP: by sequence numbers, as in Zeek",
            "bytes",
            nullable=True,
        ),
        Column(
            "payload_dst",
            pa.int64(),
            "payload from the responder; TCP: by sequence numbers, as in Zeek",
            "bytes",
            nullable=True,
        ),
        Column(
            "missed", pa.int64(), "TCP payload that was acknowledged but is not in the capture", "bytes", nullable=True
        ),
        Column(
            "syn_count",
            pa.int32(),
            "SYNs (without ACK) from the originator: how often it was tried",
            "packets",
            nullable=True,
        ),
        Column("tcp_flags_src", pa.uint8(), "all TCP flags of the originator, or-ed", nullable=True),
        Column("tcp_flags_dst", pa.uint8(), "all TCP flags of the responder, or-ed", nullable=True),
        Column("conn_state", NAME, "Zeek's conn_state", nullable=True),
        Column("history", TEXT, "Zeek's history", nullable=True),
        Column(
            "outcome",
            NAME,
            "how the attempt fared: unanswered, refused, unreachable, accepted, answered, one_sided, midstream; null = no attempt",
            nullable=True,
        ),
        Column(
            "originator_reason",
            NAME,
            "why src is taken as the originator: syn, syn_ack, first_packet, port, message (it answers by its own words)",
        ),
        Column("icmp_type", pa.uint8(), "type of the ICMP error that answered this flow", nullable=True),
        Column("icmp_code", pa.uint8(), "code of the ICMP error that answered this flow", nullable=True),
        Column("icmp_from", NAME, "who sent that ICMP error", nullable=True),
        Column("ttl_src", pa.uint8(), "TTL of the originator's first packet", nullable=True),
        Column("syn_seq", pa.uint32(), "sequence number of the originator's first SYN", nullable=True),
        Column("syn_window", pa.uint16(), "window of the originator's first SYN", nullable=True),
        Column(
            "syn_options",
            pa.uint8(),
            "length of that SYN's TCP options; 0 is rare for an ordinary stack",
            "bytes",
            nullable=True,
        ),
        Column("ip_id_src", pa.uint32(), "IP identification of the originator's first packet", nullable=True),
        Column("vlan", NAME, "VLAN identifiers of the first packet from the outside in", nullable=True),
        Column("tunnel", NAME, "tunnels of the first packet from the outside in", nullable=True),
        Column("first_packet_id", pa.int64(), "first packet", nullable=True, upstream="packets.packet_id"),
        Column("last_packet_id", pa.int64(), "last packet", nullable=True, upstream="packets.packet_id"),
        Column(
            "first_record_id", pa.int64(), "first record, where the flow comes from a flow log", nullable=True,
            upstream="records.record_id",
        ),
    ),
)  # fmt: skip

RECORDS: Final = Table(
    "records",
    "One row a record of a flow log, as its source has it: what `packets` is to a capture. Several records may be one flow: an "
    "Argus status record every few seconds, one NetFlow record a direction, one line of each log that saw the connection.",
    (
        Column("record_id", pa.int64(), "evidence_id << 40 | record"),
        Column("evidence_id", pa.int32(), "file", upstream="evidence.evidence_id"),
        Column("record", pa.int64(), "number of the record in its file, from 1; logs of text: number of the line"),
        Column(
            "file_offset", pa.int64(), "where the record begins in the (decompressed) file", "bytes", nullable=True
        ),
        Column("flow_id", pa.int64(), "flow that the record belongs to", nullable=True, upstream="flows.flow_id"),
        Column("source", NAME, "kind of log: argus, netflow5, zeek conn, eve flow, ..."),
        Column("sensor", NAME, "probe, exporter or host that wrote it, as the log names it", nullable=True),
        Column("source_uid", TEXT, "the source's own name of the connection (Zeek's uid, EVE's flow_id)", nullable=True),
        Column("start", TS, "first packet, by the source's clock", "ns"),
        Column("end", TS, "last packet, by the source's clock", "ns"),
        Column("proto_name", NAME, "protocol by the source's own name (tcp, rtp, arp, llc)", nullable=True),
        Column("proto", pa.uint8(), "IP protocol number; null where the record is not of IP", nullable=True),
        Column("src", NAME, "originator as the source decided; other than IP: hardware address", nullable=True),
        Column("sport", pa.uint16(), "originator's port; ICMP: type", nullable=True),
        Column("dst", NAME, "responder; other than IP: hardware address", nullable=True),
        Column("dport", pa.uint16(), "responder's port; ICMP: code", nullable=True),
        Column("pkts_src", pa.int64(), "packets from the originator", "packets", nullable=True),
        Column("pkts_dst", pa.int64(), "packets from the responder", "packets", nullable=True),
        Column(
            "bytes_src", pa.int64(), "bytes from the originator as the source counts them (Argus: whole frames)",
            "bytes", nullable=True,
        ),
        Column(
            "bytes_dst", pa.int64(), "bytes from the responder as the source counts them", "bytes", nullable=True
        ),
        Column("payload_src", pa.int64(), "payload from the originator", "bytes", nullable=True),
        Column("payload_dst", pa.int64(), "payload from the responder", "bytes", nullable=True),
        Column("tcp_flags_src", pa.uint8(), "TCP flags of the originator, or-ed", nullable=True),
        Column("tcp_flags_dst", pa.uint8(), "TCP flags of the responder, or-ed", nullable=True),
        Column("state", NAME, "state in the source's own word (Argus: REQ, CON, ...; Zeek: conn_state)", nullable=True),
        Column("state_flags", NAME, "the source's own flags (Argus: flgs)", nullable=True),
        Column("direction", NAME, "the source's own sign for the direction (Argus: dir)", nullable=True),
        Column("cause", NAME, "why the source wrote the record (Argus: cause; EVE: flow.reason)", nullable=True),
        Column("label", TEXT, "label that somebody gave the record (CTU-13, ralabel)", nullable=True),
        Column("sampled_one_in", pa.int32(), "one packet in so many was looked at; null = every one", nullable=True),
        Column("details", TEXT, "further fields of the source, a JSON object by its own names", nullable=True),
    ),
)  # fmt: skip

ARGUS: Final = Table(
    "argus",
    "One row an Argus record: what Argus knows beyond the columns of `records`, by the names of ra.",
    (
        Column("record_id", pa.int64(), "record", upstream="records.record_id"),
        Column("seq_number", pa.int64(), "number that the probe gave the record; gaps are lost records", nullable=True),
        Column("transactions", pa.int64(), "flows that were merged into the record", "flows"),
        Column("status_bits", pa.uint32(), "TCP status bits", nullable=True),
        Column("src_start", TS, "originator's first packet", "ns", nullable=True),
        Column("src_end", TS, "originator's last packet", "ns", nullable=True),
        Column("dst_start", TS, "responder's first packet", "ns", nullable=True),
        Column("dst_end", TS, "responder's last packet", "ns", nullable=True),
        Column("tos_src", pa.uint8(), "type of service of the originator's last packet", nullable=True),
        Column("tos_dst", pa.uint8(), "type of service of the responder's last packet", nullable=True),
        Column("ttl_src", pa.uint8(), "TTL of the originator", nullable=True),
        Column("ttl_dst", pa.uint8(), "TTL of the responder", nullable=True),
        Column("ip_id_src", pa.uint32(), "IP identification of the originator's last packet", nullable=True),
        Column("ip_id_dst", pa.uint32(), "IP identification of the responder's last packet", nullable=True),
        Column("mac_src", NAME, "originator's hardware address", nullable=True),
        Column("mac_dst", NAME, "responder's hardware address", nullable=True),
        Column("vlan_src", pa.uint16(), "802.1Q tag of the originator's packets (12 bits of it: VLAN)", nullable=True),
        Column("vlan_dst", pa.uint16(), "802.1Q tag of the responder's packets", nullable=True),
        Column("mpls_src", pa.uint32(), "MPLS label of the originator's packets", nullable=True),
        Column("mpls_dst", pa.uint32(), "MPLS label of the responder's packets", nullable=True),
        Column("tcp_base_src", pa.uint32(), "originator's initial sequence number", nullable=True),
        Column("tcp_base_dst", pa.uint32(), "responder's initial sequence number", nullable=True),
        Column("window_src", pa.int64(), "originator's window, scaled", "bytes", nullable=True),
        Column("window_dst", pa.int64(), "responder's window, scaled", "bytes", nullable=True),
        Column("syn_ack_us", pa.uint32(), "from SYN to SYN-ACK", "us", nullable=True),
        Column("ack_data_us", pa.uint32(), "from SYN-ACK to ACK", "us", nullable=True),
        Column("lost_src", pa.int64(), "originator's retransmitted packets", "packets", nullable=True),
        Column("lost_dst", pa.int64(), "responder's retransmitted packets", "packets", nullable=True),
        Column("gap_src", pa.int64(), "originator's bytes that the probe did not see", "bytes", nullable=True),
        Column("gap_dst", pa.int64(), "responder's bytes that the probe did not see", "bytes", nullable=True),
        Column("tcp_options", pa.uint32(), "TCP option bits", nullable=True),
        Column("min_size_src", pa.uint16(), "originator's smallest packet", "bytes", nullable=True),
        Column("max_size_src", pa.uint16(), "originator's largest packet", "bytes", nullable=True),
        Column("min_size_dst", pa.uint16(), "responder's smallest packet", "bytes", nullable=True),
        Column("max_size_dst", pa.uint16(), "responder's largest packet", "bytes", nullable=True),
        Column("interval_src_us", pa.float32(), "mean time between the originator's packets while active", "us", nullable=True),
        Column("jitter_src_us", pa.float32(), "its standard deviation", "us", nullable=True),
        Column("interval_dst_us", pa.float32(), "mean time between the responder's packets while active", "us", nullable=True),
        Column("jitter_dst_us", pa.float32(), "its standard deviation", "us", nullable=True),
        Column("icmp_node", NAME, "who sent the ICMP error that belongs to the flow", nullable=True),
        Column("asn_src", pa.uint32(), "originator's autonomous system, as the record says", nullable=True),
        Column("asn_dst", pa.uint32(), "responder's autonomous system, as the record says", nullable=True),
        Column("country_src", NAME, "originator's country, as the record says", nullable=True),
        Column("country_dst", NAME, "responder's country, as the record says", nullable=True),
        Column("user_src", pa.binary(), "first payload of the originator", nullable=True),
        Column("user_dst", pa.binary(), "first payload of the responder", nullable=True),
    ),
)

LOG_ALERTS: Final = Table(
    "log_alerts",
    "One row an alert that a log of another engine tells of (Suricata EVE): what it said, not what tracehound's own rules say.",
    (
        Column("record_id", pa.int64(), "record", upstream="records.record_id"),
        Column("flow_id", pa.int64(), "flow", nullable=True, upstream="flows.flow_id"),
        Column("ts", TS, "the alert", "ns"),
        Column("src", NAME, "source of the packet that it is about"),
        Column("sport", pa.uint16(), "its port; ICMP: type"),
        Column("dst", NAME, "destination of that packet"),
        Column("dport", pa.uint16(), "its port; ICMP: code"),
        Column("proto", pa.uint8(), "IP protocol number", nullable=True),
        Column("action", NAME, "allowed or blocked", nullable=True),
        Column("gid", pa.int64(), "generator of the signature", nullable=True),
        Column("sid", pa.int64(), "number of the signature", nullable=True),
        Column("rev", pa.int64(), "revision of the signature", nullable=True),
        Column("message", TEXT, "text of the signature", nullable=True),
        Column("category", NAME, "class of the signature", nullable=True),
        Column("alert_severity", pa.int32(), "severity, 1 = highest", nullable=True),
        Column("metadata", TEXT, "metadata of the signature, a JSON object", nullable=True),
    ),
)

WITNESSES: Final = Table(
    "witnesses",
    "One row a source of each flow that several sources saw: what each of them says of it. The flow itself keeps the words of the "
    "first: captures before logs, logs that count packets before others.",
    (
        Column("flow_id", pa.int64(), "the flow", upstream="flows.flow_id"),
        Column("evidence_id", pa.int32(), "file of the witness", upstream="evidence.evidence_id"),
        Column("clock_ahead_s", pa.float64(), "how far its clock was taken to be ahead of the first witness's", "s"),
        Column("start", TS, "first packet, by the source's clock", "ns"),
        Column("end", TS, "last packet, by the source's clock", "ns"),
        Column("src", NAME, "originator as this source has it"),
        Column("pkts_src", pa.int64(), "packets from the originator", "packets", nullable=True),
        Column("pkts_dst", pa.int64(), "packets from the responder", "packets", nullable=True),
        Column("bytes_src", pa.int64(), "bytes from the originator as the source counts them", "bytes", nullable=True),
        Column("bytes_dst", pa.int64(), "bytes from the responder as the source counts them", "bytes", nullable=True),
        Column("payload_src", pa.int64(), "payload from the originator", "bytes", nullable=True),
        Column("payload_dst", pa.int64(), "payload from the responder", "bytes", nullable=True),
        Column("conn_state", NAME, "Zeek's conn_state", nullable=True),
        Column("outcome", NAME, "how the attempt fared, as this source shows it", nullable=True),
        Column("first_record_id", pa.int64(), "first record, where the source is a flow log", nullable=True, upstream="records.record_id"),
        Column("contradiction", TEXT, "in what it contradicts the first witness; null = in nothing", nullable=True),
    ),
)

ARP: Final = Table(
    "arp",
    "One row a kind of ARP message in a file: who asks for an address, and who claims it; the first of it, and how many there were.",
    (
        Column("evidence_id", pa.int32(), "file", upstream="evidence.evidence_id"),
        Column("ts", TS, "the first message", "ns"),
        Column("last_ts", TS, "the last message", "ns"),
        Column("operation", NAME, "request, reply, announcement (of one's own address), probe (is it free?)"),
        Column("sender_mac", TEXT, "hardware address that the sender gives"),
        Column("sender_addr", TEXT, "address that the sender claims"),
        Column("target_mac", TEXT, "hardware address of the target, as far as the sender knows it"),
        Column("target_addr", TEXT, "address asked for, or answered"),
        Column("frame_mac", TEXT, "hardware address that really sent the frame"),
        Column("messages", pa.int64(), "messages of this kind", "messages"),
        Column("packet_id", pa.int64(), "packet of its first byte", upstream="packets.packet_id"),
    ),
)

LINK_ADDRESSES: Final = Table(
    "link_addresses",
    "One row a hardware address and an address whose packets it sends, by Ethernet frames. A router sends those of many.",
    (
        Column("evidence_id", pa.int32(), "file", upstream="evidence.evidence_id"),
        Column("mac", TEXT, "hardware address of the sender", nullable=True),
        Column("address", TEXT, "canonical text"),
        Column("ts", TS, "first frame", "ns"),
        Column("last_ts", TS, "last frame", "ns"),
        Column("pkts", pa.int64(), "frames", "packets"),
        Column("packet_id", pa.int64(), "packet of its first byte", upstream="packets.packet_id"),
    ),
)

HEADS: Final = Table(
    "heads",
    "The first payload bytes of each flow and direction, for protocols that have no table of their own. A first TCP payload "
    "of a few bytes (a length, one letter) that tells nothing has a second row, joined with what follows it.",
    (
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("from_originator", pa.bool_(), "true: sent by the originator"),
        Column("packet_id", pa.int64(), "packet that carried it", upstream="packets.packet_id"),
        Column("payload_len", pa.int32(), "payload of that packet on the wire", "bytes"),
        Column("head", pa.binary(), "its first bytes (limits.HEAD_BYTES at most)"),
    ),
)

HTTP: Final = Table(
    "http",
    "One row an HTTP transaction (HTTP/0.9 to HTTP/2 in the clear): a request, its response, or whichever of them is in the evidence.",
    (
        Column("txn_id", pa.int64(), "flow_id << 20 | number within the flow"),
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("trans_depth", pa.int32(), "number of the transaction in its flow, from 1"),
        Column("ts", TS, "first byte of the request (of the response where the request is missing)", "ns"),
        Column("response_ts", TS, "first byte of the response", "ns", nullable=True),
        Column("end_ts", TS, "last byte of the transaction seen", "ns"),
        Column("src", NAME, "client's address"),
        Column("sport", pa.uint16(), "client's port"),
        Column("dst", NAME, "server's address"),
        Column("dport", pa.uint16(), "server's port"),
        Column("method", NAME, "request method; null where the request is missing", nullable=True),
        Column("uri", TEXT, "request target as sent (bytes outside ASCII as \\xNN)", nullable=True),
        Column("version", NAME, "HTTP version of the request: 0.9, 1.0, 1.1, 2", nullable=True),
        Column("host", TEXT, "Host header, without port", nullable=True),
        Column("user_agent", TEXT, "User-Agent header", nullable=True),
        Column("referer", TEXT, "Referer header; null = absent", nullable=True),
        Column("header_names", pa.list_(TEXT), "request header names in order, as spelled", nullable=True),
        Column("header_values", pa.list_(TEXT), "request header values in the same order", nullable=True),
        Column(
            "request_head_bytes",
            pa.int32(),
            "request line and headers up to and with the empty line",
            "bytes",
            nullable=True,
        ),
        Column(
            "request_bytes",
            pa.int64(),
            "request body, transfer and content coding removed, with what the capture lacks of it (note), unless it was coded",
            "bytes",
            nullable=True,
        ),
        Column("request_body_sha256", TEXT, "SHA-256 of the request body", nullable=True),
        Column("request_body_kind", NAME, "kind of the request body, recognised from content", nullable=True),
        Column("request_preview", pa.binary(), "first bytes of the request body", nullable=True),
        Column("status", pa.uint16(), "status code; null where no response is in the evidence", nullable=True),
        Column("reason", TEXT, "reason phrase", nullable=True),
        Column("server", TEXT, "Server header", nullable=True),
        Column("content_type", TEXT, "Content-Type of the response, without parameters", nullable=True),
        Column("response_header_names", pa.list_(TEXT), "response header names in order", nullable=True),
        Column("response_header_values", pa.list_(TEXT), "response header values in the same order", nullable=True),
        Column(
            "response_bytes",
            pa.int64(),
            "response body, transfer and content coding removed, with what the capture lacks of it (note), unless it was coded; "
            "null = no response, or what answers is not HTTP",
            "bytes",
            nullable=True,
        ),
        Column("body_sha256", TEXT, "SHA-256 of the response body, codings removed; null = no body", nullable=True),
        Column("body_kind", NAME, "kind of the response body, recognised from content", nullable=True),
        Column("body_preview", pa.binary(), "first bytes of the response body", nullable=True),
        Column("complete", pa.bool_(), "request and response are whole"),
        Column(
            "request_packet_id",
            pa.int64(),
            "packet with the first byte of the request",
            nullable=True,
            upstream="packets.packet_id",
        ),
        Column(
            "response_packet_id",
            pa.int64(),
            "packet with the first byte of the response",
            nullable=True,
            upstream="packets.packet_id",
        ),
        Column("note", TEXT, "what was malformed, missing or cut; null = clean", nullable=True),
    ),
)

DNS: Final = Table(
    "dns",
    "One row a DNS query with its response, or whichever of them is in the evidence.",
    (
        Column("txn_id", pa.int64(), "flow_id << 20 | number within the flow"),
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("ts", TS, "the query (the response where the query is missing)", "ns"),
        Column("response_ts", TS, "the response", "ns", nullable=True),
        Column("src", NAME, "who asks"),
        Column("sport", pa.uint16(), "its port"),
        Column("dst", NAME, "who is asked"),
        Column("dport", pa.uint16(), "its port"),
        Column("proto", pa.uint8(), "17 UDP, 6 TCP"),
        Column("trans_id", pa.uint16(), "DNS message id"),
        Column("opcode", pa.uint8(), "operation code"),
        Column("query", TEXT, "name asked for, without the final dot, spelled as sent", nullable=True),
        Column("qtype", NAME, "type asked for, 'A', 'PTR', 'TYPE65280'", nullable=True),
        Column("qclass", pa.uint16(), "class asked for", nullable=True),
        Column("rcode", NAME, "response code, 'NOERROR', 'NXDOMAIN'; null = no response seen", nullable=True),
        Column("authoritative", pa.bool_(), "AA of the response", nullable=True),
        Column("truncated", pa.bool_(), "TC of the response", nullable=True),
        Column("recursion_desired", pa.bool_(), "RD of the query"),
        Column("recursion_available", pa.bool_(), "RA of the response", nullable=True),
        Column("answers", pa.list_(TEXT), "data of the answer records in order, as text", nullable=True),
        Column("answer_types", pa.list_(TEXT), "their types", nullable=True),
        Column("answer_names", pa.list_(TEXT), "the names that they belong to", nullable=True),
        Column("answer_ttls_s", pa.list_(pa.uint32()), "their times to live", "s", nullable=True),
        Column("query_packet_id", pa.int64(), "packet of the query", nullable=True, upstream="packets.packet_id"),
        Column("response_packet_id", pa.int64(), "packet of the response", nullable=True, upstream="packets.packet_id"),
        Column("note", TEXT, "what was malformed; null = clean", nullable=True),
    ),
)

LOGINS: Final = Table(
    "logins",
    "One row an attempt to log in, in whatever protocol. Passwords are never kept, only that one was readable.",
    (
        Column("txn_id", pa.int64(), "flow_id << 20 | number within the flow"),
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("ts", TS, "the attempt (its last message of the client)", "ns"),
        Column("src", NAME, "originator of the flow (client)"),
        Column("sport", pa.uint16(), "its port"),
        Column("dst", NAME, "responder of the flow (server)"),
        Column("dport", pa.uint16(), "its port"),
        Column("service", NAME, "protocol, as in flows.service: ftp, pop3, imap, smtp, http, telnet, smb, ssh, ..."),
        Column("user", TEXT, "account as sent", nullable=True),
        Column("method", NAME, "how: password, PLAIN, LOGIN, CRAM-MD5, NTLM, Basic, Digest, Kerberos, ...", nullable=True),
        Column("cleartext", pa.bool_(), "whether the secret can be read (or decoded without a key) from the capture"),
        Column("accepted", pa.bool_(), "whether the server let it in; null = cannot be told", nullable=True),
        Column("answer", TEXT, "what the server said", nullable=True),
        Column("packet_id", pa.int64(), "packet of the attempt", upstream="packets.packet_id"),
        Column("note", TEXT, "what was malformed or missing; null = clean", nullable=True),
    ),
)

FILES: Final = Table(
    "files",
    "One row a file (or message body) that was transferred, in whatever protocol.",
    (
        Column("txn_id", pa.int64(), "flow_id << 20 | number within the flow"),
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("ts", TS, "first byte", "ns"),
        Column("src", NAME, "originator of the flow (client)"),
        Column("sport", pa.uint16(), "its port"),
        Column("dst", NAME, "responder of the flow (server)"),
        Column("dport", pa.uint16(), "its port"),
        Column("service", NAME, "protocol, as in flows.service: http, smtp, ftp_data, smb, tftp, ..."),
        Column("sent_by_src", pa.bool_(), "whether src sent it (an upload, a mail); false = dst did"),
        Column("name", TEXT, "name that the protocol gives it", nullable=True),
        Column("declared_type", NAME, "MIME type that the sender claims", nullable=True),
        Column("kind", NAME, "what its first bytes say it is (as http.body_kind)", nullable=True),
        Column("bytes", pa.int64(), "bytes seen, codings removed", "bytes"),
        Column("sha256", TEXT, "of those bytes", nullable=True),
        Column("md5", TEXT, "of those bytes", nullable=True),
        Column("entropy", pa.float64(), "Shannon entropy of those bytes, 0..8", "bits per byte", nullable=True),
        Column("facts", TEXT, "what its content tells: header of a program, names in an archive, macros, ...", nullable=True),
        Column("yara", pa.list_(TEXT), "YARA rules that match (tracehound files --yara)", nullable=True),
        Column("complete", pa.bool_(), "every byte of it is in the capture"),
        Column("packet_id", pa.int64(), "packet of its first byte", upstream="packets.packet_id"),
        Column("note", TEXT, "what was malformed or missing; null = clean", nullable=True),
    ),
)

WEBSOCKET: Final = Table(
    "websocket",
    "One row a WebSocket connection: how it was agreed, and what was sent.",
    (
        Column("txn_id", pa.int64(), "that of the HTTP transaction that opened it", upstream="http.txn_id"),
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("ts", TS, "the request that opened it", "ns"),
        Column("src", NAME, "client's address"),
        Column("sport", pa.uint16(), "client's port"),
        Column("dst", NAME, "server's address"),
        Column("dport", pa.uint16(), "server's port"),
        Column("host", TEXT, "Host header, without port", nullable=True),
        Column("uri", TEXT, "request target as sent (bytes outside ASCII as \\xNN)", nullable=True),
        Column("user_agent", TEXT, "User-Agent header", nullable=True),
        Column("subprotocol", TEXT, "sub-protocol that the server chose", nullable=True),
        Column("client_protocols", pa.list_(TEXT), "sub-protocols that the client offers", nullable=True),
        Column("client_extensions", pa.list_(TEXT), "extensions that the client offers", nullable=True),
        Column("server_extensions", pa.list_(TEXT), "extensions that the server chose", nullable=True),
        Column("end_ts", TS, "last frame", "ns"),
        Column("frames_src", pa.int64(), "frames from the client", "frames"),
        Column("frames_dst", pa.int64(), "frames from the server", "frames"),
        Column("opcodes_src", TEXT, "the client's frames by opcode, 'text 3, ping 1'", nullable=True),
        Column("opcodes_dst", TEXT, "the server's frames by opcode", nullable=True),
        Column("data_bytes_src", pa.int64(), "data of the client's frames", "bytes"),
        Column("data_bytes_dst", pa.int64(), "data of the server's frames", "bytes"),
        Column("first_text_src", TEXT, "beginning of the client's first text message", nullable=True),
        Column("first_text_dst", TEXT, "beginning of the server's first text message", nullable=True),
        Column("inner_service", NAME, "protocol that binary messages carry, recognised from content", nullable=True),
        Column("close_code", pa.uint16(), "status code of the first close frame", nullable=True),
        Column("close_reason", TEXT, "reason in the first close frame", nullable=True),
        Column("note", TEXT, "what was malformed or missing; null = clean", nullable=True),
    ),
)

TLS: Final = Table(
    "tls",
    "One row a flow that speaks TLS or SSL: what both sides said before they went silent.",
    (
        Column("txn_id", pa.int64(), "flow_id << 20 | number within the flow"),
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("ts", TS, "first byte", "ns"),
        Column("src", NAME, "client"),
        Column("sport", pa.uint16(), "its port"),
        Column("dst", NAME, "server"),
        Column("dport", pa.uint16(), "its port"),
        Column("version", NAME, "version that the server chose: SSLv3, TLSv10, TLSv12, TLSv13", nullable=True),
        Column("cipher", NAME, "cipher suite that the server chose", nullable=True),
        Column("curve", NAME, "group of the key exchange", nullable=True),
        Column("server_name", TEXT, "name that the client asks for (SNI)", nullable=True),
        Column("resumed", pa.bool_(), "an earlier session was taken up", nullable=True),
        Column("next_protocol", NAME, "protocol that the server chose (ALPN)", nullable=True),
        Column("client_protocols", pa.list_(TEXT), "protocols that the client offered (ALPN)", nullable=True),
        Column("established", pa.bool_(), "both sides went over to encryption"),
        Column("last_alert", NAME, "last readable alert", nullable=True),
        Column("ja3", TEXT, "fingerprint of the client's hello", nullable=True),
        Column("ja3s", TEXT, "fingerprint of the server's hello", nullable=True),
        Column("ja4", TEXT, "fingerprint of the client's hello, JA4", nullable=True),
        Column("subject", TEXT, "subject of the server's certificate, RFC 2253", nullable=True),
        Column("issuer", TEXT, "issuer of the server's certificate", nullable=True),
        Column("serial", TEXT, "serial number of the server's certificate, hexadecimal", nullable=True),
        Column("not_before", TS, "valid from", "ns", nullable=True),
        Column("not_after", TS, "valid until; null also where that is beyond 2262", "ns", nullable=True),
        Column("key", NAME, "type and size of its key: 'rsa 2048', 'ec prime256v1'", nullable=True),
        Column("signature", NAME, "algorithm it is signed with", nullable=True),
        Column("names", pa.list_(TEXT), "DNS names that the certificate is for", nullable=True),
        Column("self_signed", pa.bool_(), "it names itself as its issuer", nullable=True),
        Column("certificate_sha1", TEXT, "SHA-1 of the server's certificate", nullable=True),
        Column("chain_sha256", pa.list_(TEXT), "SHA-256 of the server's certificates in order", nullable=True),
        Column("client_subject", TEXT, "subject of the client's certificate", nullable=True),
        Column("packet_id", pa.int64(), "packet of the first byte", upstream="packets.packet_id"),
        Column("note", TEXT, "what was malformed or missing; null = clean", nullable=True),
    ),
)

SMTP: Final = Table(
    "smtp",
    "One row a mail transaction, or a conversation without one.",
    (
        Column("txn_id", pa.int64(), "flow_id << 20 | number within the flow"),
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("ts", TS, "MAIL FROM (or the first line)", "ns"),
        Column("src", NAME, "client's address"),
        Column("sport", pa.uint16(), "client's port"),
        Column("dst", NAME, "server's address"),
        Column("dport", pa.uint16(), "server's port"),
        Column("trans_depth", pa.int32(), "number of the transaction in its flow, from 1"),
        Column("helo", TEXT, "what HELO, EHLO or LHLO says", nullable=True),
        Column("mailfrom", TEXT, "sender of the envelope", nullable=True),
        Column("rcptto", pa.list_(TEXT), "recipients of the envelope"),
        Column("date", TEXT, "header field Date", nullable=True),
        Column("mail_from", TEXT, "header field From", nullable=True),
        Column("mail_to", pa.list_(TEXT), "header field To, one entry an address"),
        Column("mail_cc", pa.list_(TEXT), "header field Cc, one entry an address"),
        Column("reply_to", TEXT, "header field Reply-To", nullable=True),
        Column("message_id", TEXT, "header field Message-ID", nullable=True),
        Column("in_reply_to", TEXT, "header field In-Reply-To", nullable=True),
        Column("mail_subject", TEXT, "header field Subject, decoded", nullable=True),
        Column("x_originating_ip", TEXT, "header field X-Originating-IP", nullable=True),
        Column("received", pa.list_(TEXT), "header fields Received, newest first"),
        Column("mail_path", pa.list_(TEXT), "addresses that the mail passed, newest first: server, client, those of Received"),
        Column("mailer", TEXT, "header field User-Agent or X-Mailer", nullable=True),
        Column("last_reply", TEXT, "the server's last reply to the transaction", nullable=True),
        Column("tls", pa.bool_(), "the conversation went on in TLS"),
        Column("message_bytes", pa.int64(), "size of the message, transport's dots removed", "bytes", nullable=True),
        Column("message_sha256", TEXT, "SHA-256 of the message", nullable=True),
        Column("complete", pa.bool_(), "the whole message is in the capture"),
        Column("packet_id", pa.int64(), "packet of its first byte", upstream="packets.packet_id"),
        Column("note", TEXT, "what was malformed or missing; null = clean", nullable=True),
    ),
)

FTP: Final = Table(
    "ftp",
    "One row an FTP command with its reply.",
    (
        Column("txn_id", pa.int64(), "flow_id << 20 | number within the flow"),
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("ts", TS, "the command", "ns"),
        Column("src", NAME, "client's address"),
        Column("sport", pa.uint16(), "client's port"),
        Column("dst", NAME, "server's address"),
        Column("dport", pa.uint16(), "server's port"),
        Column("user", TEXT, "account of the session so far", nullable=True),
        Column("command", NAME, "command, upper case; null = the server's greeting", nullable=True),
        Column("arg", TEXT, "argument; that of PASS is hidden", nullable=True),
        Column("reply_code", pa.uint16(), "reply; null = none is in the evidence", nullable=True),
        Column("reply_msg", TEXT, "last line of the reply", nullable=True),
        Column("data_host", NAME, "address of the data connection that was agreed", nullable=True),
        Column("data_port", pa.uint16(), "port of that connection", nullable=True),
        Column("passive", pa.bool_(), "whether the server listens for it", nullable=True),
        Column("packet_id", pa.int64(), "packet of its first byte", upstream="packets.packet_id"),
        Column("note", TEXT, "what was malformed or missing; null = clean", nullable=True),
    ),
)

POP3: Final = Table(
    "pop3",
    "One row a POP3 command with its answer.",
    (
        Column("txn_id", pa.int64(), "flow_id << 20 | number within the flow"),
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("ts", TS, "the command", "ns"),
        Column("src", NAME, "client's address"),
        Column("sport", pa.uint16(), "client's port"),
        Column("dst", NAME, "server's address"),
        Column("dport", pa.uint16(), "server's port"),
        Column("command", NAME, "command, upper case"),
        Column("arg", TEXT, "argument; secrets are hidden", nullable=True),
        Column("result", NAME, "+OK or -ERR; null = no answer is in the evidence", nullable=True),
        Column("answer", TEXT, "what the server said", nullable=True),
        Column("packet_id", pa.int64(), "packet of its first byte", upstream="packets.packet_id"),
        Column("note", TEXT, "what was malformed or missing; null = clean", nullable=True),
    ),
)

IMAP: Final = Table(
    "imap",
    "One row an IMAP command with its answer.",
    (
        Column("txn_id", pa.int64(), "flow_id << 20 | number within the flow"),
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("ts", TS, "the command", "ns"),
        Column("src", NAME, "client's address"),
        Column("sport", pa.uint16(), "client's port"),
        Column("dst", NAME, "server's address"),
        Column("dport", pa.uint16(), "server's port"),
        Column("tag", TEXT, "tag of the command", nullable=True),
        Column("command", NAME, "command, upper case"),
        Column("arg", TEXT, "argument; secrets are hidden", nullable=True),
        Column("result", NAME, "OK, NO, BAD; null = no answer is in the evidence", nullable=True),
        Column("answer", TEXT, "what the server said", nullable=True),
        Column("packet_id", pa.int64(), "packet of its first byte", upstream="packets.packet_id"),
        Column("note", TEXT, "what was malformed or missing; null = clean", nullable=True),
    ),
)

IRC: Final = Table(
    "irc",
    "One row an IRC command that says who speaks, where, and what: NICK, USER, JOIN, PART, PRIVMSG, NOTICE, TOPIC, MODE, KICK, QUIT...",
    (
        Column("txn_id", pa.int64(), "flow_id << 20 | number within the flow"),
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("ts", TS, "the command", "ns"),
        Column("src", NAME, "client's address"),
        Column("sport", pa.uint16(), "client's port"),
        Column("dst", NAME, "server's address"),
        Column("dport", pa.uint16(), "server's port"),
        Column("nick", TEXT, "nickname of the client so far", nullable=True),
        Column("user", TEXT, "user name of the client so far", nullable=True),
        Column("sent_by_src", pa.bool_(), "whether the client sent it; false = the server did"),
        Column("sender", TEXT, "who says it, where the server passes it on", nullable=True),
        Column("command", NAME, "command, upper case"),
        Column("value", TEXT, "first argument: the nickname, channel or receiver", nullable=True),
        Column("addl", TEXT, "the other arguments: the text", nullable=True),
        Column("bot_command", TEXT, "first word of a text that looks like an order to a bot (.advscan, !ddos)", nullable=True),
        Column("dcc_file_name", TEXT, "file offered by DCC SEND", nullable=True),
        Column("dcc_file_size", pa.int64(), "its size as offered", "bytes", nullable=True),
        Column("packet_id", pa.int64(), "packet of its first byte", upstream="packets.packet_id"),
        Column("note", TEXT, "what was malformed or missing; null = clean", nullable=True),
    ),
)

TELNET: Final = Table(
    "telnet",
    "One row a Telnet conversation.",
    (
        Column("txn_id", pa.int64(), "flow_id << 20 | number within the flow"),
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("ts", TS, "first byte", "ns"),
        Column("src", NAME, "client's address"),
        Column("sport", pa.uint16(), "client's port"),
        Column("dst", NAME, "server's address"),
        Column("dport", pa.uint16(), "server's port"),
        Column("options_client", pa.list_(TEXT), "options that the client offers or asks for (WILL, DO), in order"),
        Column("options_server", pa.list_(TEXT), "options that the server offers or asks for, in order"),
        Column("terminal", TEXT, "terminal type that the client names", nullable=True),
        Column("banner", TEXT, "what the server says up to its first prompt", nullable=True),
        Column("prompts", pa.int32(), "login prompts of the server", "prompts"),
        Column("packet_id", pa.int64(), "packet of its first byte", upstream="packets.packet_id"),
        Column("note", TEXT, "what was malformed or missing; null = clean", nullable=True),
    ),
)

SIP: Final = Table(
    "sip",
    "One row a SIP request with its final response, or whichever of them is in the evidence.",
    (
        Column("txn_id", pa.int64(), "flow_id << 20 | number within the flow"),
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("ts", TS, "first byte of the request (of the response where the request is missing)", "ns"),
        Column("src", NAME, "sender of the request's address"),
        Column("sport", pa.uint16(), "sender of the request's port"),
        Column("dst", NAME, "receiver of the request's address"),
        Column("dport", pa.uint16(), "receiver of the request's port"),
        Column("trans_depth", pa.int32(), "number of the transaction in its flow, from 1"),
        Column("method", NAME, "request method; from CSeq where the request is missing", nullable=True),
        Column("uri", TEXT, "request target", nullable=True),
        Column("date", TEXT, "header field Date", nullable=True),
        Column("request_from", TEXT, "From of the request", nullable=True),
        Column("request_to", TEXT, "To of the request", nullable=True),
        Column("response_from", TEXT, "From of the response", nullable=True),
        Column("response_to", TEXT, "To of the response", nullable=True),
        Column("reply_to", TEXT, "header field Reply-To", nullable=True),
        Column("call_id", TEXT, "Call-ID", nullable=True),
        Column("cseq", TEXT, "CSeq", nullable=True),
        Column("call_subject", TEXT, "header field Subject", nullable=True),
        Column("request_path", pa.list_(TEXT), "Via of the request"),
        Column("response_path", pa.list_(TEXT), "Via of the response"),
        Column("user_agent", TEXT, "User-Agent header", nullable=True),
        Column("status", pa.uint16(), "status code; null where no response is in the evidence", nullable=True),
        Column("reason", TEXT, "reason phrase", nullable=True),
        Column("warning", TEXT, "header field Warning", nullable=True),
        Column("request_bytes", pa.int64(), "body of the request as Content-Length says", "bytes", nullable=True),
        Column("response_bytes", pa.int64(), "body of the response as Content-Length says", "bytes", nullable=True),
        Column("content_type", TEXT, "Content-Type of the response", nullable=True),
        Column("packet_id", pa.int64(), "packet of its first byte", upstream="packets.packet_id"),
        Column("note", TEXT, "what was malformed or missing; null = clean", nullable=True),
    ),
)

def _talk(ts: str, src: str = "client's address", dst: str = "server's address") -> tuple[Column, ...]:
    """The first columns of a protocol's table."""
    return (
        Column("txn_id", pa.int64(), "flow_id << 20 | number within the flow"),
        Column("flow_id", pa.int64(), "flow", upstream="flows.flow_id"),
        Column("ts", TS, ts, "ns"),
        Column("src", NAME, src),
        Column("sport", pa.uint16(), "its port"),
        Column("dst", NAME, dst),
        Column("dport", pa.uint16(), "its port"),
    )


_CITED: Final = (
    Column("packet_id", pa.int64(), "packet of its first byte", upstream="packets.packet_id"),
    Column("note", TEXT, "what was malformed or missing; null = clean", nullable=True),
)
"""The last columns of a protocol's table."""

SSH: Final = Table(
    "ssh",
    "One row a flow that speaks SSH: banners, what was agreed, and whether the encrypted lengths look like a login that worked.",
    (
        *_talk("first byte"),
        Column("version", NAME, "protocol version spoken: 1, 2", nullable=True),
        Column("client_banner", TEXT, "identification line of the client", nullable=True),
        Column("server_banner", TEXT, "identification line of the server", nullable=True),
        Column("client_software", NAME, "software that the client names", nullable=True),
        Column("server_software", NAME, "software that the server names", nullable=True),
        Column("kex_alg", NAME, "key exchange that both agree on", nullable=True),
        Column("host_key_alg", NAME, "type of the server's host key", nullable=True),
        Column("cipher_alg", NAME, "cipher from client to server", nullable=True),
        Column("mac_alg", NAME, "integrity algorithm from client to server", nullable=True),
        Column("compression_alg", NAME, "compression from client to server", nullable=True),
        Column("host_key", TEXT, "MD5 of the server's host key, as Zeek and older clients show it", nullable=True),
        Column("host_key_sha256", TEXT, "SHA-256 of the server's host key, base64 as OpenSSH shows it", nullable=True),
        Column("hassh", TEXT, "fingerprint of what the client offers", nullable=True),
        Column("hassh_algorithms", TEXT, "what it is taken of", nullable=True),
        Column("hassh_server", TEXT, "fingerprint of what the server offers", nullable=True),
        Column("hassh_server_algorithms", TEXT, "what it is taken of", nullable=True),
        Column("auth_attempts", pa.int32(), "requests to log in, told from lengths; null = cannot be told", "attempts", nullable=True),
        Column("auth_success", pa.bool_(), "a login worked, told from lengths; null = cannot be told", nullable=True),
        *_CITED,
    ),
)

DHCP: Final = Table(
    "dhcp",
    "One row a DHCP or BOOTP message. Messages of one exchange have the same xid and mac.",
    (
        *_talk("the message", "sender's address", "receiver's address"),
        Column("message_type", NAME, "DISCOVER, OFFER, REQUEST, ACK, NAK, ...; BOOTREQUEST, BOOTREPLY", nullable=True),
        Column("xid", pa.uint32(), "number of the exchange, chosen by the client"),
        Column("mac", TEXT, "hardware address of the client", nullable=True),
        Column("client_addr", NAME, "address that the client has (ciaddr)", nullable=True),
        Column("requested_addr", NAME, "address that the client asks for (option 50)", nullable=True),
        Column("assigned_addr", NAME, "address that the server gives (yiaddr)", nullable=True),
        Column("server_addr", NAME, "server (option 54, otherwise siaddr)", nullable=True),
        Column("relay_addr", NAME, "relay agent (giaddr)", nullable=True),
        Column("lease_time_s", pa.uint32(), "how long the address is lent; 4294967295 = for ever", "s", nullable=True),
        Column("host_name", TEXT, "name that the host gives itself", nullable=True),
        Column("client_fqdn", TEXT, "full name that the client gives itself (option 81; DHCPv6 39)", nullable=True),
        Column("dns_domain", TEXT, "domain that the host belongs to", nullable=True),
        Column("vendor_class", TEXT, "system of the client in its own words (option 60; DHCPv6 16): 'MSFT 5.0'", nullable=True),
        Column("user_class", TEXT, "class that the client says it belongs to (option 77)", nullable=True),
        Column("client_id", TEXT, "client identifier (option 61), hexadecimal", nullable=True),
        Column("parameters", TEXT, "options that the client asks for in order (option 55): tells systems apart", nullable=True),
        Column("routers", pa.list_(TEXT), "routers that the server names", nullable=True),
        Column("dns_servers", pa.list_(TEXT), "name servers that the server names", nullable=True),
        Column("boot_file", TEXT, "file to start from", nullable=True),
        Column("agent_circuit", TEXT, "where the relay heard the client (option 82): circuit", nullable=True),
        Column("agent_remote", TEXT, "and remote id", nullable=True),
        Column("subscriber_id", TEXT, "and subscriber", nullable=True),
        Column("answer", TEXT, "what the server said", nullable=True),
        *_CITED,
    ),
)

DHCPV6: Final = Table(
    "dhcpv6",
    "One row a DHCPv6 message; of relayed ones the inner message.",
    (
        *_talk("the message", "sender's address", "receiver's address"),
        Column("message_type", NAME, "SOLICIT, ADVERTISE, REQUEST, REPLY, ...", nullable=True),
        Column("xid", pa.uint32(), "number of the exchange, chosen by the client", nullable=True),
        Column("client_duid", TEXT, "identifier of the client, hexadecimal", nullable=True),
        Column("server_duid", TEXT, "identifier of the server, hexadecimal", nullable=True),
        Column("mac", TEXT, "hardware address in the client's identifier", nullable=True),
        Column("addresses", pa.list_(TEXT), "addresses and prefixes asked for or given", nullable=True),
        Column("lease_time_s", pa.uint32(), "how long the first address is lent; 4294967295 = for ever", "s", nullable=True),
        Column("client_fqdn", TEXT, "full name that the client gives itself", nullable=True),
        Column("vendor_class", TEXT, "what the client says of its system", nullable=True),
        Column("dns_servers", pa.list_(TEXT), "name servers that the server names", nullable=True),
        Column("search_domains", pa.list_(TEXT), "domains that the server names", nullable=True),
        Column("relay_addr", NAME, "relay agent's link address", nullable=True),
        Column("result", NAME, "status that the server gives; null = none", nullable=True),
        Column("answer", TEXT, "what the server said", nullable=True),
        *_CITED,
    ),
)

SMB: Final = Table(
    "smb",
    "One row an action over SMB with its answer: sessions, shares, files and pipes. All reads of one open file are one row, so are "
    "all writes.",
    (
        *_talk("the request"),
        Column("version", NAME, "SMB1, SMB2, SMB3"),
        Column("action", NAME, "negotiate, session, tree_connect, open, read, write, rename, delete, list, set_info, ioctl, pipe_call"),
        Column("dialect", NAME, "dialect that the server chose: 'NT LM 0.12', '2.1', '3.1.1'", nullable=True),
        Column("user", TEXT, "account of the session", nullable=True),
        Column("domain", TEXT, "domain of the account", nullable=True),
        Column("host_name", TEXT, "name that the client gives itself", nullable=True),
        Column("share", TEXT, "share as connected to, \\\\server\\share", nullable=True),
        Column("share_type", NAME, "DISK, PIPE, PRINTER", nullable=True),
        Column("name", TEXT, "path of the file within the share, name of the pipe, pattern of a listing", nullable=True),
        Column("new_name", TEXT, "path that it gets by renaming", nullable=True),
        Column("is_folder", pa.bool_(), "it is a folder", nullable=True),
        Column("access", TEXT, "what the client wants to do: read, write, append, execute, delete, ...", nullable=True),
        Column("disposition", NAME, "what became of it when opened: opened, created, overwritten, superseded", nullable=True),
        Column("file_size", pa.int64(), "size of the file when it was opened", "bytes", nullable=True),
        Column("data_bytes", pa.int64(), "bytes read or written", "bytes", nullable=True),
        Column("created_ts", TS, "when the file was created, as the server says", "ns", nullable=True),
        Column("modified_ts", TS, "when it was last written to, as the server says", "ns", nullable=True),
        Column("accessed_ts", TS, "when it was last read, as the server says", "ns", nullable=True),
        Column("changed_ts", TS, "when it last changed in any way, as the server says", "ns", nullable=True),
        Column("result", NAME, "status that the server gives: SUCCESS, ACCESS_DENIED, ...; null = no answer seen", nullable=True),
        *_CITED,
    ),
)

NTLM: Final = Table(
    "ntlm",
    "One row an NTLM exchange, in whatever protocol: who, from which machine, to which machine of which domain.",
    (
        *_talk("the client's last message"),
        Column("service", NAME, "protocol that carries it, as in flows.service"),
        Column("user", TEXT, "account as sent; null = anonymous, or only the server's part was seen", nullable=True),
        Column("domain", TEXT, "domain of the account", nullable=True),
        Column("host_name", TEXT, "name that the client gives itself", nullable=True),
        Column("ntlm_version", NAME, "kind of response: LM, NTLMv1, NTLMv1 with session security, NTLMv2, anonymous", nullable=True),
        Column("client_os_version", NAME, "version of Windows that the client names, '10.0.19041'", nullable=True),
        Column("server_os_version", NAME, "version of Windows that the server names", nullable=True),
        Column("target_name", TEXT, "what the server calls itself or its domain", nullable=True),
        Column("server_nb_computer_name", TEXT, "server's NetBIOS name", nullable=True),
        Column("server_nb_domain_name", TEXT, "server's NetBIOS domain", nullable=True),
        Column("server_dns_computer_name", TEXT, "server's DNS name", nullable=True),
        Column("server_dns_domain_name", TEXT, "server's DNS domain", nullable=True),
        Column("server_tree_name", TEXT, "server's forest", nullable=True),
        Column("target_spn", TEXT, "service that the client believes it talks to", nullable=True),
        Column("accepted", pa.bool_(), "whether the server let it in; null = cannot be told", nullable=True),
        *_CITED,
    ),
)

DCE_RPC: Final = Table(
    "dce_rpc",
    "One row a DCE/RPC call with its answer, over TCP, UDP or a pipe of SMB.",
    (
        *_talk("the call"),
        Column("service", NAME, "protocol that carries it, as in flows.service: dce_rpc, smb, http"),
        Column("named_pipe", TEXT, "pipe; null = over TCP or UDP", nullable=True),
        Column("endpoint", NAME, "interface, named as in Zeek: svcctl, samr, drsuapi, ...", nullable=True),
        Column("interface_uuid", NAME, "interface", nullable=True),
        Column("interface_version", NAME, "its version", nullable=True),
        Column("opnum", pa.uint16(), "number of the operation"),
        Column("operation", NAME, "its name where known: OpenSCManagerW, NetrServerAuthenticate3, ...", nullable=True),
        Column("response_ts", TS, "the answer", "ns", nullable=True),
        Column("result", NAME, "response, or the fault; null = no answer is in the evidence", nullable=True),
        Column("protection", NAME, "how the call is protected: connect, integrity, privacy, ...; null = not", nullable=True),
        Column("request_stub_bytes", pa.int64(), "arguments of the call", "bytes", nullable=True),
        Column("response_stub_bytes", pa.int64(), "what it gave back", "bytes", nullable=True),
        *_CITED,
    ),
)

KERBEROS: Final = Table(
    "kerberos",
    "One row a Kerberos request with its answer, or a ticket that is shown to a service.",
    (
        *_talk("the request"),
        Column("service", NAME, "protocol that carries it, as in flows.service: krb, krb_tcp, smb, ldap_tcp, ..."),
        Column("request_type", NAME, "AS, TGS, AP"),
        Column("client", TEXT, "who asks, name/instance@REALM", nullable=True),
        Column("realm", TEXT, "realm asked", nullable=True),
        Column("service_principal", TEXT, "service that a ticket is asked for or shown to: krbtgt/REALM, cifs/host", nullable=True),
        Column("result", NAME, "SUCCESS, or the error: KDC_ERR_PREAUTH_FAILED, ...; null = no answer is in the evidence", nullable=True),
        Column("preauth", pa.bool_(), "the client proved that it knows the key", nullable=True),
        Column("client_ciphers", pa.list_(TEXT), "encryption types that the client offers", nullable=True),
        Column("ticket_cipher", NAME, "encryption type of the ticket; rc4-hmac can be guessed offline", nullable=True),
        Column("reply_cipher", NAME, "encryption type of the answer", nullable=True),
        Column("forwardable", pa.bool_(), "a forwardable ticket was asked for", nullable=True),
        Column("renewable", pa.bool_(), "a renewable ticket was asked for", nullable=True),
        Column("till", TS, "until when the ticket is to be valid; null also where that is beyond 2262", "ns", nullable=True),
        Column("host_name", TEXT, "name that the client gives itself", nullable=True),
        Column("answer", TEXT, "what the server said", nullable=True),
        *_CITED,
    ),
)

LDAP: Final = Table(
    "ldap",
    "One row an LDAP operation with its result.",
    (
        *_talk("the request"),
        Column("message_number", pa.int64(), "LDAP message id"),
        Column("version", NAME, "LDAP version of a bind: 2, 3", nullable=True),
        Column("operation", NAME, "bind simple, bind SASL, search, modify, add, delete, moddn, compare, extended, unbind, abandon"),
        Column("object", TEXT, "name of the entry; of a bind: who", nullable=True),
        Column("argument", TEXT, "SASL mechanism, name of the extended operation, new name; secrets are never kept", nullable=True),
        Column("scope", NAME, "base, single, tree", nullable=True),
        Column("filter", TEXT, "filter of a search", nullable=True),
        Column("attributes", pa.list_(TEXT), "attributes asked for or changed", nullable=True),
        Column("result_count", pa.int64(), "entries that were found", "entries", nullable=True),
        Column("result", NAME, "success, invalidCredentials, ...; null = no answer is in the evidence", nullable=True),
        Column("answer", TEXT, "what the server said", nullable=True),
        *_CITED,
    ),
)

RDP: Final = Table(
    "rdp",
    "One row a flow that speaks RDP: what both sides said before they went silent.",
    (
        *_talk("first byte"),
        Column("cookie", TEXT, "user that the client names in mstshash, nine letters at most by some clients", nullable=True),
        Column("routing_token", TEXT, "msts cookie or token of a load balancer", nullable=True),
        Column("requested_protocols", pa.list_(TEXT), "security that the client offers: RDP, SSL, HYBRID, RDSTLS, ...", nullable=True),
        Column("security_protocol", NAME, "security that the server chose", nullable=True),
        Column("result", NAME, "encrypted, Success, or why the server refused", nullable=True),
        Column("client_name", TEXT, "name of the client's machine", nullable=True),
        Column("client_build", NAME, "client's build, as Zeek names it: 'RDP 5.1'; otherwise its number", nullable=True),
        Column("client_build_number", pa.int64(), "number of the client's build", nullable=True),
        Column("client_version", NAME, "RDP version of the client: '4.0', '5.0 to 8.1', '10.7'", nullable=True),
        Column("keyboard_layout", NAME, "keyboard of the client, 'English - United States'", nullable=True),
        Column("client_dig_product_id", TEXT, "product id of the client", nullable=True),
        Column("desktop_width", pa.uint16(), "width of the desktop", "pixels", nullable=True),
        Column("desktop_height", pa.uint16(), "height of the desktop", "pixels", nullable=True),
        Column("requested_color_depth", NAME, "colours that the client asks for, '24bit'", nullable=True),
        Column("client_channels", pa.list_(TEXT), "virtual channels that the client asks for: rdpdr, cliprdr, ...", nullable=True),
        Column("encryption_level", NAME, "RDP's own encryption: level", nullable=True),
        Column("encryption_method", NAME, "and method", nullable=True),
        Column("cert_count", pa.int32(), "certificates that the server shows in RDP's own security", "certificates", nullable=True),
        Column("subject", TEXT, "subject of the server's certificate, RFC 2253", nullable=True),
        *_CITED,
    ),
)

QUIC: Final = Table(
    "quic",
    "One row a QUIC connection. Its TLS handshake, as far as the Initial packets tell it, is a row of table tls with the same flow_id.",
    (
        *_talk("first Initial packet"),
        Column("version", NAME, "QUIC version: 1, 2, draft-29, Q050, ..."),
        Column("client_initial_dcid", TEXT, "connection id that the client chose for the server, hexadecimal", nullable=True),
        Column("client_scid", TEXT, "the client's connection id", nullable=True),
        Column("server_scid", TEXT, "the server's connection id", nullable=True),
        Column("server_name", TEXT, "name that the client asks for (SNI)", nullable=True),
        Column("client_protocols", pa.list_(TEXT), "protocols that the client offered (ALPN)", nullable=True),
        Column("user_agent", TEXT, "User-Agent that a client of Google names", nullable=True),
        Column("ja4", TEXT, "fingerprint of the client's hello, JA4", nullable=True),
        Column("packet_history", TEXT, "packets as Zeek's quic.log writes them", nullable=True),
        Column("retry", pa.bool_(), "the server asked for a token first"),
        *_CITED,
    ),
)

NTP: Final = Table(
    "ntp",
    "One row a kind of NTP message in a flow: the first of it, and how many there were.",
    (
        *_talk("the first message", "sender's address", "receiver's address"),
        Column("version", NAME, "NTP version"),
        Column("mode", NAME, "client, server, symmetric active, symmetric passive, broadcast, control, private"),
        Column("operation", NAME, "control: read status, read variables, ...; private: MON_GETLIST_1, PEER_LIST, ...", nullable=True),
        Column("is_response", pa.bool_(), "control and private messages: it answers"),
        Column("messages", pa.int64(), "messages of this kind in the flow", "messages"),
        Column("message_bytes", pa.int64(), "their size together", "bytes", nullable=True),
        Column("stratum", pa.uint8(), "distance from a clock; 0 = kiss-o'-death", nullable=True),
        Column("poll_s", pa.float64(), "time between messages", "s", nullable=True),
        Column("precision_s", pa.float64(), "precision of the sender's clock", "s", nullable=True),
        Column("root_delay_s", pa.float64(), "round trip to the clock", "s", nullable=True),
        Column("root_dispersion_s", pa.float64(), "error bound", "s", nullable=True),
        Column("ref_id", TEXT, "clock or server that the sender follows", nullable=True),
        Column("reference_ts", TS, "when the sender's clock was last set", "ns", nullable=True),
        Column("transmit_ts", TS, "sender's time when it sent the message; many clients send a random number", "ns", nullable=True),
        Column("answer", TEXT, "what the server said", nullable=True),
        *_CITED,
    ),
)

SNMP: Final = Table(
    "snmp",
    "One row a flow that speaks SNMP.",
    (
        *_talk("first message"),
        Column("version", NAME, "SNMP version: 1, 2c, 3"),
        Column("community", NAME, "community where it is the well-known public or private; others are hidden", nullable=True),
        Column("user", TEXT, "account as sent (version 3)", nullable=True),
        Column("engine_id", TEXT, "engine of the agent (version 3), hexadecimal", nullable=True),
        Column("security_level", NAME, "version 3: noAuthNoPriv, authNoPriv, authPriv", nullable=True),
        Column("get_requests", pa.int64(), "Get and GetNext", "messages"),
        Column("get_bulk_requests", pa.int64(), "GetBulk", "messages"),
        Column("set_requests", pa.int64(), "Set", "messages"),
        Column("get_responses", pa.int64(), "responses", "messages"),
        Column("traps", pa.int64(), "traps, informs and reports", "messages"),
        Column("message_bytes", pa.int64(), "all messages together", "bytes", nullable=True),
        Column("oids", pa.list_(TEXT), "objects asked for or told of, the first of them", nullable=True),
        Column("error_status", NAME, "first error of a response", nullable=True),
        Column("display_string", TEXT, "sysDescr as the agent gives it", nullable=True),
        Column("host_name", TEXT, "name that the host gives itself", nullable=True),
        Column("up_since", TS, "when the agent started, from sysUpTime", "ns", nullable=True),
        *_CITED,
    ),
)

TFTP: Final = Table(
    "tftp",
    "One row a TFTP request and what became of it. Its data flow from another port of the server.",
    (
        *_talk("the request"),
        Column("command", NAME, "RRQ (fetch), WRQ (store)"),
        Column("name", TEXT, "name of the file", nullable=True),
        Column("transfer_mode", NAME, "octet, netascii, mail", nullable=True),
        Column("tftp_options", pa.list_(TEXT), "options that the client asks for, 'blksize=1024'", nullable=True),
        Column("data_port", pa.uint16(), "port of that connection", nullable=True),
        Column("data_flow_id", pa.int64(), "flow that carries the data", nullable=True, upstream="flows.flow_id"),
        Column("data_bytes", pa.int64(), "bytes read or written", "bytes", nullable=True),
        Column("result", NAME, "complete, unfinished, unanswered, or the error", nullable=True),
        Column("answer", TEXT, "what the server said", nullable=True),
        *_CITED,
    ),
)

SUNRPC: Final = Table(
    "sunrpc",
    "One row a procedure of an ONC RPC program that a flow calls: the first call, and how many there were.",
    (
        *_talk("the first call"),
        Column("program", NAME, "program: portmapper, nfs, mountd, ...; its number where it has no name"),
        Column("program_number", pa.uint32(), "its number"),
        Column("version", NAME, "version of the program"),
        Column("operation", NAME, "procedure: GETPORT, DUMP, MNT, ...; its number where it has no name"),
        Column("calls", pa.int64(), "calls of it", "calls"),
        Column("replies", pa.int64(), "their replies", "replies"),
        Column("result", NAME, "first reply: SUCCESS, PROG_UNAVAIL, AUTH_ERROR, ...; null = no answer is in the evidence", nullable=True),
        Column("host_name", TEXT, "name that the client gives itself", nullable=True),
        Column("uid", pa.uint32(), "user number that the client claims", nullable=True),
        Column("argument", TEXT, "program asked for, path of a mount", nullable=True),
        Column("answer", TEXT, "ports, programs or exports that the server names", nullable=True),
        *_CITED,
    ),
)

NETBIOS: Final = Table(
    "netbios",
    "One row a kind of NetBIOS message in a flow (names, datagrams, sessions): the first of it, and how many there were.",
    (
        *_talk("the first message", "sender's address", "receiver's address"),
        Column("operation", NAME, "query, registration, refresh, release, node_status, datagram, session, ..."),
        Column("is_response", pa.bool_(), "it answers"),
        Column("netbios_name", TEXT, "name that it is about; of datagrams and sessions: the sender's", nullable=True),
        Column("name_type", NAME, "what the name stands for: workstation, server, domain, master browser, ...", nullable=True),
        Column("called_name", TEXT, "datagrams and sessions: whom it is for", nullable=True),
        Column("is_group", pa.bool_(), "it is a group's name", nullable=True),
        Column("addresses", pa.list_(TEXT), "addresses of the name", nullable=True),
        Column("node_names", pa.list_(TEXT), "node status: all names of the machine, 'HOST<00>'", nullable=True),
        Column("mac", TEXT, "hardware address that a node status names", nullable=True),
        Column("rcode", NAME, "response code, 'NOERROR', 'NXDOMAIN'; null = no response seen", nullable=True),
        Column("host_name", TEXT, "name that the host gives itself", nullable=True),
        Column("os_version", NAME, "browser announcement: version of Windows that the host names", nullable=True),
        Column("comment", TEXT, "browser announcement: the host's comment", nullable=True),
        Column("messages", pa.int64(), "messages of this kind in the flow", "messages"),
        *_CITED,
    ),
)

RADIUS: Final = Table(
    "radius",
    "One row a RADIUS request with its answer.",
    (
        *_talk("the request"),
        Column("request_type", NAME, "Access-Request, Accounting-Request, Disconnect-Request, ..."),
        Column("user", TEXT, "account as sent", nullable=True),
        Column("mac", TEXT, "hardware address of the client (Calling-Station-Id)", nullable=True),
        Column("called_station", TEXT, "where it asks for access (Called-Station-Id): a number, an access point", nullable=True),
        Column("nas_addr", NAME, "access server's address", nullable=True),
        Column("nas_name", TEXT, "access server's name", nullable=True),
        Column("framed_addr", NAME, "address that the user gets", nullable=True),
        Column("tunnel_client", TEXT, "other end of a tunnel", nullable=True),
        Column("connect_info", TEXT, "what is said of the line", nullable=True),
        Column("accounting_status", NAME, "Start, Stop, Interim-Update, ...", nullable=True),
        Column("result", NAME, "Access-Accept, Access-Reject, ...; null = no answer is in the evidence", nullable=True),
        Column("answer", TEXT, "what the server said", nullable=True),
        *_CITED,
    ),
)

SYSLOG: Final = Table(
    "syslog",
    "One row a syslog message.",
    (
        *_talk("the message", "sender's address", "receiver's address"),
        Column("facility", NAME, "who says it: KERN, AUTH, LOCAL0, ...; null = the message does not say", nullable=True),
        Column("severity", NAME, "EMERG, ALERT, CRIT, ERR, WARNING, NOTICE, INFO, DEBUG", nullable=True),
        Column("host_name", TEXT, "name that the host gives itself", nullable=True),
        Column("program", NAME, "program that says it", nullable=True),
        Column("message", TEXT, "the words"),
        *_CITED,
    ),
)

DATABASE: Final = Table(
    "database",
    "One row a connection to a database server: MySQL, PostgreSQL, Microsoft SQL Server, Redis.",
    (
        *_talk("first byte"),
        Column("service", NAME, "protocol, as in flows.service: mysql, postgresql, tds, redis"),
        Column("server_version", TEXT, "what the server says it is", nullable=True),
        Column("user", TEXT, "account as sent", nullable=True),
        Column("database", TEXT, "database asked for", nullable=True),
        Column("client_software", NAME, "software that the client names", nullable=True),
        Column("host_name", TEXT, "name that the client gives itself", nullable=True),
        Column("method", NAME, "how it logs in", nullable=True),
        Column("accepted", pa.bool_(), "whether the server let it in; null = cannot be told", nullable=True),
        Column("tls", pa.bool_(), "the conversation went on in TLS"),
        Column("commands", pa.int64(), "commands of the client after that", "commands"),
        Column("first_commands", pa.list_(TEXT), "the first of them", nullable=True),
        Column("answer", TEXT, "what the server said", nullable=True),
        *_CITED,
    ),
)

SSDP: Final = Table(
    "ssdp",
    "One row a kind of SSDP (UPnP) message in a flow: the first of it, and how many there were.",
    (
        *_talk("the first message", "sender's address", "receiver's address"),
        Column("operation", NAME, "search, alive, byebye, update, response"),
        Column("target", TEXT, "what is searched or announced: ssdp:all, upnp:rootdevice, a device or service type", nullable=True),
        Column("usn", TEXT, "unique name of the service", nullable=True),
        Column("location", TEXT, "where its description is", nullable=True),
        Column("server", TEXT, "Server header", nullable=True),
        Column("user_agent", TEXT, "User-Agent header", nullable=True),
        Column("messages", pa.int64(), "messages of this kind in the flow", "messages"),
        *_CITED,
    ),
)

HOST_EVENTS: Final = Table(
    "host_events",
    "One row a statement of a host about itself: a time of a file in a listing, a process, a log line, what an anti-virus found.",
    (
        Column("event_id", pa.int64(), "number of the row in this run"),
        Column("source", TEXT, "file of evidence that says it"),
        Column("line", pa.int64(), "line of that file, from 1 (of XML: number of the event)"),
        Column("ts", TS, "when, the host's clock corrected; null = no time is said", "ns", nullable=True),
        Column("ts_host", TS, "when, as the host's clock had it", "ns", nullable=True),
        Column("time_kind", NAME, "what the time is of: modified, accessed, changed, born, logged, started, ended, seen"),
        Column("kind", TEXT, "file, process, connection, login, detection, service, registry, scan, log"),
        Column("path", TEXT, "file, program or registry key", nullable=True),
        Column("process", TEXT, "process that did it", nullable=True),
        Column("pid", pa.int64(), "its number", nullable=True),
        Column("user", TEXT, "whose account", nullable=True),
        Column("size", pa.int64(), "size of the file", "bytes", nullable=True),
        Column("md5", TEXT, "MD5 as the source gives it", nullable=True),
        Column("sha256", TEXT, "SHA-256 as the source gives it", nullable=True),
        Column("peer", TEXT, "address at the other end of a connection", nullable=True),
        Column("peer_port", pa.uint16(), "its port", nullable=True),
        Column("detection", TEXT, "name that an anti-virus gives", nullable=True),
        Column("message", TEXT, "the source's own words", nullable=True),
        Column("note", TEXT, "what is uncertain: a guessed year, a guessed order of day and month; null = clean", nullable=True),
    ),
)

ADDRESSES: Final = Table(
    "addresses",
    "One row a distinct address of the flows, with what is known of it offline.",
    (
        Column("address", TEXT, "canonical text"),
        Column("is_home", pa.bool_(), "inside the home networks of this run"),
        Column(
            "network", TEXT, "routed prefix where the address table has it, otherwise the /24 or /48", nullable=True
        ),
        Column("asn", pa.int64(), "autonomous system number", nullable=True),
        Column("provider", TEXT, "organisation of that autonomous system", nullable=True),
        Column("country", TEXT, "ISO 3166 code of the address block", nullable=True),
        Column(
            "provider_kind",
            TEXT,
            "access, mobile, hosting, content, education, government, enterprise, transit; null = unknown",
            nullable=True,
        ),
        Column("name", TEXT, "name seen in the evidence", nullable=True),
        Column("name_source", TEXT, "where the name was seen: dns, ptr, http_host, capture_notes", nullable=True),
        Column(
            "is_access",
            pa.bool_(),
            "taken as an access line: cable, DSL, dial-up, mobile; null = cannot be told",
            nullable=True,
        ),
        Column("access_reason", TEXT, "why", nullable=True),
    ),
)

HOST_FACTS: Final = Table(
    "host_facts",
    "One row a thing that the evidence tells of one host, with what told it and where.",
    (
        Column("address", TEXT, "canonical text"),
        Column("fact", NAME, "name, mac, maker, system, software, service, uses, user, domain, role, also (further addresses)"),
        Column("told", TEXT, "the fact itself"),
        Column("told_by", NAME, "table and column, or the reasoning, that tells it"),
        Column("times", pa.int64(), "how often it was told", "times"),
        Column("ts", TS, "first time", "ns", nullable=True),
        Column("packet_id", pa.int64(), "packet of the first time; null = flow log, or a figure over many", nullable=True,
               upstream="packets.packet_id"),
    ),
)  # fmt: skip

HOSTS: Final = Table(
    "hosts",
    "One row a host that sent something, with what the evidence tells of it; table host_facts says what told each and where.",
    (
        Column("address", TEXT, "canonical text"),
        Column("is_home", pa.bool_(), "inside the home networks of this run"),
        Column("also", pa.list_(TEXT), "further addresses of the same machine, by hardware address or name"),
        Column("mac", TEXT, "hardware address", nullable=True),
        Column("maker", TEXT, "who made the network hardware, by its address", nullable=True),
        Column("host_names", pa.list_(TEXT), "names, the most telling first"),
        Column("system", TEXT, "operating system", nullable=True),
        Column("system_reason", TEXT, "what tells the operating system", nullable=True),
        Column("roles", pa.list_(TEXT), "what the host is for: web server, name server, router, client, ..."),
        Column("services", pa.list_(TEXT), "services that it answered, with software and number of clients"),
        Column("uses", pa.list_(TEXT), "services that it used, with number of servers"),
        Column("users", pa.list_(TEXT), "accounts used on it"),
        Column("software", pa.list_(TEXT), "programs that name themselves"),
        Column("start", TS, "first packet", "ns"),
        Column("end", TS, "last packet", "ns"),
        Column("pkts_sent", pa.int64(), "packets that it sent", "packets"),
        Column("pkts_received", pa.int64(), "packets sent to it", "packets"),
        Column("bytes_sent", pa.int64(), "IP bytes that it sent", "bytes"),
        Column("bytes_received", pa.int64(), "IP bytes sent to it", "bytes"),
        Column("peers", pa.int64(), "hosts that it exchanged something with", "hosts"),
    ),
)

FINDINGS: Final = Table(
    "findings",
    "One row a statement of the verdict.",
    (
        Column("finding_id", TEXT, "stable within one run: kind and number"),
        Column("kind", NAME, "probing_host, outcomes, request_template, targets, turning_point, identity, ..."),
        Column("host", TEXT, "host that the statement is about", nullable=True),
        Column("from", TS, "since when", "ns", nullable=True),
        Column("to", TS, "until when", "ns", nullable=True),
        Column("statement", TEXT, "one sentence"),
        Column("confidence", pa.float64(), "0..1"),
        Column("confidence_reason", TEXT, "what the confidence comes from"),
        Column("evidence", pa.list_(TEXT), "what it rests on: 'file frame N', 'flow N', 'http N'"),
        Column("detector", TEXT, "detector and its version"),
        Column("technique", TEXT, "ATT&CK technique", nullable=True),
    ),
)

TRANSACTIONS: Final[tuple[Table, ...]] = (
    HTTP, DNS, TLS, SMTP, POP3, IMAP, FTP, IRC, TELNET, SIP, LOGINS, FILES, WEBSOCKET, SSH, DHCP, DHCPV6, SMB, NTLM, DCE_RPC,
    KERBEROS, LDAP, RDP, QUIC, NTP, SNMP, TFTP, SUNRPC, NETBIOS, RADIUS, SYSLOG, DATABASE, SSDP,
)  # fmt: skip
"""The tables of the protocols, one each."""
LOGS: Final[tuple[Table, ...]] = (RECORDS, ARGUS, LOG_ALERTS, WITNESSES)
"""The tables that flow logs fill beside those that captures fill as well."""

ALL: Final[dict[str, Table]] = {
    t.name: t
    for t in (
        EVIDENCE, QUALITY, NOTES, PACKETS, ARP, LINK_ADDRESSES, FLOWS, *LOGS, HEADS, *TRANSACTIONS, HOST_EVENTS, ADDRESSES, HOST_FACTS,
        HOSTS, FINDINGS,
    )
}


OUTCOMES: Final[dict[str, str]] = {
    "unanswered": "nothing came back; syn_count says how often it was tried",
    "refused": "a RST answered the SYN",
    "unreachable": "an ICMP error answered",
    "accepted": "the handshake was completed, but no payload came back",
    "answered": "payload came back",
    "one_sided": "only one side of the conversation is in the evidence",
    "midstream": "no handshake in the evidence",
}
