"""Tensors in, tensors out: sessions, batching and the model repository. Knows neither gRPC nor protobuf."""
