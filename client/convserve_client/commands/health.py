"""convserve health: is the server, or one of its models, ready? Light, for it may run every few seconds."""

from __future__ import annotations

import argparse
import sys

from convserve_client.blocking import BlockingLink
from convserve_client.commands import FAILED, OK
from convserve_client.commands.connection import settings
from convserve_client.errors import CallError
from convserve_client.operations import status
from convserve_client.retry import RetryPolicy


def run(args: argparse.Namespace) -> int:
    """Exit code 0 where it is ready, 1 where it is not, or no answer came."""
    what = args.server if args.model is None else f"model '{args.model}' at {args.server}"
    reason = code = ""
    # Tried once: whoever watches asks again soon, and wants to hear of the first failure.
    with BlockingLink(**settings(args, timeout=5.0), retry=RetryPolicy(attempts=1)) as link:
        try:
            ready = link.run(status.is_ready(link) if args.model is None else status.model_ready(link, args.model))
        except CallError as error:
            from convserve_client.commands.output import as_sentence

            ready, reason, code = False, as_sentence(error), error.code
    if args.json:
        from convserve_client.commands.output import print_json

        print_json({"server": args.server, "model": args.model, "ready": ready, "code": code, "reason": reason})
    elif ready:
        print(f"{what} is ready")
    else:
        print(f"{what} is not ready{': ' + reason if reason else ''}", file=sys.stderr)
    return OK if ready else FAILED
