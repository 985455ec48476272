from __future__ import annotations

import logging
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from netsmith.errors import FileError
from netsmith.files import export, time_onnx
from netsmith.files.parity import relative


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop, self.line = (
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.Dropout(),
            nn.Linear(4, 3),
        )

    def forward(self, x: Tensor, *, shift: Tensor | None = None) -> dict[str, Tensor]:
        pooled = self.drop(self.norm(self.conv(x)).relu().mean((2, 3)))
        return {"logits": self.line(pooled if shift is None else pooled + shift), "features": pooled}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    model, path = Net(), tmp_path_factory.mktemp("onnx") / "net.onnx"
    for _ in range(3):
        model(torch.randn(8, 1, 6, 6))  # running statistics that are not the initial ones
    model.norm.eval()
    result = export(model, {"shift": torch.randn(1, 4), "x": torch.randn(1, 1, 6, 6)}, path)
    assert result.difference is not None
    assert result.difference < 1e-5
    assert (result.batches, result.inputs, result.seconds) == ((1, 32), ("x", "shift"), {})
    assert not result.recorded
    assert (result.path, result.bytes) == (path, path.stat().st_size)
    assert "max relative difference" in str(result)
    return model, path


def test_onnx_runtime_gives_what_pytorch_gives(exported: tuple[nn.Module, Path]) -> None:
    model, path = exported
    assert [m.training for m in model.children()] == [True, False, True, True]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x, shift = torch.randn(5, 1, 6, 6), torch.randn(5, 4)
    logits, features = session.run(None, {"x": x.numpy(), "shift": shift.numpy()})
    expected = model.eval()(x, shift=shift)
    torch.testing.assert_close(torch.as_tensor(logits), expected["logits"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.as_tensor(features), expected["features"], rtol=1e-5, atol=1e-5)


def test_the_file_names_no_path_of_this_machine(exported: tuple[nn.Module, Path]) -> None:
    assert b"site-packages" not in exported[1].read_bytes()
    assert str(Path(__file__).parent).encode() not in exported[1].read_bytes()


def test_files_are_timed_side_by_side(exported: tuple[nn.Module, Path]) -> None:
    _, path = exported
    inputs = {"shift": torch.randn(2, 4), "x": torch.randn(2, 1, 6, 6)}
    times = time_onnx({"before": path, "after": path}, inputs, batches=(1, 4), repeats=3, threads=1)
    assert {name: list(by_batch) for name, by_batch in times.items()} == {"before": [1, 4], "after": [1, 4]}
    assert all(seconds > 0 for by_batch in times.values() for seconds in by_batch.values())
    with pytest.raises(FileError, match=r"takes 2 inputs \(x, shift\), got 1 tensors"):
        time_onnx({"a": path}, torch.randn(2, 1, 6, 6))
    with pytest.raises(FileError, match=r"the ONNX file 'a' does not take the inputs"):
        time_onnx({"a": path}, (torch.randn(2, 2, 6, 6), torch.randn(2, 4)))
    with pytest.raises(FileError, match=r"cannot read .*none.onnx"):
        time_onnx({"a": path.with_name("none.onnx")}, inputs)
    with pytest.raises(FileError, match=r"repeats=0"):
        time_onnx({"a": path}, inputs, repeats=0)


class Eigenvalues(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.eigvals(x)


class Fixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.ones(4, 3)


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


def test_what_onnx_cannot_say_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileError, match=r"^ONNX cannot express Eigenvalues: [^\n]*linalg_eig[^\n]*$"):
        export(Eigenvalues(), torch.randn(2, 3, 3), tmp_path / "a.onnx")
    with pytest.raises(FileError, match=r"ONNX cannot express Fixed: .*pass dynamic_batch=False"):
        export(Fixed(), torch.randn(4, 3), tmp_path / "a.onnx")
    assert export(
        Fixed(), torch.randn(4, 3), tmp_path / "b.onnx", dynamic_batch=False, timed=True
    ).batches == (4,)
    assert [p.name for p in tmp_path.iterdir()] == ["b.onnx"]
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert logging.root.manager.disable == logging.NOTSET


def test_an_export_that_computes_something_else_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"export of Noise differs from PyTorch by .* nothing was written"):
        export(Noise(), torch.randn(2, 3), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []
    assert export(Noise(), torch.randn(2, 3), tmp_path / "a.onnx", check=False).difference is None


class PerKind(nn.Module):
    """Asks how many rows are of each kind, and wants the kinds sorted."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = nn.ModuleList(nn.Linear(3, 2) for _ in range(2))

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        if bool((kind[1:] < kind[:-1]).any()):
            raise ValueError("the kinds must be sorted")
        out = torch.zeros(x.shape[0], 2)
        for number, line in enumerate(self.lines):
            chosen = (kind == number).nonzero()[:, 0]
            if chosen.numel() > 0:
                out = out.index_add(0, chosen, line(x[chosen]))
        return torch.sort(out, dim=0, stable=True).values


def test_sizes_that_depend_on_values_are_exported(tmp_path: Path) -> None:
    inputs = torch.randn(6, 3), torch.tensor([0, 0, 0, 1, 1, 1])
    result = export(PerKind(), inputs, tmp_path / "a.onnx", dynamic_batch=False)
    assert result.difference is not None
    assert result.difference < 1e-5


class Counted(nn.Module):
    """How many rows each kind has, for as many kinds as another input says."""

    def forward(self, kind: Tensor, other: Tensor) -> Tensor:
        counts = torch.bincount(kind, minlength=torch.bincount(other).numel())
        return counts[kind].float()


def test_counts_of_a_length_that_depends_on_values_are_exported(tmp_path: Path) -> None:
    inputs = torch.tensor([0, 2, 2, 1]), torch.tensor([0, 5, 2, 3])
    assert export(Counted(), inputs, tmp_path / "a.onnx", dynamic_batch=False).difference == 0


def test_relative_difference() -> None:
    inf, nan = float("inf"), float("nan")
    assert relative(torch.tensor([1.0, -4.0]), torch.tensor([1.5, -4.0])) == 0.125
    assert relative(torch.tensor([inf, nan, 2.0]), torch.tensor([inf, nan, 2.0])) == 0
    assert relative(torch.tensor([inf, 2.0]), torch.tensor([-inf, 2.0])) == inf
    assert relative(torch.tensor([1.0]), torch.tensor([nan])) == inf
    assert relative(torch.tensor([1.0]), torch.tensor([[1.0]])) == inf
    assert relative(torch.zeros(2), torch.zeros(2)) == 0


class Branching(nn.Module):
    """A branch on values, which torch.export does not follow."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.line, self.limit = nn.Linear(4, 3), limit

    def forward(self, x: Tensor) -> Tensor:
        y = self.line(x)
        return y if x.mean() > self.limit else -y


def test_a_branch_on_values_that_all_inputs_take_is_recorded(tmp_path: Path) -> None:
    result = export(Branching(-1e9), torch.randn(2, 4), tmp_path / "net.onnx")
    assert result.difference is not None
    assert result.difference < 1e-5
    assert result.recorded
    assert (result.inputs, result.shapes["x"]) == (("x",), ("batch", 4))


def test_a_branch_that_other_inputs_take_otherwise_is_refused(tmp_path: Path) -> None:
    samples = [torch.ones(2, 4), -torch.ones(2, 4)]
    with pytest.raises(FileError, match="ONNX cannot express Branching"):
        export(Branching(0.0), torch.ones(2, 4), tmp_path / "net.onnx", samples=samples)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_checked_is_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="ONNX cannot express Branching"):
        export(Branching(-1e9), torch.randn(2, 4), tmp_path / "net.onnx", check=False)
