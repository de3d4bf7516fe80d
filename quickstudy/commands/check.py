"""``quickstudy check my_module:MyFamily``: is a family of one's own sound, and is there anything to adapt to?"""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from quickstudy import catalog
from quickstudy.errors import InvalidArgument


@dataclasses.dataclass(frozen=True)
class CheckOptions:
    """Check the contract of a family over a Gymnasium environment, then climb the ladder of short trainings."""

    family: Annotated[str, tyro.conf.Positional]
    """Where the family is, as my_module:MyFamily."""
    ladder: bool = True
    """Train too; without it, the contract alone is checked."""
    num_steps: int = 60
    """PPO updates of each of the trainings."""
    num_tasks: int = 16
    """Trials in an update; a multiple of 4."""
    num_experts: int = 3
    """Tasks that get an expert of their own."""
    learning_rate: float = 3e-3
    """Adam's step size at the start."""
    seed: int = 0
    """Source of all randomness."""


def main(args: Sequence[str]) -> None:
    """Print both tables and the verdict; exit code 1 if the contract is broken."""
    options = tyro.cli(CheckOptions, args=args, prog="quickstudy check")
    from rich.console import Console

    from quickstudy.check.contract import check_contract
    from quickstudy.check.ladder import LadderOptions, climb, verdict
    from quickstudy.host.family import HostFamily

    console, family = Console(), catalog.family(options.family).load()()
    if not isinstance(family, HostFamily):
        raise InvalidArgument(
            f"family {options.family} is compiled, and check is for Gymnasium environments: train on it"
        )
    settings = {field.name: getattr(options, field.name) for field in dataclasses.fields(LadderOptions)}
    ladder = LadderOptions(**settings)
    findings = check_contract(family.world)
    console.print(_contract_table(options.family, findings))
    broken = [finding.check for finding in findings if not finding.passed]
    if broken:
        console.print(f"verdict: mend this first: {'; '.join(broken)}", highlight=False)
        sys.exit(1)
    if not options.ladder:
        console.print("verdict: the contract holds")
        return
    with console.status("training") as status:
        rungs = climb(family, ladder, lambda what: status.update(f"training {what}"))
    console.print(_ladder_table(rungs, ladder))
    console.print(f"verdict: the contract holds. {verdict(rungs)}", highlight=False)


def _contract_table(name: str, findings: Sequence[Any]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"contract of {name}", title_justify="left")
    for column in ("", "check", "seen"):
        table.add_column(column)
    for finding in findings:
        table.add_row("[green]holds" if finding.passed else "[red]broken", finding.check, escape(finding.seen))
    return table


def _ladder_table(rungs: Any, options: Any) -> Any:
    from rich.table import Table

    from quickstudy.check.ladder import rows

    title = f"return of an episode after {options.num_steps} updates of {options.num_tasks} trials"
    table = Table(title=title, title_justify="left")
    table.add_column("policy")
    for column in ("mean", *(f"task {i + 1}" for i in range(options.num_experts))):
        table.add_column(column, justify="right")
    for name, values in rows(rungs):
        table.add_row(name, f"{values.mean():.3g}", *(f"{value:.3g}" for value in values))
    return table
