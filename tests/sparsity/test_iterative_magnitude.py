from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netsmith.errors import FileError, NetsmithError, UnknownNameError
from netsmith.sparsity import FineTuning, IterativeMagnitude, Round, WeightRewinding
from netsmith.training.schedules import step_decay

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(32) % 4


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 4))


def zeros_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach() == 0 for name, p in model.named_parameters() if p.dim() > 1}


class Training:
    """A loop that looks, at every step, at what pruning promises of it."""

    def __init__(self, optimizer: str = "SGD", stop_at: int = 0) -> None:
        self.kind, self.stop_at = optimizer, stop_at
        self.rates: list[list[float]] = []
        self.before: list[dict[str, Tensor]] = []
        self.gone: list[dict[str, Tensor]] = []

    def __call__(self, model: nn.Module, now: Round) -> None:
        if now.iteration == self.stop_at:
            raise KeyboardInterrupt
        self.before.append({name: value.clone() for name, value in model.state_dict().items()})
        gone = zeros_of(model)
        self.gone.append(gone)
        if self.kind == "SGD":
            optimizer: torch.optim.Optimizer = torch.optim.SGD(
                model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1
            )
        else:
            optimizer = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.1)
        self.rates.append([])
        for step in range(4 * now.epochs):
            rate = 0.1 * now.schedule(step / (4 * now.epochs))
            self.rates[-1].append(rate)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X), Y).backward()
            optimizer.step()
            now.after_step()
            for name, mask in gone.items():
                assert bool((model.get_parameter(name)[mask] == 0).all())


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_survivors_masks_and_rates_of_every_iteration(optimizer: str) -> None:
    model, train = network(), Training(optimizer)
    given = copy.deepcopy(model.state_dict())
    pruning = IterativeMagnitude(model, iterations=6)
    history = pruning.run(train, epochs=8, short_epochs=2, schedule=step_decay)
    left, expected = 200, []
    for _ in range(6):
        left -= left // 5
        expected.append(left)
    assert [entry["survivors"] for entry in history] == expected
    assert [200 - sum(int(mask.sum()) for mask in gone.values()) for gone in train.gone] == expected
    assert [entry["epochs"] for entry in history] == [2, 2, 2, 2, 2, 8]
    for earlier, later in zip(train.gone, train.gone[1:], strict=False):
        assert all(bool((later[name] | ~mask).all()) for name, mask in earlier.items())
    # The whole schedule, each time, from the initial rate on; half of a short round is half of the schedule.
    assert [rates[0] for rates in train.rates] == [0.1] * 6
    assert train.rates[0] == pytest.approx([0.1] * 4 + [0.01] * 2 + [0.001] * 2)
    assert train.rates[-1] == pytest.approx([0.1] * 16 + [0.01] * 8 + [0.001] * 8)
    # What survives the first cut is what was there, to the bit; also what is not pruned.
    for name, value in train.before[0].items():
        stays = ~train.gone[0][name] if name in train.gone[0] else torch.ones_like(value, dtype=torch.bool)
        assert torch.equal(value[stays], given[name][stays])


def test_the_smallest_go_and_of_equal_ones_the_first_stay() -> None:
    model = nn.Linear(5, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -1, 1, 1, 3], [1, 1, 1, -9, 1]]))
    pruning = IterativeMagnitude(model, rate=0.3, iterations=2)
    pruning.run(lambda *_: None, epochs=1)
    # 10, of which 3 go, and of 7 again 2: always the last of the ones.
    expected = [[True, True, True, False, True], [False, False, False, True, False]]
    assert pruning.masks["weight"].tolist() == expected


def test_layers_by_themselves() -> None:
    model = network()
    with torch.no_grad():
        model[3].weight.mul_(1e-3)
    together = IterativeMagnitude(copy.deepcopy(model), iterations=3, allow_empty=True)
    history = together.run(lambda *_: None, epochs=1)
    assert history[-1]["empty"] == ["3.weight"]
    apart = IterativeMagnitude(model, iterations=3, scope="layer")
    apart.run(lambda *_: None, epochs=1)
    assert [int(mask.sum()) for mask in apart.masks.values()] == [62, 42]


def test_a_small_layer_ends_before_the_others() -> None:
    pruning = IterativeMagnitude(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 40)), density=0.5, scope="layer")
    pruning.run(lambda *_: None, epochs=1)
    assert [int(mask.sum()) for mask in pruning.masks.values()] == [4, 60]


def test_weights_are_rewound_and_the_schedule_goes_on() -> None:
    model, train = network(), Training()
    early = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model[0].weight.copy_(torch.randn(20, 6))
    pruning = IterativeMagnitude(model, iterations=2)
    history = pruning.run(
        train, epochs=8, short_epochs=4, schedule=step_decay, rewind=WeightRewinding(early, 0.25)
    )
    assert [entry["epochs"] for entry in history] == [3, 6]
    for before, gone in zip(train.before, train.gone, strict=True):
        assert torch.equal(before["0.weight"], early["0.weight"].masked_fill(gone["0.weight"], 0))
        assert torch.equal(before["1.running_mean"], early["1.running_mean"])
    # A quarter of the schedule is behind: a third of the rest is left of the first rate.
    assert train.rates[0] == pytest.approx([0.1] * 4 + [0.01] * 4 + [0.001] * 4)


def test_fine_tuning_stays_low() -> None:
    train = Training()
    IterativeMagnitude(network(), iterations=2).run(train, epochs=1, rewind=FineTuning(0.05))
    assert train.rates == [[pytest.approx(0.005)] * 4] * 2


@pytest.mark.parametrize("after", [1, 2, 3])
def test_stopped_and_resumed_ends_in_the_same_bits(tmp_path: Path, after: int) -> None:
    whole, parts = network(), network()
    one = IterativeMagnitude(whole, iterations=4)
    one.run(Training(), epochs=4, short_epochs=2)
    with pytest.raises(KeyboardInterrupt):
        IterativeMagnitude(parts, iterations=4).run(
            Training(stop_at=4), epochs=4, short_epochs=2, folder=tmp_path
        )
    fresh = network()
    again = IterativeMagnitude(fresh, iterations=4)
    history = again.run(Training(), epochs=4, short_epochs=2, folder=tmp_path, resume=after)
    assert [entry["survivors"] for entry in history] == [entry["survivors"] for entry in one.history]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[name])
    finished = network()
    IterativeMagnitude(finished, iterations=4).run(
        Training(stop_at=1), epochs=4, short_epochs=2, folder=tmp_path, resume=True
    )
    assert torch.equal(finished[0].weight, whole[0].weight)


def test_resuming_what_cannot_be_resumed(tmp_path: Path) -> None:
    def run(**options: Any) -> None:
        given = {"epochs": 2, "folder": tmp_path} | options
        IterativeMagnitude(network(), iterations=2).run(lambda *_: None, **given)

    with pytest.raises(FileError, match="resume needs folder"):
        run(folder=None, resume=True)
    run(resume=True)
    with pytest.raises(FileError, match="holds tickets of iterations 1 to 2 already"):
        run()
    with pytest.raises(FileError, match=r"no ticket of iteration 7 in .* \(there: 1, 2\)"):
        run(resume=7)
    with pytest.raises(FileError, match="of a run with other epochs, short_epochs"):
        run(resume=1, epochs=3)
    path = tmp_path / "iteration-2.pt"
    torch.save({key: value for key, value in torch.load(path).items() if key != "masks"}, path)
    with pytest.raises(FileError, match="has no masks; going on needs masks and iteration both"):
        run(resume=True)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileError, match="cannot read the checkpoint"):
        run(resume=True)


def test_mistakes() -> None:
    model = network()
    with pytest.raises(UnknownNameError, match="unknown scope 'local'"):
        IterativeMagnitude(model, iterations=1, scope="local")
    with pytest.raises(NetsmithError, match="no parameter of Sequential was selected"):
        IterativeMagnitude(model, iterations=1, select=lambda name, tensor: False)
    pruning = IterativeMagnitude(model, iterations=2)
    for short in (0, 3):
        with pytest.raises(NetsmithError, match=f"short_epochs is {short} and epochs 2"):
            pruning.run(lambda *_: None, epochs=2, short_epochs=short)
    decay = torch.optim.lr_scheduler.StepLR(torch.optim.SGD(model.parameters(), lr=0.1), 1)
    with pytest.raises(NetsmithError, match="the schedule is a StepLR, which cannot be compressed"):
        pruning.run(lambda *_: None, epochs=2, schedule=decay)  # type: ignore[arg-type]
    with pytest.raises(NetsmithError, match="progress is 1"):
        WeightRewinding({}, 1.0)
    with pytest.raises(NetsmithError, match="factor is 0"):
        FineTuning(0)
    with torch.no_grad():
        model[3].weight.mul_(1e-3)
    found = copy.deepcopy(model.state_dict())
    with pytest.raises(NetsmithError, match=r"iteration 3 would take all weights of 3\.weight"):
        IterativeMagnitude(model, iterations=3).run(lambda *_: None, epochs=1)
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    with pytest.raises(NetsmithError, match="hold NaN"):
        IterativeMagnitude(model, iterations=3).run(lambda *_: None, epochs=1)
    assert torch.equal(model[3].bias, found["3.bias"])
