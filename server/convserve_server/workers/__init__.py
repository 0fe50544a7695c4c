"""Several processes on one port: for machines where one process is not enough."""
