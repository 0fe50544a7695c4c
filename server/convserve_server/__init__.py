"""Online side of convserve: serves artifacts over gRPC through ONNX Runtime. Never imports torch."""
