from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import netsmith as ns
from netsmith.errors import NetsmithError

TOKENS = 30


def build(name: str, **options):
    torch.manual_seed(0)
    return ns.zoo.build(name, classes=TOKENS, input_shape=(9,), kind="tokens", **options).eval()


def tokens(*shape: int) -> torch.Tensor:
    return torch.randint(TOKENS, shape, generator=torch.Generator().manual_seed(0))


NARROW = {"gru": 0.08, "bert-small": 0.0625}


@pytest.mark.parametrize("name", NARROW)
def test_shapes_gradients_and_no_look_ahead(name: str) -> None:
    model = build(name, width=NARROW[name])
    ids = tokens(3, 9)
    logits = model(ids)
    assert logits.shape == (3, 9, TOKENS)
    F.cross_entropy(logits.flatten(0, 1), ids.flatten()).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        # A shift of all keys shifts all weights of a softmax alike: their bias has no effect.
        assert parameter.grad.any() or key.endswith("key.bias"), key
    changed = ids.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % TOKENS
    after = model(changed)
    torch.testing.assert_close(after[:, :5], logits[:, :5])
    assert not torch.allclose(after[:, 5:], logits[:, 5:])


def test_parameters_as_published() -> None:
    with torch.device("meta"):
        gru = ns.zoo.build("gru", classes=10_000, input_shape=(35,), kind="tokens")
        bert = ns.zoo.build("bert-small", classes=30_522, input_shape=(128,), kind="tokens")
    assert sum(p.numel() for p in gru.parameters()) == 2 * 10_000 * 200 + 10_000 + 2 * (
        6 * 200 * 200 + 6 * 200
    )
    width, rows = 512, 30_522 + 512
    block = 4 * (width * width + width) + 2 * 4 * width * width + 5 * width + 4 * width
    # The published 28.8 million count 2 rows of segments and a pooler, and no bias of the head.
    assert sum(p.numel() for p in bert.parameters()) == rows * width + 2 * width + 4 * block + 30_522


def test_tied_head_is_the_embedding() -> None:
    model = build("gru", width=0.08, tied=True)
    assert model.head.weight is model.embedding.weight
    assert [group.size for group in ns.trace(model, tokens(1, 3)).groups] == [16, 16]
    small = ns.shrink(model, tokens(1, 3), ratio=0.5)
    assert small.head.weight is small.embedding.weight


def test_every_layer_of_the_gru_is_cut_alone() -> None:
    model, ids = build("gru", width=0.08), tokens(2, 5)
    graph = ns.trace(model, ids)
    assert [group.size for group in graph.groups] == [16, 16, 16]
    keep = {graph.groups[2].name: torch.arange(16) < 5}
    small, _ = ns.edits.remove(model, graph, keep)
    assert [layer.hidden_size for layer in small.layers] == [16, 5]
    assert small(ids).shape == (2, 5, TOKENS)


def test_heads_and_their_widths_are_cut() -> None:
    model, ids = build("bert-small", width=0.0625, layers=1), tokens(2, 5)
    graph = ns.trace(model, ids)
    # Residual width; width of a head's queries and keys; heads; width of a head's values; hidden units.
    assert [group.size for group in graph.groups] == [32, 4, 8, 4, 128]
    keep = {graph.groups[2].name: torch.arange(8) % 2 == 0, graph.groups[1].name: torch.arange(4) < 3}
    small, _ = ns.edits.remove(model, graph, keep)
    assert small.blocks[0].attention.heads == 4
    assert small.blocks[0].attention.query.out_features == 4 * 3
    assert small.blocks[0].attention.value.out_features == 4 * 4
    assert ns.shrink(model, ids, ratio=0.5)(ids).shape == (2, 5, TOKENS)


@pytest.mark.parametrize("name", NARROW)
def test_mistakes_of_language_models(name: str) -> None:
    with pytest.raises(NetsmithError, match="cannot scale a network"):
        build(name, width=0.0)
    with pytest.raises(
        NetsmithError, match=f"model '{name}' reads tokens, the data has images; take .*lenet5"
    ):
        ns.zoo.build(name, classes=10, input_shape=(1, 8, 8))
    with pytest.raises(
        NetsmithError, match="model 'small-cnn' reads images, the data has tokens; take bert-small"
    ):
        build("small-cnn")


def test_no_heads() -> None:
    with pytest.raises(NetsmithError, match="bert-small got heads=0, layers=4"):
        build("bert-small", heads=0)
