"""`python -m app` is the same program as the installed command."""

from app.main import main

raise SystemExit(main())
