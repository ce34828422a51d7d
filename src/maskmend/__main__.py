"""`python -m maskmend`, which torchrun needs."""

from maskmend.cli import main

main(prog_name="maskmend")
