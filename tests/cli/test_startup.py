"""Packages that take long to load are loaded when they are used, in a fresh interpreter."""

import subprocess
import sys

import pytest

HEAVY = {
    "anthropic",
    "datasets",
    "httpx2",
    "jinja2",
    "math_verify",
    "numpy",
    "onnxruntime",
    "openai",
    "pyarrow",
    "resvg_py",
    "safetensors",
    "scipy",
    "sklearn",
    "sympy",
    "torch",
    "transformers",
}
HELP = "from steproute.cli.main import app; app(['--help'], standalone_mode=False)"
ON_THE_LAB = "import steproute; from steproute.solving import LAB_PROBLEM; steproute.solve(LAB_PROBLEM)"


def loaded_by(code: str) -> set[str]:
    check = f"{code}\nimport sys; print(*({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    found = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    return set(found.stderr.split())


@pytest.mark.parametrize("code", ["import steproute", "import steproute.cli.main", HELP])
def test_help_and_the_import_load_no_heavy_package(code: str) -> None:
    assert loaded_by(code) == set()


def test_help_imports_no_command() -> None:
    code = f"{HELP}\nimport sys; assert not {{'steproute.cli.solve', 'steproute.config'}} & sys.modules.keys()"
    assert loaded_by(code) == set()


def test_the_lab_loads_no_client_of_servers() -> None:
    assert loaded_by(ON_THE_LAB) <= {"numpy", "onnxruntime", "safetensors"}
