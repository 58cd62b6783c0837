"""`setlist plan`: what a run would cost, on paper."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from setlist.errors import SettingsError
from setlist_pipelines.cli.answer import Answer, JsonOption
from setlist_pipelines.cli.help_page import examples

if TYPE_CHECKING:
    from setlist_pipelines.settings.cost_table import Size
    from setlist_pipelines.settings.costs import Limit, Machine, Need

NAMES = {
    "base": "the start",
    "play": "plays",
    "listener": "listeners",
    "item": "items",
    "asked": "listeners who are evaluated",
    "pair": "listeners who are evaluated, times items",
}
"""The fields of `setlist_pipelines.settings.cost_table.Line` in words."""
PLAN_EXAMPLES = examples(
    "setlist plan --listeners 1_000_000 --items 100_000 --plays 50_000_000",
    "setlist plan --listeners 1_000_000 --items 100_000 --plays 50_000_000 --memory 16",
)


def plan(
    listeners: Annotated[int, typer.Option(help="Listeners of the training period.")],
    items: Annotated[int, typer.Option(help="Items of the catalogue.")],
    plays: Annotated[int, typer.Option(help="Plays of the training period.")],
    memory: Annotated[float, typer.Option(help="Gigabytes of memory that a step may use.")] = 64,
    hours: Annotated[float, typer.Option(help="Hours of CPU that a step may take.")] = 24,
    json: JsonOption = False,
) -> None:
    """Show what a run of this size would cost, what to set for it, and what it meets first.

    Nothing is read and nothing runs. The figures are lines through what was measured: so much for
    each play, listener and item.

    CPU is summed over the cores: on four of them a step takes a quarter of the time at best.
    Memory is what is held at most. Disk is what a step writes, also what it removes again.
    Steps that are not shown were not measured.
    """
    from setlist_pipelines.settings.cost_table import Size
    from setlist_pipelines.settings.costs import Machine

    few = "that is too few"
    for name, value, least, reason in (
        ("listeners", listeners, 1, few),
        ("items", items, 2, "a model needs two to choose from"),
        ("plays", plays, listeners, "every listener has played something"),
        ("memory", memory, 1, few),
        ("hours", hours, 1, few),
    ):
        if value < least:
            raise SettingsError(f"--{name} {value:,}: {reason}", f"give at least {least:,}")
    size, machine = Size.of_run(listeners, items, plays), Machine(memory * 1e9, hours * 3600)
    with Answer(json) as answer:
        if not json:
            for part in (_costs, _settings, _limits):
                typer.echo("\n".join([*part(size, machine), ""]))
            typer.echo(_measurement())
        _put_numbers(answer, size, machine)


def _put_numbers(answer: Answer, size: "Size", machine: "Machine") -> None:
    """Answer the same to a script."""
    from setlist_pipelines.settings.cost_table import MEASURED_UP_TO, REQUEST_SECONDS
    from setlist_pipelines.settings.costs import machine_limits, setting_limits, settings_for
    from setlist_pipelines.settings.platform import Platform

    keys = ("cpu_seconds", "memory_bytes", "disk_bytes")
    answer.put(
        "steps",
        [{"step": step} | dict(zip(keys, own, strict=True)) for step, own in _needs(size).items()],
    )
    answer.put("run", dict(zip(keys, _total(_needs(size)), strict=True)))
    answer.put("request_seconds", REQUEST_SECONDS.at(size))
    answer.put("settings", settings_for(size, machine))
    for key, limits in (
        ("setting_limits", setting_limits(size, Platform())),
        ("machine_limits", machine_limits(size, machine)),
    ):
        answer.put(key, [limit._asdict() for limit in limits])
    answer.put("measured_up_to", str(MEASURED_UP_TO))


def _needs(size: "Size") -> "dict[str, Need]":
    """What each step needs."""
    from setlist_pipelines.settings.cost_table import COSTS
    from setlist_pipelines.settings.costs import need

    return {step: need(step, size) for step in COSTS if step != "read"}


def _total(needs: "dict[str, Need]") -> "tuple[float, float, float]":
    """What all steps of a run need: one runs after the other; `serve` is none of them."""
    run = [own for step, own in needs.items() if step != "serve"]
    cpu, disk = (sum(getattr(own, field) for own in run) for field in ("cpu", "disk"))
    return cpu, max(own.memory for own in run), disk


def _costs(size: "Size", machine: "Machine") -> Iterator[str]:  # noqa: ARG001
    """A line for each step, and one for all."""
    from setlist_pipelines.settings.cost_table import COSTS, REQUEST_SECONDS

    needs = _needs(size)
    yield f"{size}\n"
    yield f"{'':<14}{'CPU hours':>12}{'memory GB':>12}{'disk GB':>12}   most of the CPU is for"
    for step, own in needs.items():
        mostly = NAMES[COSTS[step].cpu.mostly(COSTS[step].reads(size))]
        yield f"{step:<14}{_figures(*own)}   {mostly}"
    yield f"{'a run':<14}{_figures(*_total(needs))}"
    yield f"\na request for one listener takes {1e3 * REQUEST_SECONDS.at(size):,.1f} ms"


def _figures(seconds: float, memory: float, disk: float) -> str:
    """Three columns."""
    return "".join(f"{value:>12,.2f}" for value in (seconds / 3600, memory / 1e9, disk / 1e9))


def _settings(size: "Size", machine: "Machine") -> Iterator[str]:
    """What to set, as a part of a settings file; then what the settings bound."""
    from setlist_pipelines.settings.cost_table import COSTS
    from setlist_pipelines.settings.costs import Machine, settings_for

    if found := settings_for(size, machine):
        yield "to set, for the steps that the machine is large enough for:\n\nplatform:\n  steps:"
        for step, own in found.items():
            yield f"    {step}: {{{', '.join(f'{key}: {value}' for key, value in own.items())}}}"
    elif settings_for(size, Machine(memory=float("inf"))):
        yield "to set: nothing, since no step that needs more than its default fits the machine"
    else:
        yield "to set: nothing"
    read = COSTS["train"].reads(size)
    if read.plays < size.plays:
        yield (
            f"\ntraining reads {read.plays:,} plays, those of {read.plays / size.plays:.2%} of the "
            "listeners (model.most_plays)"
        )
    if size.asked < size.listeners:
        yield f"evaluation asks for {size.asked:,} of the listeners"


def _limits(size: "Size", machine: "Machine") -> Iterator[str]:
    """What is met first: of the settings; of the machine all up to this size, and the next one."""
    from setlist_pipelines.settings.costs import machine_limits, setting_limits
    from setlist_pipelines.settings.platform import Platform

    yield "what is met first, if the run grows in proportion:"
    yield f"\nby the default settings\n{_sentence(setting_limits(size, Platform())[0], size)}"
    bounds = f"{machine.memory / 1e9:,g} GB and {machine.seconds / 3600:,g} hours of CPU a step"
    yield f"by a machine with {bounds}"
    limits = machine_limits(size, machine)
    for limit in limits[: 1 + sum(limit.factor <= 1 for limit in limits)]:
        yield _sentence(limit, size)


def _sentence(limit: "Limit", size: "Size") -> str:
    """Where it is met, what it is, and what helps."""
    met = size.times(limit.factor)
    where = f"{_about(met.listeners)} listeners, {_about(met.plays)} plays"
    return f"  at {_about(limit.factor)} of this size ({where}): {limit.what}; {limit.remedy}"


def _about(number: float) -> str:
    """The number to two digits."""
    rounded = float(f"{number:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:.2g}"


def _measurement() -> str:
    """Where the figures come from."""
    from setlist_pipelines.settings.cost_table import MEASURED, MEASURED_UP_TO

    return f"measured by {MEASURED}\nup to {MEASURED_UP_TO}; beyond them it is an extrapolation"
