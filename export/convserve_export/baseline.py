"""Comparing an artifact with a published one: is anything worse than it was? For continuous integration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convserve_proto import manifest_pb2
from google.protobuf import json_format

from convserve_export.check import Check, first_line
from convserve_export.comparison import Tolerance, compare
from convserve_export.errors import BadInput
from convserve_export.reference_file import FILE as REFERENCES
from convserve_export.reference_file import read_references
from convserve_export.speed import session

MOST_ACCURACY_LOST = 0.003
MOST_GROWTH = 1.05
LEAST_SPEED = 0.7
"""Of the speed over fp32 in the same run, which other programs disturb less than images per second."""


class Baseline:
    """What was published before. Raises BadInput where there is no artifact to compare with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            text = (folder / "manifest.json").read_text(encoding="utf-8")
            self.manifest = json_format.Parse(text, manifest_pb2.Manifest(), ignore_unknown_fields=True)
            self.references = read_references((folder / REFERENCES).read_bytes())
            self.provenance: dict[str, Any] = json.loads((folder / "provenance.json").read_bytes())
        except (OSError, ValueError, json_format.ParseError) as error:
            raise BadInput(f"--baseline {folder} is no artifact to compare with: {first_line(error)}") from error

    def checks(self, files: dict[str, bytes], attempts: list[dict[str, Any]], *, same_answers: bool) -> Iterator[Check]:
        """Size, accuracy and speed-up of each variant, and the answers of model.onnx on the baseline's references.

        Other answers fail only where ``same_answers`` are wanted: a network that was trained again has others.
        """
        yield from self._sizes(files)
        yield self._answers(files["model.onnx"], same_answers)
        old = {v["precision"]: v for v in self.provenance.get("variants", ())}
        new = {v["precision"]: v for v in attempts}
        for precision in sorted(old.keys() & new.keys()):
            yield _accuracy(precision, old[precision], new[precision])
            if old[precision]["published"]:
                yield _published(precision, new[precision])
            if precision != "fp32" and (was := _speedup(old, precision)) and (now := _speedup(new, precision)):
                text = f"{now:.2f} times as fast as fp32, was {was:.2f}"
                yield Check(f"baseline: speed of {precision}", now >= LEAST_SPEED * was, text)

    def _sizes(self, files: dict[str, bytes]) -> Iterator[Check]:
        sizes = {f.name: f.size for f in self.manifest.files if f.name.endswith(".onnx")}
        grown = [
            f"{n} has {len(files[n]):,} bytes, had {size:,}"
            for n, size in sizes.items()
            if n in files and len(files[n]) > MOST_GROWTH * size
        ]
        yield Check("baseline: sizes", not grown, "; ".join(grown) or f"{len(sizes)} graphs, none grew by over 5 %")

    def _answers(self, graph: bytes, same_answers: bool) -> Check:
        name, loaded = "baseline: answers", session(graph)
        names = [o.name for o in loaded.get_outputs()]
        worst = 0.0
        for case in (c for c in self.references if not c.pixels):
            try:
                outputs = dict(zip(names, loaded.run(None, dict(case.inputs)), strict=True))
                used = [
                    compare(case.outputs[n], outputs[n], Tolerance(), batched=self.manifest.batched)
                    for n in case.outputs
                ]
            except Exception as error:  # another signature makes ONNX Runtime or numpy raise
                return Check(name, False, f"it does not take the baseline's inputs: {first_line(error)}")
            worst = max(worst, *(d.absolute for d in used))
            if same_answers and not all(d.within for d in used):
                return Check(name, False, f"other answers than {self.folder} on {case.kind}: by up to {worst:.3g}")
        return Check(name, True, f"largest difference {worst:.3g}")


def _accuracy(precision: str, old: dict[str, Any], new: dict[str, Any]) -> Check:
    text = f"{new['accuracy']:.2%}, was {old['accuracy']:.2%}"
    lost = round(old["accuracy"] - new["accuracy"], 9)
    return Check(f"baseline: accuracy of {precision}", lost <= MOST_ACCURACY_LOST, text)


def _published(precision: str, new: dict[str, Any]) -> Check:
    detail = "still published" if new["published"] else f"no longer published: {'; '.join(new['faults'])}"
    return Check(f"baseline: {precision}", bool(new["published"]), detail)


def _speedup(variants: dict[str, Any], precision: str) -> float | None:
    rates = {p: v["images_per_second"].get("values", {}).get("8") for p, v in variants.items()}
    ours, fp32 = rates.get(precision), rates.get("fp32")
    return ours / fp32 if ours and fp32 else None
