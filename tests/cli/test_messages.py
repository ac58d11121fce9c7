"""What a command prints of the log, and where."""

import logging

import click
import pytest
from click.testing import CliRunner

from hrtem_dask.cli.messages import message_options, messages_are_shown, printed_messages

logger = logging.getLogger("hrtem_dask.some.module")


@click.command()
@click.option("--name", default="a")
@message_options
def command(name: str) -> None:
    """Log and print."""
    logger.debug("debug %s", name)
    logger.info("info %s", name)
    logger.warning("warning %s", name)
    click.echo(f"result {messages_are_shown()}")


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ([], ["info a", "warning a"]),
        (["--quiet"], ["warning a"]),
        (["-q", "--name", "b"], ["warning b"]),
        (
            ["--verbose"],
            [f"hrtem_dask.some.module: {level} a" for level in ("debug", "info", "warning")],
        ),
    ],
)
def test_messages_go_to_stderr_and_results_to_stdout(options: list[str], lines: list[str]) -> None:
    result = CliRunner().invoke(command, options)
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == lines
    assert result.stdout == f"result {len(lines) > 1}\n"


def test_quiet_and_verbose_exclude_each_other() -> None:
    result = CliRunner().invoke(command, ["-q", "-v"])
    assert result.exit_code == 2
    assert "not both" in result.stderr


def test_loggers_are_left_as_they_were() -> None:
    package = logging.getLogger("hrtem_dask")
    before = (package.level, list(package.handlers))
    with printed_messages(logging.DEBUG):
        assert len(package.handlers) == len(before[1]) + 1
    assert (package.level, list(package.handlers)) == before


def test_the_library_configures_no_handler() -> None:
    import hrtem_dask.batch.run.run  # noqa: F401 - what it does on import is the question

    assert not logging.getLogger("hrtem_dask").handlers
