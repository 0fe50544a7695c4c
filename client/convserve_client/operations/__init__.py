"""Each operation of the SDK, written once, as steps for either driver."""
