"""In: rules. Out: what is wrong with them, beyond what keeps them from loading. Never here: repairing them."""
