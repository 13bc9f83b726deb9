"""The rule lab: drafts rules from samples, tries them, says what a zero is worth. Pure; edges/rule_lab.py reads and runs."""
