"""Picture files to pixels, in their own size and resized."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from convserve_server.errors import ServerError
from convserve_server.rpc.image_files import ignore_pillow_warnings, read_file
from convserve_server.rpc.images import ImageLimits, PixelBudget

from fuzz.answers import check_refusal
from fuzz.pictures import pictures
from fuzz.target import Finding, Target, Try

LIMITS = ImageLimits(max_pixels=50_000)
_SIZE = (3, 4)


def attempt(data: bytes) -> str:
    """Read a file twice; both must agree on whether it can be read."""
    outcomes = [_read(data, None), _read(data, _SIZE)]
    if len({outcome.partition(" ")[0] for outcome in outcomes}) > 1 and not _is_damaged(outcomes):
        raise Finding(f"read in one size and not in another: {outcomes}")
    return outcomes[0]


def _is_damaged(outcomes: list[str]) -> bool:
    """A JPEG decoder that leaves out detail may leave out what is damaged, too."""
    return any("damaged" in outcome or "ends too early" in outcome for outcome in outcomes)


def _read(data: bytes, size: tuple[int, int] | None) -> str:
    from convserve_server.rpc.status import status_of

    stated: list[tuple[int, int]] = []
    budget = PixelBudget(LIMITS)

    def check(width: int, height: int) -> None:
        stated.append((width, height))
        budget.spend(width, height, "it")

    try:
        picture = read_file(data, "it", check, size)
    except ServerError as error:
        code, sentence = status_of(error)
        check_refusal(code, sentence)
        return f"{code.name}: {sentence}"
    if picture.mode != "RGB" or (size and picture.size != size):
        raise Finding(f"read as {picture.mode} {picture.size}")
    if size is None and tuple(sorted(picture.size)) != tuple(sorted(stated[-1])):
        raise Finding(f"{picture.size} pixels of a picture that was checked as {stated}")
    return f"OK {picture.size}"


@contextmanager
def _opened() -> Iterator[Try]:
    ignore_pillow_warnings()
    yield attempt


TARGET = Target("images", _opened, pictures, structured=False)
