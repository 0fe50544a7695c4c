"""Offline side of convserve: train, trace, verify and publish networks as self-describing artifacts."""
