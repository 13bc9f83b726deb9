"""In: nothing. Out: the version of the program, read by the build and by every finding. Never here: anything else."""

__version__ = "0.1.0"
