"""How calls get in and answers get out. Knows gRPC, and not what a call means."""
