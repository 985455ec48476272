"""What a run can be told, as checked data: the YAML recipe file and the command's flags meet here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from netsmith.errors import FileError, NetsmithError, UnknownNameError

Goals = dict[str, float | str] | str


class RunSettings(BaseModel):
    """What ``compress`` and ``compare`` share."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field("small-cnn", description="a network's name, or file.py:callable")
    data: str = Field("digits", description="a data set's name, or file.py:callable")
    epochs: PositiveInt | None = Field(
        None, description="a whole number from 1 on, passes over the data for the method"
    )
    dense_epochs: int | None = Field(
        None, ge=0, description="a whole number from 0 on, passes over the data before the method"
    )
    device: str | None = Field(None, description="cpu, cuda, cuda:1 or mps, or nothing")
    round_to: PositiveInt | Literal["auto"] = Field(
        "auto", description="a whole number from 1 on (kept widths are its multiples) or auto"
    )
    distill: bool = Field(False, description="true or false: whether the dense network teaches the small one")
    out: Path | None = Field(None, description="a folder")


class CompressSettings(RunSettings):
    """A ``compress`` run."""

    method: str = Field("reconstruction", description="a method's name, or file.py:callable")
    budget: Goals = Field(
        "macs=0.3", description="goals such as macs=0.3,latency=5ms or {macs: 0.3, latency: 5ms}"
    )
    seed: int = Field(0, ge=0, description="a whole number from 0 on")
    options: dict[str, Any] = Field({}, description="a mapping of the method's own settings")


class CompareSettings(RunSettings):
    """A ``compare`` run."""

    methods: list[str] = Field(
        ["reconstruction", "magnitude", "random", "scratch"],
        min_length=1,
        description="a list of methods, each a name or file.py:callable",
    )
    budgets: list[Goals] = Field(
        ["macs=0.3"], min_length=1, description="a list of budgets such as macs=0.3,latency=5ms"
    )
    seeds: PositiveInt | list[int] = Field(
        3, description="a whole number from 1 on (how many) or a list (which)"
    )
    options: dict[str, dict[str, Any]] = Field(
        {}, description="a mapping from methods to mappings of their own settings"
    )
    workers: Literal["ray"] | None = Field(None, description="ray, or nothing for one trial after the other")
    storage: str | None = Field(None, description="the URL of a database, such as postgresql://host/database")


Settings = TypeVar("Settings", bound=RunSettings)


def read_recipe(path: Path) -> dict[str, Any]:
    """Return the fields of a YAML recipe file, unchecked.

    Raises:
        FileError: the file is missing, or is not a YAML mapping.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"cannot read the recipe {path}: {error}") from error
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise FileError(f"the recipe {path} is not YAML: {where}") from error
    if not isinstance(content, dict):
        raise FileError(
            f"the recipe {path} must be a YAML mapping such as 'model: small-cnn', got {content!r}"
        )
    return {str(key): value for key, value in content.items()}


def settings(kind: type[Settings], fields: Mapping[str, Any], source: str = "") -> Settings:
    """Return checked settings.

    Args:
        kind: which settings.
        fields: values by name; what is missing takes its default.
        source: where the fields come from, for the error.

    Raises:
        UnknownNameError: a field that does not exist.
        NetsmithError: a value that is not allowed; the message names the field and what it may be.
    """
    for name in fields:
        if name not in kind.model_fields:
            raise UnknownNameError(f"field{f' in {source}' if source else ''}", name, kind.model_fields)
    try:
        return kind.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        value = fields.get(field)
        wanted = kind.model_fields[field].description
        where = f" in {source}" if source else ""
        raise NetsmithError(
            f"{field} = {value!r}{where} is not allowed ({first['msg'].lower()}); expected {wanted}"
        ) from None
