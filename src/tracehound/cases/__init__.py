"""What a case is: its life cycle, its actions and their chain, its timeline, its hypotheses. Pure; edges/casefile.py keeps it on disk."""
