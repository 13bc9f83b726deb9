"""In: `python -m tracehound ...`. Out: the same as `tracehound ...`. Never here: anything else."""

from tracehound.cli.main import main

main()
