"""One question per .sql file, its page (what, why, look-alikes, parameters, source) on top. catalog.py reads them."""
