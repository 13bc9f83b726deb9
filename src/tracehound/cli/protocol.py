"""In: the name of a protocol's table, and evidence. Out: its rows, printed. Never here: parsing.

One entry a table: what a terminal shows of it, and how Zeek names its columns."""

from __future__ import annotations

from typing import Final, NamedTuple

from tracehound.cli import options
from tracehound.cli.main import PROTOCOLS

_START: Final = "strftime(ts::TIMESTAMP_NS, '%Y-%m-%d %H:%M:%S.%g') AS ts, src, dst"
_ZEEK_ENDS: Final = (
    "ts, printf('C%017d', flow_id) AS uid, "
    'src AS "id.orig_h", sport AS "id.orig_p", dst AS "id.resp_h", dport AS "id.resp_p"'
)


class Shown(NamedTuple):
    """terminal: SQL columns after time and ends for a terminal; zeek: SQL columns after the ends under Zeek's names, None
    where Zeek has no such log; zeek_path: the name of Zeek's log where it is not the table's; zeek_group: where a line of
    Zeek's log is several of our rows, what they have in common; `zeek` then names all columns."""

    terminal: str
    zeek: str | None = None
    zeek_path: str | None = None
    zeek_group: str = ""


SHOWN: Final[dict[str, Shown]] = {
    "http": Shown(
        "dport, method, host, uri, status, body_kind, response_bytes",
        "trans_depth, method, host, uri, referer AS referrer, version, user_agent, "
        "request_bytes AS request_body_len, response_bytes AS response_body_len, status AS status_code, "
        "reason AS status_msg, request_body_kind AS orig_mime_types, body_kind AS resp_mime_types",
    ),
    "dns": Shown(
        "qtype, query, rcode, array_to_string(answers, ', ') AS answers",
        "CASE proto WHEN 6 THEN 'tcp' ELSE 'udp' END AS proto, trans_id, "
        "(epoch_ns(response_ts) - epoch_ns(ts)) / 1e9 AS rtt, query, qclass, qtype AS qtype_name, rcode AS rcode_name, "
        "authoritative AS AA, truncated AS TC, recursion_desired AS RD, recursion_available AS RA, answers",
    ),
    "tls": Shown(
        "dport, version, server_name, next_protocol, subject, ja3",
        "version, cipher, curve, server_name, resumed, last_alert, next_protocol, established, "
        "chain_sha256 AS cert_chain_fps, subject, issuer, ja3, ja3s, ja4",
        "ssl",
    ),
    "smtp": Shown(
        "mailfrom, array_to_string(rcptto, ', ') AS rcptto, mail_subject, mailer, last_reply",
        "trans_depth, helo, mailfrom, rcptto, date, mail_from AS \"from\", mail_to AS \"to\", mail_cc AS cc, reply_to, "
        "message_id AS msg_id, in_reply_to, mail_subject AS subject, x_originating_ip, received[1] AS first_received, "
        "received[2] AS second_received, last_reply, mail_path AS path, mailer AS user_agent, tls",
    ),
    "pop3": Shown("command, arg, result, answer"),
    "imap": Shown("tag, command, arg, result, answer"),
    "ftp": Shown(
        '"user", command, arg, reply_code, reply_msg, data_host, data_port',
        '"user", command, arg, reply_code, reply_msg, passive AS "data_channel.passive", '
        'data_host AS "data_channel.resp_h", data_port AS "data_channel.resp_p"',
    ),
    "irc": Shown(
        "nick, sender, command, value, addl, bot_command, dcc_file_name",
        'nick, "user", command, value, addl, dcc_file_name, dcc_file_size',
    ),
    "telnet": Shown("terminal, prompts, banner"),
    "sip": Shown(
        "method, uri, request_from, request_to, status, reason, user_agent",
        "trans_depth, method, uri, date, request_from, request_to, response_from, response_to, reply_to, call_id, cseq AS seq, "
        "call_subject AS subject, request_path, response_path, user_agent, status AS status_code, reason AS status_msg, warning, "
        "request_bytes AS request_body_len, response_bytes AS response_body_len, content_type",
    ),
    "ssh": Shown(
        "dport, client_banner, server_banner, hassh, hassh_server, auth_attempts, auth_success",
        "version, auth_success, auth_attempts, client_banner AS client, server_banner AS server, cipher_alg, mac_alg, "
        "compression_alg, kex_alg, host_key_alg, host_key, hassh, hassh_algorithms AS hasshAlgorithms, "
        "hassh_server AS hasshServer, hassh_server_algorithms AS hasshServerAlgorithms",
    ),
    "dhcp": Shown(
        "message_type, mac, client_addr, requested_addr, assigned_addr, lease_time_s, host_name, vendor_class",
        "min(ts) AS ts, list(DISTINCT printf('C%017d', flow_id)) AS uids, "
        "max(src) FILTER (sport = 68 AND src <> '0.0.0.0') AS client_addr, "
        "coalesce(max(src) FILTER (sport = 67), max(server_addr)) AS server_addr, max(mac) AS mac, max(host_name) AS host_name, "
        "max(client_fqdn) AS client_fqdn, max(dns_domain) AS \"domain\", arg_max(requested_addr, ts) AS requested_addr, "
        "arg_max(assigned_addr, ts) AS assigned_addr, arg_max(lease_time_s, ts) AS lease_time, "
        "max(answer) FILTER (sport = 68) AS client_message, max(answer) FILTER (sport = 67) AS server_message, "
        "list(message_type ORDER BY ts) AS msg_types, (epoch_ns(max(ts)) - epoch_ns(min(ts))) / 1e9 AS duration",
        zeek_group="xid, mac",
    ),
    "dhcpv6": Shown(
        "message_type, mac, array_to_string(addresses, ', ') AS addresses, lease_time_s, client_fqdn, vendor_class, result",
    ),
    "dce_rpc": Shown(
        "service, named_pipe, endpoint, operation, result",
        "(epoch_ns(response_ts) - epoch_ns(ts)) / 1e9 AS rtt, named_pipe, endpoint, operation",
    ),
    "ntlm": Shown(
        "service, \"user\", domain, host_name, ntlm_version, server_nb_computer_name, server_dns_domain_name, accepted",
        "\"user\" AS username, host_name AS hostname, domain AS domainname, server_nb_computer_name, server_dns_computer_name, "
        "server_tree_name, accepted AS success",
    ),
    "smb": Shown(
        "version, action, \"user\", share, name, new_name, access, data_bytes, result",
        "'SMB::' || CASE WHEN share_type = 'PIPE' THEN 'PIPE_' WHEN name IS NOT NULL THEN 'FILE_' ELSE '' END || upper(action) AS action, "
        "name, share AS path, file_size AS size, new_name, created_ts AS \"times.created\", accessed_ts AS \"times.accessed\", "
        "modified_ts AS \"times.modified\", changed_ts AS \"times.changed\"",
        "smb_files",
    ),
    "rdp": Shown(
        "dport, cookie, client_name, client_build, keyboard_layout, security_protocol, result",
        "cookie, result, security_protocol, client_channels, keyboard_layout, client_build, client_name, client_dig_product_id, "
        "desktop_width, desktop_height, requested_color_depth, cert_count, encryption_level, encryption_method",
    ),
    "quic": Shown(
        "dport, version, server_name, array_to_string(client_protocols, ', ') AS alpn, user_agent, ja4, packet_history",
        "CASE version WHEN '2' THEN 'quicv2' ELSE version END AS version, client_initial_dcid, client_scid, server_scid, server_name, "
        "client_protocols[1] AS client_protocol, packet_history AS history",
    ),
    "tftp": Shown(
        "command, name, transfer_mode, data_port, data_bytes, result, answer",
        "command = 'WRQ' AS wrq, name AS fname, transfer_mode AS mode, printf('C%017d', data_flow_id) AS uid_data, data_bytes AS size, "
        "answer AS error_msg",
    ),
    "snmp": Shown(
        "version, community, get_requests, get_bulk_requests, set_requests, get_responses, host_name, display_string",
        "version, community, get_requests, get_bulk_requests, get_responses, set_requests, display_string, up_since",
    ),
    "ntp": Shown(
        "version, mode, operation, messages, message_bytes, stratum, ref_id",
        "version, mode, stratum, poll_s AS poll, precision_s AS precision, root_delay_s AS root_delay, root_dispersion_s AS root_disp, "
        "ref_id, reference_ts AS ref_time, transmit_ts AS xmt_time, messages",
    ),
    "netbios": Shown(
        "operation, is_response, netbios_name, name_type, called_name, host_name, mac, rcode, messages",
    ),
    "kerberos": Shown(
        "service, request_type, client, service_principal, result, ticket_cipher",
        "request_type, client, service_principal AS service, result = 'SUCCESS' AS success, "
        "CASE WHEN result <> 'SUCCESS' THEN result END AS error_msg, till, ticket_cipher AS cipher, forwardable, renewable",
    ),
    "ldap": Shown(
        "operation, object, argument, scope, filter, result_count, result",
        "message_number AS message_id, version, operation AS opcode, result, answer AS diagnostic_message, object, argument, scope, "
        "filter, attributes, result_count",
    ),
    "sunrpc": Shown(
        "program, version, operation, calls, replies, result, host_name, argument, answer",
    ),
    "radius": Shown(
        "request_type, \"user\", mac, nas_addr, framed_addr, result, answer",
        "\"user\" AS username, mac, framed_addr, tunnel_client, connect_info, answer AS reply_msg, "
        "CASE result WHEN 'Access-Accept' THEN 'success' WHEN 'Access-Reject' THEN 'failed' END AS result",
    ),
    "syslog": Shown(
        "facility, severity, host_name, program, message",
        "facility, severity, message",
    ),
    "ssdp": Shown(
        "operation, target, usn, location, server, messages",
    ),
    "database": Shown(
        "service, server_version, \"user\", database, method, accepted, commands, first_commands[1] AS first_command, answer",
    ),
    "logins": Shown('service, "user", method, cleartext, accepted'),
    "websocket": Shown(
        "dport, host, uri, opcodes_src, opcodes_dst, first_text_src, first_text_dst",
        "host, uri, user_agent, subprotocol, client_protocols, server_extensions, client_extensions",
    ),
}


def summary(verb: str) -> str:
    """One line about a verb, for its help and the documentation."""
    return PROTOCOLS[verb][0].upper() + PROTOCOLS[verb][1:] + " of captures."


def main(verb: str, argv: list[str]) -> int:
    """`tracehound http`, `tracehound dns`, ..."""
    p = options.parser(verb, summary(verb))
    options.add_evidence(p)
    options.add_output(p)
    args = p.parse_intermixed_args(argv)
    shown = SHOWN[verb]
    base = f"SELECT t.*, e.path AS file FROM {verb} t JOIN flows f USING (flow_id) JOIN evidence e USING (evidence_id)"
    columns = shown.zeek if shown.zeek_group else f"{_ZEEK_ENDS}, {shown.zeek}"
    zeek = (shown.zeek_path or verb, columns) if shown.zeek and columns else None
    with options.reading_of(args, transactions=True) as reading:
        return options.print_table(
            args, reading, base, key="txn_id", terminal_columns=f"{_START}, {shown.terminal}", zeek=zeek, zeek_group=shown.zeek_group
        )
