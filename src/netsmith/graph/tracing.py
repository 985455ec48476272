"""``trace``: from a model and its inputs to the structure graph."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from netsmith.contracts import Inputs
from netsmith.errors import NetsmithError, TraceError
from netsmith.graph.anatomy import Anatomy, collection_paused
from netsmith.graph.axes import Dim, Leaf, take
from netsmith.graph.grouping import Role
from netsmith.graph.own_calls import RuleError, own_operators
from netsmith.graph.own_rules import OwnRule, OwnRules, Target, own_rules
from netsmith.graph.rules import RULES, fallback
from netsmith.graph.running import run_for_real, run_on_meta
from netsmith.graph.size_relations import equal_sizes, used_as_values, without_structure
from netsmith.graph.sizes import vanished
from netsmith.graph.solve import Solution, solve
from netsmith.graph.structure import StructureGraph
from netsmith.graph.tracer import Tracer
from netsmith.graph.uncuttable import uncuttable
from netsmith.wrappers import network

NOT_TAKEN = "no slice takes it in this run, another run may"


@collection_paused()
def trace(
    model: nn.Module, inputs: Inputs, *, rules: Mapping[Target, OwnRule] | None = None
) -> StructureGraph:
    """Run a model once and return its structure graph.

    The run sees every operator that executes, so functional code, raw and tied parameters and
    parametrizations need no special care. It is made on the ``meta`` device where the model allows
    (nothing is computed or allocated), with real values where it does not. The model is left as found:
    values, buffers, modes, hooks and random state.

    Args:
        model: any module that runs; ``torch.compile``, ``DataParallel`` and the like are looked through.
        inputs: one tensor, a tuple of positional arguments, or a dict of keyword arguments.
        rules: rules of your own for this call alone (:func:`netsmith.graph.rule` registers one for all).

    Raises:
        TraceError: the model does not run on these inputs, or has lazily initialised parameters.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3))
        >>> ns.trace(net, torch.zeros(1, 3, 8, 8)).groups
        [Group('0.weight:0', size=8, owns 0.weight:0, 0.bias:0, 2.weight:1)]
    """
    return graph_of(run(model, inputs, own=own_rules(rules)))


def run(
    model: nn.Module,
    inputs: Inputs,
    *,
    real: bool = False,
    training: bool = False,
    own: OwnRules | None = None,
    objects: bool = True,
) -> Tracer:
    """Run a model under a fresh tracer, on ``meta`` unless that fails or ``real`` is set.

    ``training`` traces what runs in training mode instead of evaluation. ``objects`` looks for sizes in the
    plain objects that modules hold, too; it is given up where the code writes into one.
    """
    model = network(model)
    anatomy = Anatomy.of(model)
    for name, tensor in anatomy.tensors.items():
        if isinstance(tensor, (UninitializedParameter, UninitializedBuffer)):
            raise TraceError(f"{name} is not initialised yet; run the model once before tracing it")
    own = own_rules() if own is None else own
    tracer = Tracer({**RULES, **own_operators(own)}, fallback, anatomy, own)
    tracer.watches_objects = objects
    try:
        (run_for_real if real else run_on_meta)(tracer, model, inputs, training)
    except Exception as error:
        if tracer.objects_written:
            return run(model, inputs, real=real, training=training, own=own, objects=False)
        # What cannot run without values (a rule of the user's may look at them, too) runs with them; if that
        # fails as well, its error is the user's.
        if real or (isinstance(error, NetsmithError) and not isinstance(error, RuleError)):
            raise
        return run(model, inputs, real=True, training=training, own=own, objects=objects)
    if tracer.objects_written:
        return run(model, inputs, real=real, training=training, own=own, objects=False)
    if any(name not in tracer.used for name in anatomy.parameters):
        _follow_training_branches(tracer, model, inputs)
    return tracer


def graph_of(tracer: Tracer) -> StructureGraph:
    """Solve what a tracer has recorded."""
    anatomy = tracer.anatomy
    roles: dict[Leaf, Role] = dict.fromkeys(tracer.produced, "out")
    roles.update(dict.fromkeys(tracer.contracted, "in"))
    return StructureGraph(
        tracer.leaves,
        tracer.operations,
        _solved(tracer),
        roles,
        tracer.used,
        {name: tensor.element_size() for name, tensor in anatomy.tensors.items()},
        set(anatomy.parameters),
        tracer.requirements,
        tracer.apart,
        tracer.own,
        tracer.constraints.parts,
    )


def _solved(tracer: Tracer) -> Solution:
    """Solve the constraints, with those that follow from the sizes the code computes."""
    constraints = tracer.constraints
    for name, reason in uncuttable(tracer.anatomy).items():
        for leaf, dim in tracer.leaves.items():
            if leaf.tensor == name:
                constraints.freeze(dim, reason)
    used = [requirement.source for requirement in tracer.requirements]
    used += [source for pair in (*tracer.compared, *tracer.apart) for source in pair]
    lost = vanished(tracer.derived, [*used, *tracer.valued])
    for dim in used_as_values([*tracer.valued, *lost], tracer.requirements):
        constraints.freeze(dim, "the code computes with its size")
    for dim in without_structure(tracer.requirements):
        constraints.freeze(dim, "the code computes another size from it")
    for axis, taken in tracer.taken.values():
        constraints.freeze(take(axis, np.flatnonzero(~taken)), NOT_TAKEN)
    solution = solve(constraints)
    # Where owners differ only in order, counts are equal whatever goes; elsewhere equal indices make them so.
    unequal = _spanning(solution, equal_sizes(tracer.requirements, tracer.compared))
    if not unequal:
        return solution
    for first, second in unequal:
        constraints.equate(first, second)
    return solve(constraints)


def _spanning(solution: Solution, pairs: list[tuple[Dim, Dim]]) -> list[tuple[Dim, Dim]]:
    """Return those pairs of equal counts that do not follow from the ones before them."""
    parent: dict[tuple[int, bytes], tuple[int, bytes]] = {}
    count_key = cache(solution.count_key)

    def root(key: tuple[int, bytes]) -> tuple[int, bytes]:
        while (above := parent.get(key, key)) != key:
            key = above
        return key

    chosen = []
    for pair in pairs:
        one, other = (root(count_key(dim)) for dim in pair)
        if one != other:
            parent[one] = other
            chosen.append(pair)
    return chosen


def _follow_training_branches(tracer: Tracer, model: nn.Module, inputs: Inputs) -> None:
    """Parameters that evaluation never touches may belong to a branch of training; look there too."""
    operations = list(tracer.operations)
    try:
        run_on_meta(tracer, model, inputs, training=True)
    except Exception:
        # A model that cannot train on these inputs keeps what evaluation showed; what nobody saw stays whole.
        return
    finally:
        tracer.operations[:] = operations
