"""Who may come in: tokens, certificates, and the files that they are read from. Knows neither gRPC nor HTTP."""
