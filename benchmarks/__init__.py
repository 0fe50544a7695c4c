"""Repeatable side-by-side measurements; run them with `python -m benchmarks`. Nothing here is part of the product."""
