"""Client SDK and command line of convserve."""
