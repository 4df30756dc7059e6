"""What `--help` says reads well at any width."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cli.helptext import reflow
from cli.main import COMMANDS, GROUPS, app


def test_sentences_are_one_line_and_examples_stand_together() -> None:
    text = """Does a thing.

    A first sentence. A second one
    that goes on.

    Examples:

      tocsin thing a

      tocsin thing b
        --more
    """
    assert reflow(text) == (
        "Does a thing.\n\nA first sentence. A second one that goes on.\n\nExamples:\n\n"
        "  tocsin thing a\n  tocsin thing b\n    --more"
    )


def test_examples_need_no_empty_line_before_them() -> None:
    assert reflow("One\ntwo.\n\nExamples:\n  tocsin a\n  tocsin b") == (
        "One two.\n\nExamples:\n\n  tocsin a\n  tocsin b"
    )


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - set(GROUPS)))
def test_each_command_teaches_by_example(command: str) -> None:
    """In a narrow terminal, too: an example begins with the command's name."""
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert f"tocsin {command}" in result.output.partition("Examples:")[2]
