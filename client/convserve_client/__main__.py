"""Lets `python -m convserve_client` stand in for the convserve command."""

from convserve_client.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
