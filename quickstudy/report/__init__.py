"""Self-contained HTML pages about what was learned: the report of one run, and several runs on one page."""

from quickstudy.report.comparison import write_comparison
from quickstudy.report.page import write_report

__all__ = ["write_comparison", "write_report"]
