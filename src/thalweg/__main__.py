"""`python -m thalweg` is the shell command."""

from .cli import main

main()
