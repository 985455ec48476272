from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import netsmith as ns
from netsmith.errors import NetsmithError
from netsmith.recipes import Job, magnitude, random


def job(options=None, *, seed=0, budget=None):
    """A job whose training only notes what it was asked for."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(256, 10)
    )
    asked = []
    made = Job(
        model=model.eval(),
        inputs=torch.zeros(1, 1, 8, 8),
        task=SimpleNamespace(name="none"),
        budget=budget or ns.Budget(macs=0.4),
        epochs=7,
        seed=seed,
        fit=lambda model, **settings: asked.append((model, settings)),
        options=options or {},
    )
    return made, asked


def test_settings_are_the_defaults_with_the_options_over_them():
    made, _ = job({"strength": "1e-4", "steps": 3.0, "sparse": "true", "scope": "local"})
    defaults = {"strength": 1e-3, "steps": 1, "sparse": False, "scope": "global", "rest": 5}
    expected = {"strength": 1e-4, "steps": 3, "sparse": True, "scope": "local", "rest": 5}
    assert made.settings(**defaults) == expected
    assert [type(value) for value in made.settings(**defaults).values()] == [float, int, bool, str, int]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_survives_the_command_line(value):
    made, _ = job({"strength": repr(value)})
    assert made.settings(strength=1.0) == {"strength": value}


def test_unknown_option_names_the_nearest_or_all():
    made, _ = job({"strenght": 1})
    with pytest.raises(NetsmithError, match=r"unknown option 'strenght'.*did you mean strength"):
        made.settings(strength=1.0, scope="global")
    made, _ = job({"zzz": 1})
    with pytest.raises(NetsmithError, match="it has scope, strength"):
        made.settings(strength=1.0, scope="global")
    with pytest.raises(NetsmithError, match="it has none"):
        made.settings()


@pytest.mark.parametrize(
    ("value", "default", "kind"),
    [
        ("much", 1.0, "float"),
        ("maybe", True, "bool"),
        ("2.5", 1, "int"),
        (None, 1.0, "float"),
        (2.5, 1, "int"),
    ],
)
def test_value_of_another_type_is_refused(value, default, kind):
    made, _ = job({"amount": value})
    with pytest.raises(NetsmithError, match=f"option 'amount' must be of type {kind}"):
        made.settings(amount=default)


@pytest.mark.parametrize("recipe", [magnitude, random])
def test_cutting_recipes_meet_the_budget_and_spend_all_epochs_at_once(recipe):
    made, asked = job({"learning_rate": 0.01})
    small = recipe(made)
    macs = [ns.profile(model, made.inputs).total["macs"] for model in (made.model, small)]
    assert macs[1] <= 0.4 * macs[0]
    ((trained, settings),) = asked
    assert trained is small
    assert settings == {"epochs": 7, "learning_rate": 0.01, "stage": "finetune"}
    assert ns.records(small)


@pytest.mark.parametrize("recipe", [magnitude, random])
def test_without_an_option_the_trainer_chooses_the_learning_rate(recipe):
    made, asked = job()
    recipe(made)
    assert asked[0][1]["learning_rate"] is None


def test_magnitude_keeps_the_channels_with_the_largest_weights():
    made, _ = job(budget=ns.Budget(params=0.5))
    with torch.no_grad():
        made.model[0].weight[::2] *= 100
        made.model[2].weight[:, ::2] *= 100
    small = magnitude(made)
    kept = [bool((row == small[0].weight[0]).all()) for row in made.model[0].weight]
    assert kept.index(True) % 2 == 0
    assert small[0].out_channels < 16
    assert (small[0].weight.abs().amax((1, 2, 3)) > 1).all()


def test_random_depends_on_the_seed_alone():
    first, again, other = (random(job(seed=seed)[0]) for seed in (1, 1, 2))
    one, same, another = (str(ns.records(model)) for model in (first, again, other))
    assert one == same != another
