"""`python -m vstore`."""

from vstore.cli import main

main(prog_name="vstore")
