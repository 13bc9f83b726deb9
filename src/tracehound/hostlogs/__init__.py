"""What a host says of itself: file listings, process lists, event logs, anti-virus logs. START HERE: kinds.py."""
