"""A load generator for servers of the Open Inference Protocol: what `convserve bench` is made of."""
