"""What a client does where it is told nothing else."""

TARGET = "127.0.0.1:8001"
TIMEOUT = 30.0
"""Seconds."""
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
