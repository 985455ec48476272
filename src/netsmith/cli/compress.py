"""``netsmith compress``: train a network, shape it to a budget, measure it, save it."""

from __future__ import annotations

from typing import Annotated

import typer

from netsmith.cli import options as o


def compress(
    model: o.Model = None,
    data: o.Data = None,
    method: Annotated[
        str | None, typer.Option("--method", help="NAME or file.py:callable  [default: reconstruction]")
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", help="such as macs=0.3,latency=5ms  [default: macs=0.3]")
    ] = None,
    epochs: o.Epochs = None,
    dense_epochs: o.DenseEpochs = None,
    seed: Annotated[int | None, typer.Option("--seed", help="where randomness starts  [default: 0]")] = None,
    out: o.Out = None,
    device: o.Device = None,
    round_to: o.RoundTo = None,
    distill: o.Distill = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="name=value of the method's own; can be repeated")
    ] = None,
    recipe: o.RecipeFile = None,
    resume: o.Resume = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Train a network, shape it to a budget, measure it, and save it with a report.

    Without any flag: a small CNN on scikit-learn's digits at 30 % of its MACs, in about a minute.
    """
    from netsmith.config import CompressSettings

    flags = o.given(
        model=model,
        data=data,
        method=method,
        budget=budget,
        epochs=epochs,
        dense_epochs=dense_epochs,
        seed=seed,
        device=device,
        round_to=None if round_to is None else o.plain(round_to),
        distill=distill,
        options=o.pairs(option) or None,
    )
    chosen, folder = o.gather(
        CompressSettings, flags, recipe=recipe, out=out, resume=resume, default="netsmith-run"
    )
    with o.only_json(json):
        import netsmith as ns

        result = ns.compress(
            chosen.model,
            chosen.data,
            method=chosen.method,
            budget=chosen.budget,
            epochs=chosen.epochs,
            dense_epochs=chosen.dense_epochs,
            seed=chosen.seed,
            out=folder,
            resume=resume,
            device=chosen.device,
            round_to=chosen.round_to,
            distill=chosen.distill,
            options=chosen.options,
            progress=not quiet,
        )
    if json:
        o.print_json(result.to_json())
        return
    from netsmith.cli.show import before_after
    from netsmith.workflow.result import MODEL, ONNX, REPORT

    before_after(result)
    for what, name in (("model", MODEL), ("ONNX", ONNX), ("report", REPORT)):
        print(f"{what:<7} {folder / name}")
