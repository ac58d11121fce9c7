"""The report: one page that holds what a run found, readable offline and on paper."""

from hrtem_dask.report.page import write_report

__all__ = ["write_report"]
