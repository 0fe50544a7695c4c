"""What each call means: decode, validate, submit, encode. One file a service."""
