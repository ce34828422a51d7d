"""`python -m maskmend`, which torchrun needs."""

from maskmend.cli.program import program

program()
