import subprocess
import sys


def test_the_command_line_starts_without_packages_that_only_some_commands_need() -> None:
    """Each of them takes up to a second to load."""
    heavy = {
        "openai",
        "anthropic",
        "sympy",
        "math_verify",
        "torch",
        "sklearn",
        "scipy",
        "transformers",
        "pyarrow",
        "datasets",
    }
    check = f"import sys, steproute.cli.main; print(*({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    assert found.stdout.split() == []
