"""In: the ordered bytes of a flow. Out: the transactions and buffers that rules name, as they become known packet by packet.
Never here: rules. `protocols/` reads the same protocols for the tables; here every step matters, and the details are those of
the engine whose rules are honoured (Suricata, libhtp)."""
