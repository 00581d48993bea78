import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "ray", "sqlalchemy", "fastapi", "numpy", "onnxruntime", "sympy", "resvg_py", "openai", "anthropic")


def test_a_package_imports_only_packages_below_it() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_package_is_in_the_contract() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = document["tool"]["importlinter"]["contracts"]
    named = {package.strip() for layer in contract["layers"] for package in layer.split("|")}
    there = {path.name for path in (ROOT / "src/steproute").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert there | {"artifacts", "solving"} == named


def test_importing_steproute_is_light() -> None:
    script = f"import sys, steproute; print([name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_nothing_is_pickled() -> None:
    """Artefacts are safetensors, ONNX and JSON: no module that unpickles is imported, no pickled file is shipped."""
    unpickles = re.compile(r"^\s*(import|from)\s+(pickle|cloudpickle|dill|joblib|shelve|marshal)\b|torch\.load\(", re.M)
    package = ROOT / "src/steproute"
    assert [path for path in package.rglob("*.py") if unpickles.search(path.read_text())] == []
    assert [path for path in package.rglob("*") if path.suffix in {".pkl", ".pickle", ".pt", ".pth", ".joblib"}] == []
