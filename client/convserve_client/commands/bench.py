"""convserve bench: how fast a model is served."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from convserve_client.bench import plan as planning
from convserve_client.bench.plot import png
from convserve_client.bench.report import document, notes, text
from convserve_client.bench.request import METHOD, Prepared, arrays_for, prepare
from convserve_client.bench.run import run as run_plan
from convserve_client.clients import Client
from convserve_client.commands import FAILED, OK, BadUsage
from convserve_client.commands.arrays import read_npy
from convserve_client.commands.connection import settings
from convserve_client.commands.output import check_writable, print_json, write_file
from convserve_client.results import ModelInfo


def run(args: argparse.Namespace) -> int:
    """Try the request once, load the server with it, show what came of it. FAILED where a request failed."""
    if args.plot is not None:
        check_writable(args.plot)
    link = settings(args)
    with Client(**link) as client:
        model = client.model_metadata(args.model, version=args.version)
        prepared = prepare(client, model, _arrays(args, model), args.version)
    plan = _plan(args, link, prepared)
    if not args.json:
        print(f"{args.model} at {args.server}: {_sent(prepared)}", flush=True)
    result = run_plan(plan)
    if args.json:
        print_json({"model": args.model, "server": args.server, **document(result), "notes": notes(result)})
    else:
        print(text(result))
    if args.plot is not None and result.latency.count:
        subtitle = text(result).splitlines()[0] + f"; {result.throughput:,.0f} requests/s"
        write_file(args.plot, png(result.latency, f"Latency of {args.model}", subtitle))
        print(f"{args.plot} shows the latencies", file=sys.stderr)
    return FAILED if result.errors or not result.requests else OK


def _arrays(args: argparse.Namespace, model: ModelInfo) -> dict[str, Any]:
    given = {}
    for argument in args.inputs:
        name, equals, path = argument.partition("=")
        if not equals:
            if len(model.inputs) != 1:
                raise BadUsage(f"--input needs NAME=FILE here, for the model has {len(model.inputs)} inputs")
            name, path = model.inputs[0].name, argument
        given[name] = read_npy(Path(path))
    return arrays_for(model, rows=args.rows, shapes=dict(args.shapes), given=given, data=args.data)


def _plan(args: argparse.Namespace, link: dict[str, Any], prepared: Prepared) -> planning.Plan:
    concurrency = args.concurrency or (8 if args.rate is None else None)
    connections = args.connections or planning.usual_connections(concurrency)
    processes = args.processes or planning.usual_processes(connections)
    if processes > connections or (concurrency is not None and connections > concurrency):
        raise BadUsage(
            f"{concurrency or args.rate:g} calls, {connections} connections and {processes} processes do not go "
            "together: every process needs a connection, and in a closed loop every connection a call"
        )
    return planning.Plan(
        link=link,
        method=METHOD,
        body=prepared.body,
        rows=prepared.rows,
        reply_bytes=prepared.reply_bytes if args.self_check else None,
        rate=args.rate,
        concurrency=concurrency or planning.Plan.concurrency,
        connections=connections,
        processes=processes,
        seconds=args.duration,
        requests=args.requests,
        warm_up=args.warm_up,
    )


def _sent(prepared: Prepared) -> str:
    return ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in prepared.inputs.items())
