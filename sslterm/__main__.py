"""`python -m sslterm` is `sslterm`."""

from sslterm.cli.app import main

raise SystemExit(main())
