"""``quickstudy check my_module:MyFamily``: is a family of one's own sound, and is there anything to adapt to?"""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

import tyro

from quickstudy import catalog
from quickstudy.errors import InvalidArgument
from quickstudy.outside import gym_id_as_family, take_option

FamilyT = TypeVar("FamilyT")
BudgetT = TypeVar("BudgetT")


@dataclasses.dataclass(frozen=True)
class CheckOptions(Generic[FamilyT, BudgetT]):
    """Check the contract of a family over a Gymnasium environment, then climb the ladder of short trainings."""

    family: FamilyT
    budget: Annotated[BudgetT, tyro.conf.arg(name="")]
    ladder: bool = True
    """Train too; without it, the contract alone is checked."""


def main(args: Sequence[str]) -> None:
    """Print both tables and the verdict; exit code 1 if the contract is broken."""
    name, rest = take_option("--family", gym_id_as_family(args))
    if name is None and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
    if name is None:
        raise InvalidArgument("check needs a family: quickstudy check my_module:MyFamily, or --gym-id ID --vary RANGES")
    family = catalog.family(name).load()()
    from rich.console import Console

    from quickstudy.check.contract import check_contract
    from quickstudy.check.ladder import LadderOptions, climb, verdict
    from quickstudy.host.family import HostFamily

    if not isinstance(family, HostFamily):
        raise InvalidArgument(f"family {name} is compiled, and check is for Gymnasium environments: train on it")
    default = CheckOptions(family, LadderOptions())
    options = tyro.cli(
        CheckOptions[HostFamily, LadderOptions], default=default, args=rest, prog=f"quickstudy check {name}"
    )
    console, family, ladder = Console(), options.family, options.budget
    findings = check_contract(family.world)
    console.print(_contract_table(name, findings))
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
