"""``netsmith compare``: methods at equal budgets, with equal training."""

from __future__ import annotations

from typing import Annotated

import typer

from netsmith.cli import options as o
from netsmith.errors import NetsmithError


def compare(
    model: o.Model = None,
    data: o.Data = None,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods", help="names with commas between  [default: reconstruction,magnitude,random,scratch]"
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option("--budget", help="such as macs=0.3; can be repeated  [default: macs=0.3]"),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="how many, or which with commas between  [default: 3]")
    ] = None,
    epochs: o.Epochs = None,
    dense_epochs: o.DenseEpochs = None,
    out: o.Out = None,
    device: o.Device = None,
    round_to: o.RoundTo = None,
    distill: o.Distill = None,
    workers: Annotated[
        str | None,
        typer.Option("--workers", help="ray: trials side by side on a Ray cluster  [default: in turn]"),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage", help="URL of a database for trials, for several machines  [default: a file]"
        ),
    ] = None,
    recipe: o.RecipeFile = None,
    resume: o.Resume = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Compare methods at every budget over several seeds: same start, same epochs, same data order.

    Every trial is kept when it is finished; --resume goes on, and can add methods, budgets and seeds.
    """
    from netsmith.config import CompareSettings

    flags = o.given(
        model=model,
        data=data,
        methods=None if methods is None else o.split(methods),
        budgets=budget,
        seeds=None if seeds is None else _seeds(seeds),
        epochs=epochs,
        dense_epochs=dense_epochs,
        device=device,
        round_to=None if round_to is None else o.plain(round_to),
        distill=distill,
        workers=workers,
        storage=storage,
    )
    chosen, folder = o.gather(
        CompareSettings, flags, recipe=recipe, out=out, resume=resume, default="netsmith-compare"
    )
    with o.only_json(json):
        import netsmith as ns

        compared = ns.compare(
            chosen.model,
            chosen.data,
            methods=chosen.methods,
            budgets=chosen.budgets,
            seeds=chosen.seeds,
            epochs=chosen.epochs,
            dense_epochs=chosen.dense_epochs,
            out=folder,
            resume=resume,
            device=chosen.device,
            round_to=chosen.round_to,
            distill=chosen.distill,
            options=chosen.options,
            progress=not quiet,
            workers=chosen.workers,
            storage=chosen.storage,
        )
    if json:
        o.print_json(compared.to_json())
    else:
        from netsmith.cli.show import table
        from netsmith.workflow.comparison import PAGE

        head, *lines = compared.table()
        table(head, lines, numbers_from=2)
        for sentence in compared.warnings():
            print(sentence)
        print(f"page    {folder / PAGE}")
    if compared.failures:
        first = compared.failures[0]
        raise NetsmithError(
            f"{len(compared.failures)} trials failed, the first ({first['method']} at {first['budget']}, "
            f"seed {first['seed']}): {first['error']}"
        )


def _seeds(text: str) -> int | list[int]:
    """Read ``3`` as how many and ``3,5`` as which.

    Raises:
        NetsmithError: something else than whole numbers.
    """
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise NetsmithError(f"cannot read --seeds {text!r}; write how many (3) or which (0,1,2)") from None
    return numbers if "," in text else numbers[0]
