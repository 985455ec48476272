"""Patterns and relations of feature maps: identities, invariances, a loop that is slow and plainly right."""

import copy

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.targets import StructuredTransfer, pattern_transfer, relation_transfer


def network(width):
    torch.manual_seed(width)
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.Conv2d(2 * width, 1, 1),
    )  # fmt: skip


X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
BATCH = (X, torch.rand(2, 1, 4, 4))
TAPS = {"1": "1", "4": "4"}
SETTINGS = {"taps": TAPS, "loss": nn.functional.mse_loss}


def maps(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, *shape, generator=generator, dtype=torch.float64) for shape in shapes]


def test_a_student_that_is_its_teachers_copy_has_only_the_labels_to_learn():
    teacher = network(4)
    student = copy.deepcopy(teacher)
    # Before the ReLU: where all channels are zero there is no direction, and the cosine counts as 0.
    loss = ns.distill(teacher, student, inputs=X, taps={"0": "0", "3": "3"}, loss=nn.functional.mse_loss)
    assert list(loss.parameters()) == list(loss.teacher.parameters())  # no adapter is needed
    torch.testing.assert_close(loss(student, BATCH), nn.functional.mse_loss(student(X), BATCH[1]))


def test_patterns_equal_a_loop_and_do_not_see_scale():
    student, teacher = maps((5, 3, 4), (5, 3, 4))
    apart = 0.0
    for b in range(2):
        for h in range(3):
            for w in range(4):
                s, t = student[b, :, h, w], teacher[b, :, h, w]
                apart += float(1 - s @ t / (s.norm() * t.norm()))
    assert float(pattern_transfer(student, teacher, "sum")) == pytest.approx(apart)
    assert float(pattern_transfer(student, teacher)) == pytest.approx(apart / 24)
    scaled = student * torch.rand(2, 1, 3, 4, dtype=torch.float64).add(0.1)
    torch.testing.assert_close(pattern_transfer(scaled, teacher), pattern_transfer(student, teacher))
    assert float(pattern_transfer(torch.zeros_like(student), teacher)) == pytest.approx(1.0)


def test_relations_equal_a_loop_over_pairs():
    shapes = ((2, 8, 8), (3, 4, 4), (4, 4, 4))
    student, teacher = maps(*shapes, seed=1), maps(*shapes, seed=2)

    def relation(first, second):
        flat = []
        for one in (first, second):
            one = nn.functional.max_pool2d(one, 2) if one.shape[-1] == 8 else one
            flat.append(nn.functional.instance_norm(one).flatten(2))
        return torch.stack([flat[0][b] @ flat[1][b].T / 16 for b in range(2)])

    expected = sum(
        float((relation(student[i], student[j]) - relation(teacher[i], teacher[j])).square().sum())
        for i, j in ((0, 1), (0, 2), (1, 2))
    )
    assert float(relation_transfer(student, teacher, "sum")) == pytest.approx(expected, rel=1e-9)


def test_relations_do_not_see_channels_shifted_and_scaled_nor_positions_moved_together():
    shapes = ((2, 4, 4), (3, 4, 4))
    student, teacher = maps(*shapes, seed=1), maps(*shapes, seed=2)
    plain = relation_transfer(student, teacher)
    shifted = [m * 1e3 + 5e3 for m in student]  # large against the normalisation's epsilon
    torch.testing.assert_close(
        relation_transfer(shifted, teacher), relation_transfer([m * 1e3 for m in student], teacher)
    )
    order = torch.randperm(16)
    moved = [[m.flatten(2)[..., order].reshape(m.shape) for m in side] for side in (student, teacher)]
    torch.testing.assert_close(relation_transfer(*moved), plain)


def test_odd_maps_are_pooled_as_the_network_did():
    whole = torch.rand(2, 3, 10, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    maps = [whole]
    for _ in range(3):
        maps.append(nn.functional.max_pool2d(maps[-1], 2, ceil_mode=True))
    assert [m.shape[2] for m in maps] == [10, 5, 3, 2]
    # Each map is the last one once it is pooled, so that all relations are the same.
    last = [maps[-1]] * 4
    other = [torch.rand_like(m) for m in last]
    assert float(relation_transfer(maps, other)) == pytest.approx(float(relation_transfer(last, other)))


def test_sums_are_means_times_what_was_counted():
    teacher, student = network(8), network(2)
    weights = {"soft": 1.0, "pattern": 0.0, "relation": 0.0, "loss": lambda output, _: 0 * output.sum()}
    mean, total = (
        StructuredTransfer(teacher, student, X, taps=TAPS, reduction=how, **weights)(student, BATCH).item()
        for how in ("mean", "sum")
    )
    assert total == pytest.approx(mean * 2 * 4 * 4)


def test_six_taps_and_the_output_make_twenty_one_pairs():
    student, teacher = maps(*[(2, 4, 4)] * 7, seed=1), maps(*[(2, 4, 4)] * 7, seed=2)
    pairs = [
        relation_transfer([student[i], student[j]], [teacher[i], teacher[j]])
        for i in range(7)
        for j in range(i + 1, 7)
    ]
    assert len(pairs) == 21
    torch.testing.assert_close(relation_transfer(student, teacher), sum(pairs))


def test_gradients_reach_the_student_and_the_adapters_alone():
    teacher, student = network(8), network(2)
    loss = StructuredTransfer(teacher, student, X, **SETTINGS)
    before = copy.deepcopy(student.state_dict())
    loss(student, BATCH).backward()
    assert all(parameter.grad is not None for parameter in student.parameters())
    assert all(parameter.grad is not None for parameter in loss.adapters.parameters())
    assert all(parameter.grad is None for parameter in loss.teacher.parameters())
    assert not loss.train().teacher.training
    torch.testing.assert_close(student.state_dict(), before)
    assert not any(module._forward_hooks for module in [*student.modules(), *teacher.modules()])


def test_adapters_lift_channels_and_stay_outside_the_student():
    loss = StructuredTransfer(network(8), network(2), X, **SETTINGS)
    assert [tuple(p.shape) for p in loss.adapters.parameters()] == [(8, 2, 1, 1), (8,), (16, 4, 1, 1), (16,)]


def test_mistakes_are_named():
    teacher, student = network(4), network(2)
    with pytest.raises(UnknownNameError, match="conv9"):
        StructuredTransfer(teacher, student, X, taps={"1": "conv9"})
    with pytest.raises(NetsmithError, match="one size"):
        StructuredTransfer(teacher, student, X, taps={"1": "4"})
    with pytest.raises(NetsmithError, match="same object"):
        StructuredTransfer(teacher, teacher, X, taps=TAPS)
    with pytest.raises(NetsmithError, match="relation=-1"):
        StructuredTransfer(teacher, student, X, taps=TAPS, relation=-1)
    overwriting = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True))
    with pytest.raises(NetsmithError, match="what module '0' puts out is overwritten in place"):
        StructuredTransfer(overwriting, copy.deepcopy(overwriting), X, taps={"0": "0"})
    with pytest.raises(NetsmithError, match="cannot be pooled"):
        relation_transfer(maps((2, 7, 7), (2, 5, 5)), maps((2, 7, 7), (2, 5, 5)))
