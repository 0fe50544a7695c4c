"""A state dict becomes SimpleCNN only where every name, shape and datatype fits; what does not is named."""

from __future__ import annotations

import io
from collections import OrderedDict

import pytest
import safetensors.torch
import torch
from convserve_export.checkpoint import (
    build,
    expected_names,
    load_checkpoint,
    parse_safetensors,
    parse_torch,
    random_network,
)
from convserve_export.errors import BadInput
from convserve_export.network import SimpleCNN
from convserve_export.parameters import count_module
from convserve_export.wrapped_state import Weights
from torch import Tensor


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return dict(random_network(10, seed=5).state_dict())


def torch_file(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_both_kinds_of_file_give_the_same_weights(state: dict[str, Tensor]) -> None:
    for parsed in (
        parse_safetensors(safetensors.torch.save(state), "a.safetensors"),
        parse_torch(torch_file(OrderedDict(state)), "a.pt"),
    ):
        network = build(parsed.tensors, "a")
        assert not network.training
        assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
        assert all(p.requires_grad for p in network.parameters())


def test_the_number_of_classes_is_read_from_the_weights() -> None:
    assert build(dict(random_network(7, seed=0).state_dict()), "a").fc2.out_features == 7


def test_random_weights_depend_on_the_seed_alone_and_leave_the_global_generator_as_it_was() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again, other = random_network(10, 3), random_network(10, 3), random_network(10, 4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.conv1.weight, again.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_another_architecture_is_refused_by_the_names_of_what_is_missing_unexpected_and_of_another_shape(
    state: dict[str, Tensor],
) -> None:
    wrong = {k: v for k, v in state.items() if k != "conv1.bias"}
    wrong["bn1.weight"] = torch.ones(32)
    wrong["fc1.weight"] = torch.ones(512, 512)
    with pytest.raises(BadInput) as caught:
        build(wrong, "net.pt")
    message = str(caught.value)
    assert "net.pt is not one of SimpleCNN" in message
    assert "missing: conv1.bias" in message
    assert "unexpected: bn1.weight" in message
    assert "fc1.weight is [512, 512], not [512, 2048]" in message


def test_a_thousand_wrong_names_make_a_short_message() -> None:
    with pytest.raises(BadInput, match="and 994 more") as caught:
        build({f"layer{i}.weight": torch.ones(1) for i in range(1000)}, "net.pt")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("tensor", "named"),
    [
        (torch.zeros(10, dtype=torch.float16), "float16"),
        (torch.zeros(10, dtype=torch.int64), "int64"),
        (torch.zeros(10).to_sparse(), "sparse_coo float32"),
        (torch.zeros(10, device="meta"), "meta float32"),
    ],
)
def test_weights_that_are_not_plain_float32_are_refused(state: dict[str, Tensor], tensor: Tensor, named: str) -> None:
    with pytest.raises(BadInput, match=f"fc2.bias is {named}, not float32"):
        build({**state, "fc2.bias": tensor}, "net.pt")


def test_a_whole_pickled_module_is_refused_with_what_to_save_instead() -> None:
    with pytest.raises(BadInput, match=r"save it by torch\.save\(model\.state_dict\(\), FILE\)"):
        parse_torch(torch_file(SimpleCNN()), "net.pt")


@pytest.mark.parametrize("content", [[torch.ones(1)], torch.ones(3), 3])
def test_what_is_not_names_to_tensors_is_refused(content: object) -> None:
    with pytest.raises(BadInput, match=f"is no state dict .* but a {type(content).__name__};"):
        parse_torch(torch_file(content), "net.pt")


@pytest.mark.parametrize("entry", ["state_dict", "model_state_dict", "model"])
def test_weights_beside_epochs_and_optimizers_are_found_and_it_is_said(state: dict[str, Tensor], entry: str) -> None:
    weights = parse_torch(torch_file({"epoch": 3, entry: state, "optimizer": {"lr": 0.1}}), "net.pt")
    assert list(weights.tensors) == list(state)
    assert weights.described("net.pt") == f"net.pt (its entry '{entry}')"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"epoch": 3, "net": {"a": torch.ones(1)}}, r"has 'epoch' \(int\), 'net' \(names to tensors\)"),
        ({"state_dict": {"a": torch.ones(1)}, "model": {"a": torch.ones(1)}}, "has 'state_dict' .*, 'model'"),
        ({"state_dict": {}}, r"has 'state_dict' \(dict\)"),
    ],
)
def test_a_dict_without_weights_in_one_known_place_is_refused_by_what_is_in_it(content: object, found: str) -> None:
    with pytest.raises(BadInput, match=f"is no state dict .* but {found}"):
        parse_torch(torch_file(content), "net.pt")


def test_the_prefix_of_dataparallel_is_taken_off_and_it_is_said(state: dict[str, Tensor]) -> None:
    prefixed = parse_torch(torch_file({"state_dict": {f"module.{k}": v for k, v in state.items()}}), "net.pt")
    weights = prefixed.fitting(expected_names())
    assert list(weights.tensors) == list(state)
    assert weights.described("f") == "f (its entry 'state_dict'; without the prefix 'module.' of its names)"
    build(weights.tensors, "net.pt")


def test_a_prefix_that_the_network_itself_has_or_that_only_some_names_have_stays() -> None:
    own = Weights({"module.a": torch.ones(1)})
    assert own.fitting(["module.a"]) is own
    some = Weights({"module.a": torch.ones(1), "b": torch.ones(1)})
    assert some.fitting(["a", "b"]) is some


@pytest.mark.parametrize("cut", [1, 8, 100, 5000])
def test_damaged_files_are_refused_in_a_sentence(state: dict[str, Tensor], cut: int) -> None:
    with pytest.raises(BadInput, match=r"a\.safetensors is damaged"):
        parse_safetensors(safetensors.torch.save(state)[:-cut], "a.safetensors")
    for data in (torch_file(state)[:cut], b"\x80\x02" * cut, bytes(cut)):
        with pytest.raises(BadInput, match=r"a\.pt holds|a\.pt is damaged"):
            parse_torch(data, "a.pt")


def test_the_shipped_weights_are_of_ten_classes_with_their_names() -> None:
    shipped = load_checkpoint(num_classes=10)
    assert (shipped.labels[0], shipped.labels[3], shipped.labels[9]) == ("airplane", "cat", "truck")
    assert count_module(shipped.network) == 1_147_466
    assert not torch.equal(shipped.network.conv1.weight, random_network(10, 0).conv1.weight)


def test_random_networks_have_labels_for_any_number_of_classes() -> None:
    assert load_checkpoint(source="random").labels[:2] == ("airplane", "automobile")
    assert load_checkpoint(source="random", num_classes=3).labels == ("class_0", "class_1", "class_2")
