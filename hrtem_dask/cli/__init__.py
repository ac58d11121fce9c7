"""The command line: ``hrtem-dask …``, a module per group of commands.

Only click is imported at the top of these modules. Everything heavy is imported when a command runs, so that
``--help`` is quick.
"""

from __future__ import annotations

import click

from hrtem_dask.cli import analysis, correction, evaluate, report, reproduce, results_state, simulate, train

EXAMPLES = """\b
Examples:
  hrtem-dask inspect my_folder                 what would be read, and problems with it
  hrtem-dask run my_folder --out results       analyze everything in it
  hrtem-dask report results                    one page with the results
  hrtem-dask run *.dm4 --out results --pixel-size 0.021 --model unet.safetensors
"""


@click.group(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="hrtem-dask")
def main() -> None:
    """Analyze HRTEM micrographs of nanoparticles in batches: files in, a table of particles out."""


for _command in (
    analysis.run,
    analysis.inspect,
    analysis.ingest,
    analysis.demo,
    simulate.simulate,
    train.train,
    evaluate.evaluate,
    correction.export,
    correction.correct,
    reproduce.reproduce,
    report.report,
    results_state.status,
    results_state.verify,
    results_state.repair,
):
    main.add_command(_command)
