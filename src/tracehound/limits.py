"""In: nothing. Out: every bound of the program as one named number with its unit, its default and its reason.
Never here: code that acts on a bound. A length read from evidence is checked against a name of this file first."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

# -- memory ---------------------------------------------------------------------------------------------------------
MEMORY_CEILING_BYTES: Final = 1 * GIB
"""What a full run may hold beside the interpreter and its libraries, whatever the size of the evidence."""
DUCKDB_MEMORY_BYTES: Final = 384 * MIB
"""DuckDB's share of the ceiling; beyond it DuckDB spills to the work folder."""
STORE_MEMORY_BYTES: Final = 192 * MIB
"""Finished rows of all tables kept as Arrow; beyond it they are written to the work folder as Parquet."""
FLOWS_AT_ONCE: Final = 1_000_000
"""Flows that a detector is asked about at once: of more evidence, one part of the sources after the other."""

# -- capture files ----------------------------------------------------------------------------------------------------
CHUNK_BYTES: Final = 8 * MIB
"""Capture bytes decoded at once: large enough that a call costs nothing, small enough to stay in the last-level cache."""
MAX_CAPLEN_BYTES: Final = 1 * MIB
"""Largest captured length believed. libpcap's MAXIMUM_SNAPLEN is 262,144, and USB captures go higher; a larger length is
damage, not a packet."""
MAX_WIRELEN_BYTES: Final = 2**31 - 1
"""Largest length on the wire believed: what the column holds. Offloaded segments and IPv6 jumbograms pass 65,535."""
BATCH_SLACK_BYTES: Final = 256 * KIB
"""Room at the end of every capture buffer for datagrams put together from fragments (65,535 bytes each)."""
MAX_BLOCK_BYTES: Final = 16 * MIB
"""Largest pcapng block believed (Wireshark's own limit)."""
MAX_INTERFACES: Final = 4_096
"""Interfaces in one pcapng section; a file that declares more is hostile."""
MAX_SECTIONS: Final = 65_536
"""Sections in one pcapng file: every rotation of a year's captures put together stays below it."""
MAX_COMMENTS: Final = 10_000
"""Comments and name-resolution records kept per file."""
MAX_COMMENT_BYTES: Final = 4 * KIB
"""Bytes of one comment kept."""
MAX_DECOMPRESSED_RATIO: Final = 2_000
"""Output bytes per input byte of a compressed capture after which it is called a bomb (gzip's own maximum is 1,032)."""
DECOMPRESSED_HEADSTART_BYTES: Final = 16 * MIB
"""Output that a compressed capture may have before its ratio counts: small files of zeros are no bombs."""
MAX_DECOMPRESSOR_BYTES: Final = 192 * MIB
"""Memory that one decompressor may ask for (xz -9 needs 65 MiB, zstd --long=27 128 MiB)."""
MAX_PEEK_BYTES: Final = 32 * MIB
"""Bytes read of a file in search of its first packet before files are put in order."""

# -- packets ----------------------------------------------------------------------------------------------------------
MAX_LINK_HEADERS: Final = 16
"""Headers followed in one frame before its network layer: VLAN tags, MPLS labels, PPPoE, LLC."""
MAX_TUNNEL_DEPTH: Final = 6
"""Encapsulations followed in one packet. Zeek stops at 2; mirrored mobile traffic (ERSPAN, VXLAN, GTP, Teredo) comes to 4."""
MAX_BUNDLED_FRAMES: Final = 128
"""Frames taken out of one 802.11 A-MSDU: its 11,454 bytes hold no more TCP acknowledgments."""
MAX_IPV6_EXTENSIONS: Final = 16
"""IPv6 extension headers followed in one packet."""
MAX_FILTER_CHARACTERS: Final = 64 * KIB
"""A capture filter."""
MAX_FILTER_DEPTH: Final = 100
"""Parentheses and negations inside each other in a capture filter."""
MAX_QUALITY_KINDS: Final = 64
"""Link types, EtherTypes and kinds of tunnels that the quality record counts each; the rest is counted as one."""
MAX_FRAGMENT_BYTES: Final = 32 * MIB
"""Fragments kept waiting for the rest of their datagram."""
MAX_FRAGMENTS_PER_DATAGRAM: Final = 8_192
"""65,535 bytes in eights: no honest datagram has more fragments."""
FRAGMENT_TIMEOUT_NS: Final = 60 * 1_000_000_000
"""RFC 8200 section 4.5: reassembly is abandoned after 60 seconds."""

# -- flows ------------------------------------------------------------------------------------------------------------
SHARD_FROM_BYTES: Final = 48 * MIB
"""Evidence of this size and more is read by several processes; starting them takes as long as reading this much."""
MAX_SHARDS: Final = 8
"""Processes that read conversations: the one that cuts packets into flows feeds no more than that."""
PARCELS_WAITING: Final = 64
"""Parcels that may wait for such a process; most are flows that ended."""
SHARD_MEMORY_BYTES: Final = 32 * MIB
"""Memory that is shared with such a process, for the parcels that wait for it."""
PIPE_BYTES: Final = 1 * MIB
"""Room of the pipe to such a process: Linux gives no more to an ordinary user."""
MAX_OPEN_FLOWS: Final = 1_048_576
"""Flows open at once; beyond it those idle longest are closed first, and the quality record counts them."""
TCP_IDLE_NS: Final = 300 * 1_000_000_000
"""Zeek's tcp_inactivity_timeout: five minutes without a packet end a TCP flow."""
UDP_IDLE_NS: Final = 60 * 1_000_000_000
"""Zeek's udp_inactivity_timeout; also used for ICMP and other protocols."""
ATTEMPT_MERGE_NS: Final = 75 * 1_000_000_000
"""Unanswered SYNs of one 5-tuple at most this far apart are one attempt (a Windows or Linux stack doubles 3 s or 1 s)."""

# -- flow logs ----------------------------------------------------------------------------------------------------------
LOG_HEAD_BYTES: Final = 16 * KIB
"""First bytes of a file that tell which flow log it is: long header lines of CSV and JSON lines fit."""
LOG_CHUNK_BYTES: Final = 4 * MIB
"""Bytes of a flow log read at once."""
LOG_OVERLAP_NS: Final = 3600 * 1_000_000_000
"""How far a rotated log may begin before the last record of the file before it ends: a log of an hour holds what ended in that hour."""
MAX_LOG_RECORD_BYTES: Final = 16 * MIB
"""Longest record or line of a flow log; a longer one is damage. EVE lines with payload stay far below it."""
LOG_ROWS_AT_ONCE: Final = 65_536
"""Records of a flow log in one block."""
MAX_LOG_COUNTER: Final = 1 << 48
"""Largest count of packets or bytes believed of one record: sums of many stay far below what 64 bits hold."""
MAX_LOG_WORDS: Final = 100_000
"""Distinct texts (services, histories, tunnels) that the flows of one chain of logs may carry; further ones are left out."""
PAIRING_WAIT_NS: Final = 300 * 1_000_000_000
"""How long a record of one direction waits, beyond the idle time, for what belongs to it: exporters send a record when its flow is
over, and the two directions seldom at once."""
MAX_PAIRING_FLOWS: Final = 262_144
"""Flows that wait so (256 bytes each, and as much again while they grow); those that ended longest ago are given up first, counted."""
PAIRING_BATCH: Final = 65_536
"""Records paired at once."""
MAX_TEMPLATE_FIELDS: Final = 1_024
"""Fields of one template of NetFlow v9 or IPFIX; real ones have some ten."""
MAX_TEMPLATES: Final = 16_384
"""Templates kept of all exporters."""
MAX_TEMPLATE_WAIT_BYTES: Final = 8 * MIB
"""Data sets kept until their template comes; exporters send it again every few minutes."""
MAX_NFDUMP_BLOCK_BYTES: Final = 8 * MIB
"""Largest block of an nfdump file, unpacked; nfdump's own buffer is 5 MiB, and it writes blocks of 1 MiB."""
MAX_SYSLOG_CHARACTERS: Final = 2_000
"""Characters of a firewall's line that are read; RFC 3164 allows 1,024 bytes."""
MAX_BUILT_CONNECTIONS: Final = 262_144
"""Connections of a firewall log whose end has not been told yet; the oldest are given up first, as connections without an end."""
MAX_EXPORTERS: Final = 16_384
"""Exporters (and engines or observation domains of them) whose sequence numbers and sampling are remembered."""

# -- streams and transactions -------------------------------------------------------------------------------------------
MAX_PENDING_STREAM_BYTES: Final = 96 * MIB
"""Out-of-order bytes kept over all TCP streams."""
MAX_PENDING_PER_STREAM_BYTES: Final = 2 * MIB
"""Out-of-order bytes kept for one direction of one stream before its gap is taken as lost."""
MAX_OVERLAP_WINDOW_BYTES: Final = 4 * KIB
"""Delivered bytes kept per direction to tell a retransmission with other bytes from an honest one."""
MAX_HTTP_LINE_BYTES: Final = 64 * KIB
"""Longest request, status, header or chunk-size line."""
MAX_HTTP_HEADERS: Final = 512
"""Headers of one message."""
MAX_HTTP_BODY_DECODED_BYTES: Final = 64 * MIB
"""Decoded bytes of one body with a content coding; beyond it the body is noted as cut (decompression bombs)."""
MAX_HTTP_PIPELINE: Final = 4_096
"""Requests waiting for their response on one connection."""
MAX_HTTP_CODINGS: Final = 4
"""Content codings of one body that are taken off; each multiplies what a small body can become."""
MAX_ZSTD_WINDOW_BYTES: Final = 8 * MIB
"""RFC 9659: the largest window of the zstd content coding."""
MAX_TUNNEL_WAIT_BYTES: Final = 64 * KIB
"""Bytes kept on one connection until it is known whether the other side agreed to leave HTTP, and what is spoken instead."""
MAX_TUNNEL_NESTING: Final = 2
"""Services followed inside services: TLS, SSH or HTTP in CONNECT, and once more inside that."""
MAX_HTTP2_FRAME_BYTES: Final = 16 * MIB
"""RFC 9113 4.2: no frame is longer; of header blocks MAX_HTTP_LINE_BYTES * 4 are kept."""
MAX_HTTP2_STREAMS: Final = 1_024
"""HTTP/2 streams open at once on one connection; servers allow 100 to 256."""
MAX_HPACK_TABLE_BYTES: Final = 64 * KIB
"""RFC 7541 4.2: dynamic table of one direction; the default is 4,096, and browsers allow 65,536."""
MAX_FORM_PARTS: Final = 1_000
"""Parts of one multipart body."""
MAX_FORM_HEADER_BYTES: Final = 16 * KIB
"""Header of one part of a multipart body."""
MAX_RANGED_FILES: Final = 64
"""Files of one connection that are being joined from ranges."""
MAX_WEBSOCKET_TEXT_BYTES: Final = 512
"""First text of a WebSocket direction that is kept."""
MAX_FACT_HEAD_BYTES: Final = 2 * MIB
"""First bytes of a file that its facts are read from: headers, sections and import tables of programs lie there."""
MAX_FACT_TAIL_BYTES: Final = 256 * KIB
"""Last bytes of a file that its facts are read from: the directory of a ZIP archive lies there."""
MAX_FACT_TOTAL_BYTES: Final = 96 * MIB
"""Content held for the facts of all files that are not finished."""
MAX_FACT_ENTRIES: Final = 4_096
"""Entries of one table inside a file (sections, imports, names in an archive) that are read."""
MAX_FACT_CHARACTERS: Final = 600
"""Length of the text of a file's facts."""
MAX_EXTRACTED_FILE_BYTES: Final = 1 * GIB
"""Content written of one file that is extracted; more is cut, and the index says so."""
MAX_EXTRACTED_BYTES: Final = 32 * GIB
"""Content written by one extraction; what comes after it is not written, and the index says so."""
MAX_EXTRACTED_FILES: Final = 100_000
"""Files written by one extraction."""
MAX_EXTRACTED_NAME_CHARACTERS: Final = 80
"""Characters of the sender's name that a written file's name keeps."""
MAX_YARA_BYTES: Final = 64 * MIB
"""First bytes of a file that YARA rules are tried on."""
HTTP_PREVIEW_BYTES: Final = 256
HTTP_REQUEST_PREVIEW_BYTES: Final = 1024
"""Bytes of a body kept to be shown."""
MAX_DNS_POINTERS: Final = 64
"""Compression pointers followed in one name (RFC 1035 4.1.4 allows no loops; a name has at most 127 labels)."""
MAX_DNS_RECORDS: Final = 512
"""Resource records read from one message."""
MAX_PENDING_QUERIES: Final = 262_144
"""DNS queries waiting for their response."""
MAX_DNS_STREAM_BYTES: Final = 16 * MIB
"""Beginnings of DNS messages kept over all TCP streams (65,535 bytes each at most)."""
MAX_SHORT_HEADS: Final = 65_536
"""TCP directions whose first payload was too short to tell what they speak, and that wait for more of it."""
MAX_TEXT_LINE_BYTES: Final = 16 * KIB
"""Longest line of a protocol that speaks in lines; the rest of a longer one is dropped (RFC 5321 asks for 512 bytes, IMAP for 8,000)."""
MAX_TEXT_FIELD: Final = 2_000
"""Characters of one cell that such a line fills."""
MAX_TEXT_COMMANDS: Final = 100_000
"""Rows of one table from one flow of such a protocol (txn_id has room for 2^20)."""
MAX_TEXT_PIPELINE: Final = 20_000
"""Commands that wait for their reply on one connection: those of a whole batch come before its replies do."""
MAX_MAIL_HEADER_BYTES: Final = 128 * KIB
"""One header section of a mail or of one of its parts."""
MAX_MAIL_PARTS: Final = 1_000
"""Parts of one mail that are read."""
MAX_MIME_DEPTH: Final = 16
"""Multiparts inside each other that are followed."""
MAX_RECIPIENTS: Final = 1_000
"""Recipients of one mail kept."""
MAX_EXPECTED_FLOWS: Final = 16_384
"""Connections that were announced and have not come yet; the oldest are forgotten first."""
MAX_SIP_MESSAGE_BYTES: Final = 128 * KIB
"""Header section of one SIP message over TCP."""
MAX_OPEN_SIP: Final = 1_000
"""SIP requests of one flow that wait for their final response."""
MAX_TELNET_EVENTS: Final = 4_000
"""Lines of the client and stretches of the server kept of one Telnet conversation to find its logins; no more of it is read then."""
MAX_TELNET_BYTES: Final = 128 * KIB
"""Bytes of them kept."""
MAX_TELNET_BANNER: Final = 1_000
"""Characters of a Telnet server's greeting kept."""
MAX_LITERAL_BYTES: Final = 4 * KIB
"""Bytes of an IMAP client's literal kept (a user's name, a password that is not)."""
MAX_SSH_PACKET_BYTES: Final = 64 * KIB
"""RFC 4253 6.1: 35,000 bytes must be understood; key exchanges with long certificates stay below this."""
MAX_SSH_SEGMENTS: Final = 256
"""Segments of an SSH server behind its key exchange whose lengths are looked at to tell how logins fared."""
MAX_DHCP_OPTIONS: Final = 1_024
"""Options of one DHCP message: 254 numbers of 255 bytes do not fill a datagram."""
MAX_NTLM_PAIRS: Final = 64
"""AV pairs of one NTLM message."""
MAX_RPC_FRAGMENT_BYTES: Final = 64 * KIB
"""C706 12.6.3.1: the length of a fragment has two bytes."""
MAX_RPC_CALLS: Final = 1_024
"""DCE/RPC calls of one association that wait for their answer."""
MAX_RPC_CONTEXTS: Final = 4_096
"""Interfaces that one association may bind."""
MAX_SMB_MESSAGE_BYTES: Final = 17 * MIB
"""[MS-SMB2] 3.3.5.2.7: servers allow reads and writes of 8 MiB; a length has three bytes."""
MAX_SMB_HELD_BYTES: Final = 16 * MIB
"""SMB requests of one connection that wait for their response."""
MAX_SMB_WAITING: Final = 8_192
"""[MS-SMB2] 3.3.1.2: so many credits a server gives at most."""
MAX_SMB_DISORDER_BYTES: Final = 4 * MIB
"""Data of one open file that waits for what lies before it."""
MAX_SMB_OPEN: Final = 8_192
"""Files that one SMB connection holds open; more are taken as closed."""
MAX_RDP_MESSAGE_BYTES: Final = 64 * KIB
"""A TPKT has a length of two bytes."""
MAX_QUIC_CRYPTO_BYTES: Final = 64 * KIB
"""Handshake bytes of one side in QUIC Initial packets; a client hello has 300 to 2,000."""
MAX_QUIC_DATAGRAMS: Final = 48
"""Datagrams of one QUIC connection that are looked at: its hellos stand in the first few."""
MAX_SNMP_OIDS: Final = 64
"""Objects of one SNMP flow that are kept."""
MAX_SNMP_READ: Final = 256
"""Messages of one SNMP flow whose objects are read; later ones are counted."""
MAX_SNMP_USERS: Final = 1_024
"""Communities or users of one SNMP flow: who guesses them tries many."""
MAX_NTP_KINDS: Final = 64
"""Kinds of NTP messages told apart in one flow."""
MAX_NETBIOS_KINDS: Final = 4_096
"""Kinds of NetBIOS messages told apart in one flow: a scan of names asks for many."""
MAX_KERBEROS_MESSAGE_BYTES: Final = 256 * KIB
"""A Kerberos message over TCP; tickets with many groups have some ten thousand bytes."""
MAX_KERBEROS_WAITING: Final = 256
"""Kerberos requests of one flow that wait for their answer."""
MAX_LDAP_MESSAGE_BYTES: Final = 10 * MIB
"""Active Directory's MaxReceiveBuffer."""
MAX_LDAP_WAITING: Final = 1_024
"""LDAP operations of one connection that wait for their result."""
MAX_LDAP_FILTER: Final = 4_000
"""Characters of a filter that are kept."""
MAX_SUNRPC_MESSAGE_BYTES: Final = 2 * MIB
"""One fragment of an ONC RPC record: NFS moves 1 MiB at once."""
MAX_SUNRPC_MESSAGES: Final = 50_000
"""ONC RPC messages of one flow that are read: NFS moves files with millions."""
MAX_SUNRPC_KINDS: Final = 1_024
"""Procedures told apart in one flow."""
MAX_SUNRPC_WAITING: Final = 4_096
"""ONC RPC calls of one flow that wait for their reply."""
MAX_RADIUS_WAITING: Final = 256
"""RADIUS requests of one flow that wait for their answer: an identifier has one byte."""
MAX_SSDP_KINDS: Final = 1_024
"""Kinds of SSDP messages told apart in one flow."""
MAX_DATABASE_MESSAGE_BYTES: Final = 17 * MIB
"""One message of a database protocol: that of MySQL has a length of three bytes."""
MAX_DATABASE_COMMANDS: Final = 20_000
"""Commands of one database connection that are counted."""
MAX_FIRST_COMMANDS: Final = 20
"""Of them kept."""
MAX_REDIS_REPLIES: Final = 256
"""Replies of a Redis server that are read, in search of the one to AUTH."""
MAX_DTLS_DATAGRAMS: Final = 128
"""Datagrams of one DTLS flow that are looked at in search of its handshake."""
MAX_ARP_KINDS: Final = 100_000
"""Kinds of ARP message kept (sender, target, operation): a sweep of a /16 has 65,536."""
MAX_LINK_SENDERS: Final = 500_000
"""Pairs of hardware and network address kept; behind a router all the world has one hardware address."""
HEAD_BYTES: Final = 256
"""First payload bytes kept per flow and direction (templates of protocols without a parser, service identification)."""

# -- findings and reports -----------------------------------------------------------------------------------------------
MAX_CITATIONS: Final = 20
"""Citations printed per statement; the count of all is always given beside them."""
MAX_TEMPLATE_SAMPLES: Final = 2_000
"""Requests aligned for one template, taken evenly over time."""
MAX_REPORT_ROWS: Final = 200
"""Rows of one table in a report; the rest is counted and can be had as a table."""
MAX_REPORT_HOSTS: Final = 40
"""Hosts that get a section of their own in the HTML report; the rest are rows of its overview table."""
MAX_TERMINAL_HOSTS: Final = 6
"""Hosts described in full on a terminal; the rest get a line each."""
MAX_REPORT_TEXT: Final = 1_200
"""Characters of one piece of evidence text shown in a report; the rest is counted."""

MAX_TLS_HANDSHAKE_BYTES: Final = 256 * KIB
"""Bytes of a TLS flow that are looked at: a handshake with a long certificate chain takes a tenth of it."""
MAX_CERTIFICATES: Final = 16
"""Certificates of one chain that are read."""
MAX_CERTIFICATE_NAMES: Final = 1000
"""Names that one certificate may list; large providers come to some hundred."""

# -- cases ------------------------------------------------------------------------------------------------------------
MAX_ENTRY_CHARACTERS: Final = 200_000
"""Characters of one note, task or statement; what is longer belongs into the evidence."""
MAX_HOST_TEXT_CHARACTERS: Final = 8_000
"""Characters of one cell of a host's own records."""
MAX_HOST_LINE_BYTES: Final = 1 * MIB
"""Longest line of a host's own records; the rest of a longer one is dropped and counted."""
MAX_MAIL_BYTES: Final = 16 * MIB
"""Bytes of one mail of the correspondence that are read."""
RECHECK_TIMEOUT_S: Final = 10.0
"""Seconds that a site has to answer when it is asked by name whether it still does."""
RECHECK_BYTES: Final = 16 * KIB
"""Bytes of such an answer that are read."""
MAX_RECHECKS: Final = 10_000
"""Times that one command asks again; the least time between two is RECHECK_LEAST_S."""
RECHECK_LEAST_S: Final = 10.0
"""Seconds between two questions to the same site: this is a check, not a load."""

# -- rules --------------------------------------------------------------------------------------------------------------
MAX_RULE_SET_NESTING: Final = 64
"""Brackets and variables inside each other in one address or port set of a rule (Suricata's own limit)."""
MAX_RULE_SET_ITEMS: Final = 200_000
"""Words in one address or port set with its variables resolved: lists of hostile addresses have tens of thousands."""
MAX_RULE_BYTES: Final = 256 * KIB
"""One rule with its continued lines; the longest known have some thousand bytes."""
MAX_RULE_SOURCE_BYTES: Final = 512 * MIB
"""One file of rules or settings; all rules of a large provider have some 40 MiB."""
RULE_CACHE_FROM_RULES: Final = 500
"""Rule sets of fewer rules are read anew each time: it takes no longer than to find what was kept."""
MAX_RULE_CACHE_BYTES: Final = 256 * MIB
"""Compiled rule sets that are kept in the user's cache folder; the ones that were not used for longest go first."""
MAX_RULE_PATTERN_BYTES: Final = 16 * KIB
"""One regular expression of a rule; the longest known has some thousand bytes."""
MAX_RULE_INCLUDES: Final = 64
"""Files that include each other."""
MAX_RULE_STEPS: Final = 3_000
"""Options tried on one buffer for one rule (Suricata's inspection-recursion-limit)."""
PCRE_MATCH_LIMIT: Final = 3_500
"""Steps of one regular expression on one buffer (Suricata's pcre.match-limit); a rule that reaches it is reported."""
MAX_RULE_STREAM_BYTES: Final = 1 * MIB
"""Bytes of one direction of a TCP session that rules see (Suricata's stream.reassembly.depth)."""
MAX_RULE_BODY_BYTES: Final = 100 * KIB
"""Bytes of an HTTP body that rules see (Suricata's request-body-limit and response-body-limit)."""
MAX_RULE_FILE_BYTES: Final = 1 * MIB
"""Bytes of a carried file that file.data sees; digests are of the whole file."""
RAW_CHUNK_BYTES: Final = 2_560
"""Acknowledged bytes of a stream that are inspected at once (Suricata's toserver-chunk-size and toclient-chunk-size)."""
RAW_SEAM_BYTES: Final = 512
"""Bytes on either side of the seam between two such stretches in which a rule may hold across it."""
BODY_INSPECT_BYTES: Final = 32 * KIB
"""Bytes of an unfinished body before it is inspected (request-body-minimal-inspect-size, response-body-minimal-inspect-size)."""
MAX_RULE_TRANSACTIONS: Final = 4_096
"""Transactions of one flow that are open at once; the oldest are let go first."""
MAX_RULE_ALERTS_KEPT: Final = 10_000
"""Alerts of one rule and host that are kept to be cited; all are counted."""
MAX_RULE_COUNTERS: Final = 1_048_576
"""Counters of thresholds, and bits of hosts and pairs, kept at once; the oldest are forgotten first."""
ALERT_JOBS_FROM_BYTES: Final = 16 * MIB
"""Evidence of this size and more is inspected by several processes unless told otherwise."""
MAX_RULE_HISTORY_BYTES: Final = 256 * MIB
"""Packets kept of open TCP flows in which no rule may match so far, by all processes; beyond it the flows begun first are inspected from
the middle."""
MAX_RULE_SCREENED_BYTES: Final = 512 * KIB
"""Packets kept of an open TCP flow that are looked through again when more of it comes, for rules that did not hold so far; where there are
more, such rules are tried packet by packet."""
MAX_RULE_SCREEN_STEPS: Final = 20_000
"""Steps of a search for what a rule must find in all that one side of a flow said, after which the rule is tried packet by packet."""

# -- web ----------------------------------------------------------------------------------------------------------------
MIN_PASSWORD_CHARACTERS: Final = 10
"""Shortest password (NIST SP 800-63B asks for 8; no other rule makes one better)."""
MAX_PASSWORD_CHARACTERS: Final = 1_024
"""Longest password: hashing it takes time that somebody else decides."""
LOGIN_FAILURES: Final = 8
"""Failed logins of one name, or from one address, within LOGIN_WINDOW_S; then none is tried until the first is that old."""
LOGIN_WINDOW_S: Final = 900
"""Seconds that a failed login counts."""
SESSION_S: Final = 12 * 3600
"""Seconds that a login lasts: a shift."""
MAX_FORM_BYTES: Final = 1 * MIB
"""Body of a request that is no upload."""
MAX_UPLOAD_BYTES: Final = 64 * GIB
"""One file of evidence that is uploaded; it goes to the disk as it comes."""
PAGE_ROWS: Final = 50
"""Rows of a page of a table: each may lie in a row group of its own, which is then read."""
MAX_PAGE_ROWS: Final = 1_000
"""Rows of a page of a table that may be asked for."""
RULE_TRIAL_S: Final = 900
"""Seconds that drafting or testing a rule on a case's captures may take; then its process is ended."""
MAX_TRIED_RULES_BYTES: Final = 64 * KIB
"""Text of rules that are tested in the web pages at once."""
MAX_EXPLAINED_BYTES: Final = 64 * KIB
"""Text kept of what `rules explain` says of one rule."""
FLOW_BYTES_SHOWN: Final = 64 * KIB
"""Payload of one flow that a page shows."""
FLOW_PACKETS_SHOWN: Final = 500
"""Packets with payload of one flow that a page shows."""
MAX_PASSED_BYTES: Final = 1 * GIB
"""Of a compressed capture so much is decompressed to show a flow's bytes."""
MAX_SAID_BYTES: Final = 2_000
"""Characters kept of what a process said of its failure."""
MAX_REMEMBERED_COUNTS: Final = 2_000
"""Counts of rows by filter that the web pages remember."""
SQL_TIME_S: Final = 20.0
"""Seconds that a user's SQL may take."""
SQL_ROWS: Final = 10_000
"""Rows of its answer that are given."""
