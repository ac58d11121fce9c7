"""The report: one HTML page with the results of a run, which can be read offline and printed."""

from hrtem_dask.report.page import write_report

__all__ = ["write_report"]
