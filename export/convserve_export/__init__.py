"""Offline side of convserve: train, trace, verify and publish networks as self-describing artifacts."""

import os

# ONNX Runtime reports to its makers which models are loaded and how they are run, and keeps a database of it in the
# home folder, unless it is told not to before it is imported. Whoever wants that sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
