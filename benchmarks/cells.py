"""Numbers as a reader of the documentation sees them, and tables of them."""

from collections.abc import Sequence

MISSING = "–"
UNMEASURED = "*Not measured yet: `python benchmarks/{script}` does.*"


def number(value: float) -> str:
    """Three decimals where the first digits are few, two elsewhere."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.2f}"


def estimate(numbers: dict[str, float | None]) -> str:
    """A value with its confidence interval; without one for a single seed."""
    value, low, high = numbers["value"], numbers["low"], numbers["high"]
    if value is None:
        return MISSING
    return number(value) if low is None or high is None else f"{number(value)} [{number(low)}, {number(high)}]"


def duration(seconds: float) -> str:
    """Rounded to what matters."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column left, the others right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
