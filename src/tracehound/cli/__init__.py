"""One file a verb, each a thin call into the library. main.py names them and loads the one that is asked for."""
