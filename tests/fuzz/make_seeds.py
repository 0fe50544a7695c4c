"""Writes the seeds that targets make themselves into the corpus: python -m fuzz.make_seeds. Others stay as they are."""

from __future__ import annotations

from fuzz.target import CORPUS
from fuzz.targets import NAMES, load


def main() -> None:
    for name in NAMES:
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(load(name).seeds()):
            (folder / f"made-{number:02}.bin").write_bytes(data)


if __name__ == "__main__":
    main()
