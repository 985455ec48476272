from __future__ import annotations

import copy
import functools
import io
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize

from netsmith.edits import records
from netsmith.errors import FileError
from netsmith.files import load, load_records, save
from netsmith.files.archive import read_archive, write_archive


class Everything(nn.Module):
    """One of each thing a module can keep."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first, self.second, self.none = nn.Linear(width, width), nn.Linear(width, width), None
        self.second.weight = self.first.weight
        self.first.weight.no_decay = True  # type: ignore[attr-defined]
        self.again = self.first
        self.hidden = (nn.Linear(2, 2), [self.second])
        self.act, self.make = F.gelu, functools.partial(nn.LayerNorm, eps=1e-6)
        self.sizes = {"in": (width, torch.Size([width])), 3: [1.5, None]}
        self.free = torch.arange(3)
        self.register_buffer("mask", torch.ones(width), persistent=False)
        self.register_buffer("scale", torch.tensor(2.0))
        self.register_parameter("absent", None)
        self.raw = nn.Parameter(torch.randn(width), requires_grad=False)
        self.first.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.second(self.first(x)) + self.raw) * self.mask * self.scale  # type: ignore[no-any-return]


class Lambda(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(3, 3))
        self.block.act = lambda x: x.relu()  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        return self.block.act(self.block(x))  # type: ignore[no-any-return,operator]


def same(a: nn.Module, b: nn.Module) -> None:
    """Names, order, bits, classes, modes: nothing differs."""
    ours, theirs = a.state_dict(keep_vars=True), b.state_dict(keep_vars=True)
    assert list(ours) == list(theirs)
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name])
        assert (tensor.dtype, tensor.requires_grad) == (theirs[name].dtype, theirs[name].requires_grad)
    assert repr(a) == repr(b)
    assert [m.training for m in a.modules()] == [m.training for m in b.modules()]


def there_and_back(model: nn.Module, folder: Path, **options: Any) -> nn.Module:
    back = load(save(model, folder / "a.nsm"), **options)
    same(model, back)
    return back


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU(), nn.Flatten()).eval(),
        lambda: nn.ModuleDict({"a": nn.ModuleList([nn.Linear(1, 2)]), "b": nn.Identity()}),
        lambda: nn.ParameterList([nn.Parameter(torch.ones(2)), torch.ones(3)]),
        lambda: nn.ParameterDict({"a": torch.ones(2)}),
        lambda: nn.Conv2d(2, 4, 3, groups=2, dtype=torch.float64).to(memory_format=torch.channels_last),
        lambda: nn.EmbeddingBag(5, 2, padding_idx=1).bfloat16(),
    ],
)
def test_modules_of_torch_come_back(build: Callable[[], nn.Module], tmp_path: Path) -> None:
    there_and_back(build(), tmp_path)


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.LSTM(4, 6, 2, bidirectional=True),
        lambda: nn.GRU(4, 6),
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", dropout=0.0), 2),
    ],
)
def test_sequence_models_run_and_train_as_before(build: Callable[[], nn.Module], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = build()
    back, x = there_and_back(model, tmp_path), torch.randn(5, 3, 4)

    def first(output: Any) -> Tensor:
        return output[0] if isinstance(output, tuple) else output

    assert torch.equal(first(model(x)), first(back(x)))
    first(back(x)).sum().backward()
    assert all(p.grad is not None for p in back.parameters())
    assert torch.equal(first(back.double()(x.double())), first(model.double()(x.double())))


def test_attention_comes_back(tmp_path: Path) -> None:
    model, x = nn.MultiheadAttention(4, 2, add_bias_kv=True), torch.randn(5, 3, 4)
    assert torch.equal(model(x, x, x)[0], there_and_back(model, tmp_path)(x, x, x)[0])


@pytest.mark.parametrize("which", ["weight_norm", "spectral_norm", "orthogonal"])
def test_parametrized_weights_come_back(which: str, tmp_path: Path) -> None:
    model = nn.Sequential(getattr(parametrizations, which)(nn.Linear(4, 4)), nn.ReLU())
    back, x = there_and_back(model.eval(), tmp_path), torch.randn(3, 4)
    assert torch.equal(model(x), back(x))
    assert parametrize.is_parametrized(back[0], "weight")  # type: ignore[index]
    copy.deepcopy(back).train()(x).sum().backward()
    parametrize.remove_parametrizations(back[0], "weight")  # type: ignore[index]
    assert type(back[0]) is nn.Linear  # type: ignore[index]


def test_everything_a_module_keeps(tmp_path: Path) -> None:
    model = Everything()
    back, x = there_and_back(model, tmp_path), torch.randn(2, 4)
    assert isinstance(back, Everything)
    assert torch.equal(model(x), back(x))
    assert back.second.weight is back.first.weight
    assert back.again is back.first
    assert back.hidden[1][0] is back.second
    assert torch.equal(back.hidden[0].weight, model.hidden[0].weight)
    assert back.first.weight.no_decay is True
    assert back.act is F.gelu
    assert back.sizes == model.sizes
    assert "mask" not in back.state_dict()
    assert vars(back).keys() == vars(model).keys()
    assert back.absent is None
    assert back.none is None


def test_a_shrunk_layer_needs_no_constructor_argument(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 5, 1))
    model[0].weight, model[0].bias = (nn.Parameter(p[[0, 2, 5]]) for p in (model[0].weight, model[0].bias))
    model[2].weight = nn.Parameter(model[2].weight[:, [0, 2, 5]])
    model[0].out_channels = model[2].in_channels = 3
    edit = {
        "kind": "remove",
        "tensors": {"0.weight": {"0": [0, 2, 5]}},
        "attributes": {"0": {"out_channels": 3}},
    }
    path = save(model, tmp_path / "small.nsm", records=[edit])
    back, x = load(path), torch.randn(2, 3, 6, 6)
    same(model, back)
    assert torch.equal(model(x), back(x))
    assert load_records(path) == records(back) == [edit]
    original = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 5, 1))
    assert load(path, into=original) is original
    same(model, original)


SCRIPT = """
import sys, torch
from pathlib import Path
from netsmith.files import load, save
from netsmith.errors import FileError
class Net(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = torch.nn.LSTM(3, width)
    def forward(self, x):
        return self.body(x)[0]
class Other(torch.nn.Module):
    pass
if sys.argv[2] == "save":
    torch.manual_seed(int(sys.argv[3]))
    save(Net(5), sys.argv[1])
else:
    if sys.argv[2] == "missing":
        del Net
    print(load(sys.argv[1])(torch.ones(2, 1, 3)).sum().item().hex())
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, "script.py", *arguments], cwd=folder, capture_output=True, text=True, timeout=60
    )


def test_a_fresh_process_gives_the_same_bits(tmp_path: Path) -> None:
    assert run(tmp_path, "a.nsm", "save", "3").stderr == ""
    shown = run(tmp_path, "a.nsm", "load")
    torch.manual_seed(3)
    assert shown.stdout.strip() == nn.LSTM(3, 5)(torch.ones(2, 1, 3))[0].sum().item().hex()
    missing = run(tmp_path, "a.nsm", "missing")
    assert "needs the class __main__:Net, which this process has not" in missing.stderr
    assert "classes=" in missing.stderr
    assert "into=" in missing.stderr


def test_a_missing_class_can_be_given_or_filled(tmp_path: Path) -> None:
    class Local(Everything):
        pass

    model, path = Local(), tmp_path / "a.nsm"
    save(model, path)
    with pytest.raises(FileError, match=r"needs the class .*<locals>.Local, which this process has not"):
        load(path)
    same(model, load(path, classes=[Local]))
    Moved = type("Local", (Everything,), {})
    assert type(load(path, classes=[Moved])) is Moved
    with pytest.raises(FileError, match="expected classes"):
        load(path, classes=["Local"])  # type: ignore[list-item]


def test_an_attribute_that_is_code_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"attribute 'act' of module 'block' is the function .*lambda"):
        save(Lambda(), tmp_path / "a.nsm")
    hooked = nn.Sequential(nn.Linear(2, 2))
    handle = hooked[0].register_forward_hook(lambda *_: None)
    with pytest.raises(FileError, match=r"module '0' has forward hooks \(1\), which are code"):
        save(hooked, tmp_path / "a.nsm")
    handle.remove()
    save(hooked, tmp_path / "a.nsm")
    hooked[0].weight.register_hook(lambda g: g)
    with pytest.raises(FileError, match="gradient hook"):
        save(hooked, tmp_path / "a.nsm")
    with pytest.raises(FileError, match="run the model once first"):
        save(nn.LazyLinear(3), tmp_path / "b.nsm")
    assert [p.name for p in tmp_path.iterdir()] == ["a.nsm"]


def test_a_hook_of_the_state_dict_is_left_out_with_a_warning(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    model.register_load_state_dict_pre_hook(lambda *_: None)
    with pytest.warns(UserWarning, match="1 state_dict hooks; they are code and are not in the file"):
        save(model, tmp_path / "a.nsm")
    same(model, load(tmp_path / "a.nsm"))


def test_an_instance_can_be_filled(tmp_path: Path) -> None:
    model, instance = (nn.Sequential(Lambda(), nn.LSTM(3, 3)) for _ in range(2))
    model[0].block.act = F.relu
    path = save(model, tmp_path / "a.nsm")
    assert load(path, into=instance) is instance
    same(model, instance)
    assert instance[0].block.act is F.relu
    assert instance[1]._flat_weights[0] is instance[1].weight_ih_l0


def test_into_another_architecture_changes_nothing(tmp_path: Path) -> None:
    path = save(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), tmp_path / "a.nsm")
    other = nn.Sequential(nn.PReLU(), nn.ReLU())
    before = copy.deepcopy(other)
    with pytest.raises(
        FileError, match=r"module '0' has the parameters \['weight', 'bias'\] there and \['weight'\]"
    ):
        load(path, into=other)
    same(before, other)
    with pytest.raises(FileError, match=r"module '' has the children"):
        load(path, into=nn.Sequential(nn.Linear(2, 2)))
    layer = nn.Linear(2, 2)
    tied = save(nn.Sequential(layer, layer), tmp_path / "b.nsm")
    with pytest.raises(FileError, match="module '0' is shared there and not here"):
        load(tied, into=nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    hidden = save(Everything(), tmp_path / "c.nsm")
    with pytest.raises(FileError, match="registered nowhere"):
        load(hidden, into=Everything())


def forged(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A file whose checksums hold and whose architecture was changed by someone."""
    members = read_archive(path)
    architecture = json.loads(members["architecture.json"])
    change(architecture)
    write_archive(path, members | {"architecture.json": json.dumps(architecture).encode()})
    return path


def attribute(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda architecture: architecture["modules"][0]["attributes"].append([name, value])


@pytest.mark.parametrize(
    "change",
    [
        attribute("act", {"function": "os:system"}),
        attribute("act", {"class": "subprocess:Popen"}),
        attribute("_forward_hooks", {"dict": [[0, {"function": "torch:relu"}]]}),
        attribute("act", {"tensor": 99}),
        attribute("act", {"module": -1}),
        lambda a: a["modules"][0].update({"class": "subprocess:Popen"}),
        lambda a: a["modules"][0].update({"class": "antigravity:fly"}),
        lambda a: a["modules"][0].update(parametrized=True),
        lambda a: a["modules"][0].update(parameters=[["weight", {"function": "torch:relu"}]]),
        lambda a: a["modules"][0].update(children=[["a", 7]]),
        lambda a: a["tensors"][0].update(shape=[1 << 50]),
        lambda a: a["tensors"][0].update(dtype="torch.int8"),
        lambda a: a["tensors"].clear(),
        lambda a: a["modules"].clear(),
        lambda a: a.clear(),
    ],
)
def test_a_forged_file_ends_in_a_file_error(change: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    path = forged(save(nn.Linear(3, 2), tmp_path / "a.nsm"), change)
    known = set(sys.modules)
    with pytest.raises(FileError, match=r"^.+$"):
        load(path)
    assert {name for name in sys.modules if name not in known and not name.startswith("netsmith")} == set()


def test_a_class_that_is_not_a_module_is_never_built(tmp_path: Path) -> None:
    path = save(nn.Linear(3, 2), tmp_path / "a.nsm")
    forged(path, lambda a: a["modules"][0].update({"class": "builtins:dict"}))
    with pytest.raises(FileError, match="needs the class builtins:dict"):
        load(path)


@pytest.fixture(scope="module")
def saved() -> tuple[nn.Module, bytes]:
    import tempfile

    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    with tempfile.TemporaryDirectory() as folder:
        return model, save(model, Path(folder) / "a.nsm").read_bytes()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_are_an_error_or_the_same_model(
    saved: tuple[nn.Module, bytes], tmp_path: Path, data: st.DataObject
) -> None:
    model, content = saved
    damaged = bytearray(content)
    # Half of the flips in the second half, where the small members and the directory are.
    place = st.integers(0, len(content) - 1) | st.integers(len(content) // 2, len(content) - 1)
    for position in data.draw(st.lists(place, min_size=1, max_size=3)):
        damaged[position] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "damaged.nsm"
    path.write_bytes(damaged)
    try:
        back = load(path)
    except FileError as error:
        message = str(error)
    else:
        same(model, back)
        message = ""
    assert "\n" not in message


def test_records_must_be_plain_data(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="records= cannot be stored as JSON"):
        save(nn.Linear(1, 1), tmp_path / "a.nsm", records=[{"kept": io.BytesIO()}])
    assert list(tmp_path.iterdir()) == []
