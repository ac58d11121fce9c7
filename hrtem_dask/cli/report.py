"""The command report."""

from __future__ import annotations

import click

from hrtem_dask.cli.messages import message_options
from hrtem_dask.cli.options import clear_errors, require_results

__all__ = ["report"]


@click.command()
@click.argument("results", metavar="RESULTS")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Seed of the bootstrap and of the pictures that are chosen at random.",
)
@click.option(
    "--confusion",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE.json",
    help='Correct the defect fraction: {"measured_on": "…", "counts": {"fault": {"fault": 90, "no_fault": 10}, …}}.',
)
@click.option(
    "--detectability",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE.csv",
    help="Correct defect curves: detectability.csv of `hrtem-dask evaluate` on simulated micrographs like these.",
)
@click.option(
    "--reference",
    metavar="NM±NM",
    help="Certified mean size of a reference material and its expanded uncertainty (k = 2), such as 30.2±0.6.",
)
@click.option(
    "--bias-from",
    metavar="RESULTS",
    help="Results of a reference material, reported with --reference: its bias enters the uncertainty of sizes.",
)
@click.option(
    "--leave-out-doubtful",
    is_flag=True,
    help="Leave the particles of doubtful micrographs out of the statistics; by default they are kept and marked.",
)
@message_options
def report(
    results: str,
    seed: int,
    confusion: str | None,
    detectability: str | None,
    reference: str | None,
    bias_from: str | None,
    leave_out_doubtful: bool,
) -> None:
    """Write RESULTS/report.html: one page with all figures, tables and pictures, for screen and paper, without network.

    Every number on it is in RESULTS/summary.json, under the JSON pointer beside it in the source of the page.
    The confusion matrix must be measured on the same kind of data: true fault state, predicted one, particles.
    """
    require_results(results)
    if bias_from is not None:
        require_results(bias_from)
    with clear_errors():
        matrix, measured_on = _read_confusion(confusion)
        from hrtem_dask.report import write_report

        page = write_report(
            results,
            leave_out_doubtful=leave_out_doubtful,
            seed=seed,
            confusion=matrix,
            confusion_measured_on=measured_on,
            detectability=detectability,
            reference=reference,
            bias_from=bias_from,
        )
    click.echo(f"report: {page}")


def _read_confusion(path: str | None) -> tuple[dict[str, dict[str, int]] | None, str]:
    """Read a confusion matrix and the description of its data."""
    import json
    from pathlib import Path

    from hrtem_dask.errors import SettingsError

    if path is None:
        return None, ""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return dict(content["counts"]), str(content["measured_on"])
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f'{path}: need {{"measured_on": "…", "counts": {{"fault": {{…}}, "no_fault": {{…}}}}}}, got {error!r}'
        ) from error
