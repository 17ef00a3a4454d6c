"""What `import fixwurx_celery` gives, and what it does not do."""

import subprocess
import sys

import pytest

import fixwurx_celery


@pytest.mark.parametrize("name", sorted(set(fixwurx_celery.__all__) - {"app", "__version__"}))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(fixwurx_celery, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nobody'"):
        _ = fixwurx_celery.Nobody


def test_importing_loads_nothing_heavy() -> None:
    probe = (
        "import sys, fixwurx_celery; "
        "print([name for name in ('celery', 'redis', 'libcst', 'yaml') if name in sys.modules])"
    )

    printed = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=30, check=True
    )

    assert printed.stdout.strip() == "[]"
