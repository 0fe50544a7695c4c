"""What is served is the network that was trained: picture by picture, through gRPC and in torch."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_proto import vision_pb2
from support.servers import call, running_app

CHECKPOINT = Path(__file__).parents[2] / "export/convserve_export/checkpoints/simple_cnn_cifar10.safetensors"
PICTURES = Path(__file__).parents[3] / "shared" / "data" / "cifar10_validation.npz"


@pytest.mark.skipif(not PICTURES.exists(), reason="the 5,000 validation pictures are not here")
def test_validation_accuracy_through_grpc_equals_that_in_torch_picture_by_picture(exported: Path) -> None:
    import torch
    from convserve_export.network import SimpleCNN
    from convserve_export.pictures import load_labelled
    from convserve_export.preprocessing import normalize
    from safetensors.torch import load_file

    pictures = load_labelled(PICTURES)
    network = SimpleCNN()
    network.load_state_dict(load_file(CHECKPOINT))
    network.eval()
    batches = [pictures.images[i : i + 250] for i in range(0, len(pictures.images), 250)]
    with torch.no_grad():
        eager = np.concatenate([network(normalize(batch)).numpy() for batch in batches])

    served, classified = [], []
    with running_app(exported) as app, grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        for batch in batches:
            request = oip.ModelInferRequest(model_name="simple_cnn")
            request.inputs.add(name="input", datatype="FP32", shape=batch.shape)
            request.raw_input_contents.append(normalize(batch).numpy().tobytes())
            reply = call(channel, "/inference.GRPCInferenceService/ModelInfer", request, oip.ModelInferResponse)
            served.append(np.frombuffer(reply.raw_output_contents[0], np.float32).reshape(-1, 10))
            pixels = batch.permute(0, 2, 3, 1).contiguous().numpy()
            images = [
                vision_pb2.Image(pixels=vision_pb2.Pixels(height=32, width=32, channels=3, data=p.tobytes()))
                for p in pixels
            ]
            ask = vision_pb2.ClassifyRequest(images=images, top_k=1)
            answer = call(channel, "/convserve.v1.ImageClassifier/Classify", ask, vision_pb2.ClassifyResponse)
            classified += [result.classifications[0].index for result in answer.results]
    logits = np.concatenate(served)

    tolerance = 1e-5 + 1e-4 * np.abs(eager).max(axis=1)
    assert (np.abs(logits - eager).max(axis=1) <= tolerance).all()
    best = np.sort(eager, axis=1)
    clear = best[:, -1] - best[:, -2] > tolerance
    assert clear.mean() > 0.99
    assert (logits.argmax(1) == eager.argmax(1))[clear].all()
    assert (np.array(classified) == eager.argmax(1))[clear].all()
    accuracy = float((np.array(classified) == pictures.labels.numpy()).mean())
    print(f"top-1 through gRPC: {accuracy:.2%} of {len(classified)} pictures")
    assert accuracy >= 0.865
