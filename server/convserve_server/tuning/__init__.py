"""convserve-server --tune: which settings serve a model fastest on this machine."""
