"""From the command line's options to a client's settings."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from convserve_client import defaults
from convserve_client.commands import BadUsage
from convserve_client.link import Tls

if TYPE_CHECKING:
    from convserve_client.clients import Client


def settings(args: argparse.Namespace, *, timeout: float = defaults.TIMEOUT) -> dict[str, Any]:
    """Keyword arguments for a client; ``timeout`` is used where none was given."""
    return {
        "target": args.server,
        "timeout": timeout if args.timeout is None else args.timeout,
        "tls": _tls(args),
        "token": _token(args),
        "max_message_bytes": args.max_message_mib * 2**20,
    }


def open_client(args: argparse.Namespace) -> Client:
    """The client that the options describe."""
    from convserve_client.clients import Client

    return Client(**settings(args))


def _tls(args: argparse.Namespace) -> Tls | None:
    files = (args.ca_file, args.cert_file, args.key_file, args.tls_server_name)
    if not args.tls and all(option is None for option in files):
        return None
    return Tls.from_files(
        root_certificates=args.ca_file,
        certificate_chain=args.cert_file,
        private_key=args.key_file,
        server_name=args.tls_server_name,
    )


def _token(args: argparse.Namespace) -> str | None:
    if args.token_file is None:
        return os.environ.get("CONVSERVE_TOKEN") or None
    try:
        return str(args.token_file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadUsage(
            f"--token-file {args.token_file} cannot be read: {reason}; give a file that holds a token"
        ) from error
