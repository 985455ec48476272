"""``netsmith profile`` and ``netsmith methods``: look, change nothing."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from netsmith.cli import options as o


def profile(
    model: o.Model = None,
    data: o.Data = None,
    latency: Annotated[
        bool, typer.Option("--latency", help="measure how long each layer takes here")
    ] = False,
    json: o.Json = False,
) -> None:
    """Show where parameters, MACs, bytes, latency and energy of a network go, layer by layer."""
    with o.only_json(json):
        import netsmith as ns
        from netsmith.resolve import resolve_model, resolve_task

        task = resolve_task(data or "digits")
        found = ns.profile(resolve_model(model or "small-cnn", task), task.example(), latency=latency)
    if json:
        o.print_json(found.to_json())
    else:
        print(found)


def methods(
    family: Annotated[str | None, typer.Option("--family", help="only this family, such as recipes")] = None,
    json: o.Json = False,
) -> None:
    """List the methods there are, with their papers; those of the family recipes are for --method.

    Below them the networks that come along, for --model, and the data sets, for --data.
    """
    with o.only_json(json):
        from netsmith import tasks, zoo
        from netsmith.catalogue import entries
        from netsmith.errors import UnknownNameError

        found = entries()
        families = {entry.family for entry in found}
        if family is not None and family not in families:
            raise UnknownNameError("family", family, families)
        chosen = [entry for entry in found if family in (None, entry.family)]
        names = {} if family else {"models": list(zoo.names()), "data": list(tasks.names())}
    if json:
        o.print_json({"methods": [entry.to_json() for entry in chosen], **names})
        return
    from netsmith.cli.show import table

    rows: list[list[Any]] = [
        [entry.family, entry.name, entry.card.title, entry.card.paper] for entry in chosen
    ]
    table(["family", "name", "what", "paper"], rows, numbers_from=4)
    for what, known in names.items():
        print(f"{what:<7} {', '.join(known)}")
