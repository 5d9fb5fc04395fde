"""`python -m app` is the same program as the installed command."""

from app.main import program

program()
