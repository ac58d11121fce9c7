"""The report: one page that holds what a run found, readable offline and on paper."""

from hrtem_dask.report.page import report

__all__ = ["report"]
