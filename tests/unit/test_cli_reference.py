"""Help gives each command an example and each option its variable; docs/cli.md is what it says, as
docs/configuration.md is what the settings say."""

import click
import pytest

from fixwurx_celery.cli.reference import commands, reference, settings_page
from tests.support.surroundings import ROOT

COMMANDS = {context.command_path: context for context in commands()}


@pytest.mark.parametrize("path", COMMANDS)
def test_each_command_has_an_example_of_itself(path: str) -> None:
    lines = COMMANDS[path].get_help().splitlines()

    assert any(line.strip().startswith(path) for line in lines)


@pytest.mark.parametrize("path", COMMANDS)
def test_each_option_names_its_environment_variable(path: str) -> None:
    options = [param for param in COMMANDS[path].command.params if isinstance(param, click.Option)]

    for option in options:
        assert option.envvar, f"{path} {option.name} has no environment variable"
        assert str(option.envvar).startswith("FIXWURX_")
        assert option.show_envvar, f"{path} {option.name} does not show its variable"


def test_no_two_options_of_one_command_share_a_variable() -> None:
    for path, context in COMMANDS.items():
        variables = [param.envvar for param in context.command.params if param.envvar]
        assert len(variables) == len(set(map(str, variables))), path


def test_the_written_page_is_up_to_date() -> None:
    written = (ROOT / "docs/cli.md").read_text("utf-8")

    assert written == reference(), "docs/cli.md is stale: run `make docs`"


def test_the_page_of_settings_is_up_to_date() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert written == settings_page(), "docs/configuration.md is stale: run `make docs`"
