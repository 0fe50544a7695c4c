"""The walk through convserve that `make demo` runs: export, serve, call, each as a user would do it."""
