"""/debug/profile: a profile of this server, or of all its workers, for administrators; one at a time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import parse_qs

from convserve_server.observe.asking import ask
from convserve_server.observe.profile import Stacks, collapsed, from_collapsed, sample, speedscope
from convserve_server.observe.safe_text import safe

PATH = "/debug/profile"
LONGEST = 60.0
"""Seconds."""
FASTEST = 1000.0
"""Looks a second."""
_LONGEST_QUERY = 200
_PATIENCE = 10.0
"""Seconds that a worker may take longer than it was asked to."""

_HELP = (
    f"it takes seconds (above 0, up to {LONGEST:g}), rate (looks a second, above 0, up to {FASTEST:g}) and format "
    f"(collapsed or speedscope), such as {PATH}?seconds=5&rate=100&format=collapsed"
)

Refusal = tuple[int, str]
"""An HTTP status and a sentence."""
Permit = Callable[[str | None], Refusal | None]
"""Says of an Authorization header why it does not suffice; None where it does."""
Take = Callable[["Wish", str | None], Stacks]
"""Takes a profile; gets the Authorization header, to hand it on. Raises Unavailable."""


class Unavailable(Exception):
    """A profile could not be taken; ``refusal`` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal[1])
        self.refusal = refusal


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    seconds: float = 5.0
    rate: float = 100.0
    style: str = "collapsed"


def everybody(authorization: str | None) -> Refusal | None:
    """Permits everybody who reaches the port."""
    return None


class ProfilePage:
    """Answers requests for profiles: this process's, unless told how else to ``take`` them."""

    def __init__(self, permit: Permit = everybody, take: Take | None = None) -> None:
        self._permit, self._take = permit, take or (lambda wish, authorization: sample(wish.seconds, wish.rate))
        self._busy = threading.Lock()

    def __call__(self, query: str, authorization: str | None) -> tuple[int, bytes, str]:
        """Status, body and content type for a query. Takes as long as the profile does."""
        refusal = self._permit(authorization)
        if refusal is not None:
            return _said(refusal)
        try:
            wish = _wish(query)
        except ValueError:
            return _said((400, f"the query is '{safe(query, _LONGEST_QUERY)}'; {_HELP}"))
        if not self._busy.acquire(blocking=False):
            return _said((409, "another profile is being taken; wait for its end"))
        try:
            stacks = self._take(wish, authorization)
        except Unavailable as error:
            return _said(error.refusal)
        finally:
            self._busy.release()
        if wish.style == "speedscope":
            return 200, speedscope(stacks, wish.rate).encode(), "application/json"
        return 200, collapsed(stacks).encode(errors="replace"), "text/plain; charset=utf-8"


def of_workers(ports: Callable[[], Mapping[int, int]]) -> Take:
    """Takes the profiles of all workers at the same time; ``ports`` gives the port where each tells its own."""

    def take(wish: Wish, authorization: str | None) -> Stacks:
        workers = ports()
        if not workers:
            raise Unavailable((503, "no worker serves now"))
        with ThreadPoolExecutor(len(workers)) as pool:
            found = pool.map(lambda port: _fetch(port, wish, authorization), workers.values())
            stacks: Stacks = Counter()
            for worker, of_one in zip(workers, found, strict=True):
                for (thread, *frames), count in of_one.items():
                    stacks[f"worker {worker}: {thread}", *frames] += count
        return stacks

    return take


def _fetch(port: int, wish: Wish, authorization: str | None) -> Stacks:
    path = f"{PATH}?seconds={wish.seconds}&rate={wish.rate}"
    try:
        status, text = ask(port, path, wish.seconds + _PATIENCE, authorization)
        if status == 200:
            return from_collapsed(text)
    except (OSError, ValueError) as error:
        raise Unavailable((502, f"a worker does not tell its profile: {error}")) from error
    raise Unavailable((status, text.strip()))


def _said(refusal: Refusal) -> tuple[int, bytes, str]:
    status, sentence = refusal
    return status, f"{sentence}\n".encode(), "text/plain; charset=utf-8"


def _wish(query: str) -> Wish:
    """Raises ValueError for what cannot be asked for."""
    asked = {name: values[-1] for name, values in parse_qs(query, strict_parsing=bool(query)).items()}
    wish = Wish(float(asked.pop("seconds", 5)), float(asked.pop("rate", 100)), asked.pop("format", "collapsed"))
    if asked or not 0 < wish.seconds <= LONGEST or not 0 < wish.rate <= FASTEST:
        raise ValueError
    if wish.style not in ("collapsed", "speedscope"):
        raise ValueError
    return wish
