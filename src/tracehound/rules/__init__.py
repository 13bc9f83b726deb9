"""In: rule text. Out: rules, plans and hits. Never here: the world; files are read by edges/."""
