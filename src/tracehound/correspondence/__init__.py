"""Mail about a case: mailboxes into messages, messages into threads, what their text names. Pure."""
