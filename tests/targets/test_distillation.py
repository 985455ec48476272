"""A teacher's outputs as targets: the formula, what stays as found, and mistakes."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import TensorDataset

import netsmith as ns
from netsmith.errors import NetsmithError
from netsmith.targets import Distillation, soft_cross_entropy

BATCH = (torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2]))


def pair():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)), nn.Linear(4, 3)


@given(st.integers(0, 1000), st.floats(0.5, 20.0))
def test_soft_targets_equal_the_written_out_sum(seed, temperature):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    expected = 0.0
    for row, target in zip(student.tolist(), teacher.tolist(), strict=True):
        p = [math.exp(t / temperature) for t in target]
        q = [math.exp(s / temperature) for s in row]
        p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
        expected += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / 5
    got = float(soft_cross_entropy(student, teacher, temperature))
    assert got == pytest.approx(expected * temperature**2, rel=1e-6, abs=1e-12)


def test_share_mixes_labels_and_teacher():
    teacher, student = pair()
    labels = F.cross_entropy(student(BATCH[0]), BATCH[1])
    with torch.no_grad():
        target = teacher.eval()(BATCH[0])
    soft = soft_cross_entropy(student(BATCH[0]), target, 3.0)
    for share in (0.0, 0.4, 1.0):
        loss = Distillation(teacher, temperature=3.0, share=share)(student, BATCH)
        torch.testing.assert_close(loss, (1 - share) * labels + share * soft)


def test_the_teacher_is_left_alone_and_copied():
    teacher, student = pair()
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    loss = ns.distill(teacher)
    value = loss(student, BATCH)
    value.backward()
    assert teacher.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in teacher.parameters())
    torch.testing.assert_close(teacher.state_dict(), before)
    with torch.no_grad():
        teacher[2].weight.zero_()  # what becomes of it later is no matter
    torch.testing.assert_close(loss(student, BATCH), value)


def test_a_small_network_learns_what_its_teacher_says():
    task = ns.tasks.load("digits", train_size=600, test_size=200)
    torch.manual_seed(0)
    teacher = ns.zoo.build("small-cnn", classes=10, input_shape=(1, 8, 8))
    ns.train.fit(teacher, task.train, epochs=5, progress=False)
    # Labels that say nothing: all there is to learn is the teacher's.
    data = TensorDataset(task.train.tensors[0], torch.randint(10, (len(task.train),)))
    reached = {}
    for share in (0.0, 1.0):
        student = ns.zoo.build("small-cnn", classes=10, input_shape=(1, 8, 8), width=0.5)
        ns.train.fit(student, data, loss=ns.distill(teacher, share=share), epochs=5, progress=False)
        reached[share] = task.evaluate(student)
    assert reached[1.0] > reached[0.0] + 0.3


def test_mistakes_are_named():
    teacher, student = pair()
    with pytest.raises(NetsmithError, match="temperature=0"):
        ns.distill(teacher, temperature=0)
    with pytest.raises(NetsmithError, match="share=2"):
        ns.distill(teacher, share=2)
    with pytest.raises(NetsmithError, match=r"\(6, 3\) does not fit the student's \(6, 5\)"):
        ns.distill(teacher)(nn.Linear(4, 5), BATCH)
    with pytest.raises(NetsmithError, match="example inputs"):
        ns.distill(teacher, student, taps={"0": "0"})
