"""What a faster form of a network must hold to be published: figures in, sentences out. Measures nothing itself."""

from __future__ import annotations

from dataclasses import dataclass

from convserve_proto.cpu_kind import X86_VNNI

from convserve_export.evaluation import Judgement

CUDA = "cuda"
WITH_VNNI = 1.8
"""int8 is at least so many times as fast as fp32 at batch 8 where the CPU has VNNI: less means that it is not used."""
SPEED_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Gates:
    """Limits for one precision on one kind of hardware."""

    max_accuracy_drop: float
    """Top-1 below that of fp32, as a share."""
    min_agreement: float
    min_speedup: float | None = None
    """Over fp32 at batch 8; None where there is nothing to measure it on."""

    @property
    def figures(self) -> dict[str, float]:
        """By name, as in the manifest."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def faults(self, fp32: Judgement, other: Judgement, speedup: float | None) -> list[str]:
        """A sentence for each gate that is not passed; empty where all are."""
        found = []
        drop = fp32.accuracy - other.accuracy
        # Rounded: shares of counts, whose difference is no exact decimal.
        if round(drop, 9) > self.max_accuracy_drop:
            found.append(
                f"its accuracy is {drop * 100:.2f} points below fp32 ({other.accuracy:.2%}, not {fp32.accuracy:.2%}); "
                f"at most {self.max_accuracy_drop * 100:.1f} are allowed"
            )
        if other.agreement < self.min_agreement:
            found.append(f"it agrees with fp32 on {other.agreement:.2%}; at least {self.min_agreement:.1%} is wanted")
        if self.min_speedup is not None and (speedup is None or speedup < self.min_speedup):
            found.append(
                f"it is {speedup or 0:.2f} times as fast as fp32 at batch {SPEED_BATCH}; "
                f"at least {self.min_speedup:g} is wanted on this kind of CPU"
            )
        return found


def int8_gates(cpu: str) -> Gates:
    """For static int8 on this kind of CPU."""
    speedup = WITH_VNNI if cpu == X86_VNNI else 1.05
    return Gates(max_accuracy_drop=0.003, min_agreement=0.985, min_speedup=speedup)


def fp16_gates() -> Gates:
    """For half precision on CUDA; how fast it is there is not known where it is exported."""
    return Gates(max_accuracy_drop=0.001, min_agreement=0.995)
