"""`python -m thalweg` is the shell command."""

from .cli.shell import program

program()
