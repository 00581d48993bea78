"""`doctor` on the table [serve]: each planted mistake is found, and its remedy named."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from tests.patients import Patient, diagnose
from tests.store.postgres import PostgresServer

from steproute.doctor import Finding, Severity
from steproute.store import open_store

SERVE = """
[serve]
database = "sqlite:///{folder}/gateway.db"
keys = true
[serve.routes.cheap]
policy = "threshold"
knob = 0.3
passthrough = "strong"
max_cost_usd = 0.01
"""


def found(folder: Path, *edits: tuple[str, str], serve: str = SERVE) -> dict[tuple[str, str], Finding]:
    """The findings about the gateway by what they are about, after edits of the file."""
    for old, new in edits:
        assert old in serve
        serve = serve.replace(old, new)
    table = ("[scorers.prm]", f"{serve.replace('{folder}', str(folder))}[scorers.prm]")
    findings = diagnose(folder, Patient(), table)
    return {(each.backend, each.check): each for each in findings if each.backend.startswith(("serve", "route"))}


def prepared(place: Path | str, *, with_key: bool) -> None:
    """A database, by its address or as a file in a folder, with a tenant."""

    async def work() -> None:
        store = await open_store(place if isinstance(place, str) else f"sqlite:///{place}/gateway.db")
        await store.tenants.create("research")
        if with_key:
            await store.tenants.new_key("research", "notebook")
        await store.close()

    asyncio.run(work())


def test_a_sound_gateway_has_no_remedies(tmp_path: Path) -> None:
    prepared(tmp_path, with_key=True)
    findings = found(tmp_path)
    assert [each for each in findings.values() if each.severity is not Severity.OK] == []
    assert findings["serve", "database"].seen.endswith("schema 0006")
    assert findings["serve.routes.cheap", "passthrough"].seen == "strong: text; refuses tools, images, JSON"
    assert findings["serve.routes.cheap", "money limit"].seen == "0.01 dollars per request"


def test_without_the_table_nothing_is_said_of_it(tmp_path: Path) -> None:
    assert ("serve", "database") not in found(tmp_path, serve="")


def test_a_database_that_is_not_there_is_neither_an_error_nor_made(tmp_path: Path) -> None:
    findings = found(tmp_path)
    assert "will be created" in findings["serve", "database"].seen
    assert not (tmp_path / "gateway.db").exists()


@pytest.mark.parametrize(("with_key", "seen"), [(False, "no tenant has a key"), (True, "1 tenants")])
def test_a_gateway_that_needs_keys_has_one(tmp_path: Path, with_key: bool, seen: str) -> None:
    prepared(tmp_path, with_key=with_key)
    assert seen in found(tmp_path)["serve", "keys"].seen


@pytest.mark.parametrize(
    ("edits", "about", "severity", "remedy"),
    [
        ([("sqlite:///{folder}", "sqlite:////nowhere")], ("serve", "database"), "failed", "Create the folder"),
        ([("sqlite:///{folder}/gateway.db", "mysql://x/y")], ("serve", "database"), "failed", "postgresql://"),
        ([("database =", "database_env = 'NO_SUCH_URL'\ndatabase =")], ("serve", "database"), "failed", "Set it"),
        (
            [("sqlite:///{folder}/gateway.db", "postgresql://u:secret@127.0.0.1:9/d")],
            ("serve", "database"),
            "failed",
            "Check that it runs",
        ),
        ([("threshold", "nosuch")], ("serve.routes.cheap", "route"), "failed", "Use one of"),
        ([('"strong"', '"nobody"')], ("serve.routes.cheap", "route"), "failed", "Describe [models.nobody]"),
        ([("knob = 0.3", "strategy = 'automix'")], ("serve.routes.cheap", "route"), "failed", "another rule"),
        (
            [("knob = 0.3", 'knob = 0.3\ntools = "route"')],
            ("serve.routes.cheap", "route"),
            "failed",
            'set tools = "passthrough"',
        ),
        ([("max_cost_usd = 0.01\n", "")], ("serve.routes.cheap", "money limit"), "warning", "Set max_cost_usd below"),
    ],
)
def test_a_planted_mistake_is_found(
    tmp_path: Path,
    edits: list[tuple[str, str]],
    about: tuple[str, str],
    severity: str,
    remedy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_SUCH_URL", raising=False)
    finding = found(tmp_path, *edits)[about]
    assert finding.severity == severity
    assert remedy in finding.remedy
    assert "secret" not in finding.seen


def test_keys_need_prices(tmp_path: Path) -> None:
    findings = diagnose(
        tmp_path,
        Patient(),
        ("price = { input = 1, output = 2 }\n", ""),
        ("[scorers.prm]", f"{SERVE.replace('{folder}', str(tmp_path))}[scorers.prm]"),
    )
    (finding,) = [each for each in findings if (each.backend, each.check) == ("serve", "prices")]
    assert finding.severity is Severity.FAILED
    assert finding.remedy.startswith("Set price")
    assert "max-usd" not in finding.remedy


def test_an_unknown_schema_is_refused(tmp_path: Path) -> None:
    prepared(tmp_path, with_key=False)
    with sqlite3.connect(tmp_path / "gateway.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    finding = found(tmp_path)["serve", "database"]
    assert finding.severity is Severity.FAILED
    assert "9999" in finding.seen


def test_postgresql_is_asked_for_its_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = PostgresServer()
    try:
        server.sql("CREATE DATABASE gateway")
        monkeypatch.setenv("GATEWAY_URL", server.url("gateway"))
        edit = ('database = "sqlite:///{folder}/gateway.db"', 'database_env = "GATEWAY_URL"')
        empty = found(tmp_path, edit)["serve", "database"]
        assert (empty.severity, "schema empty" in empty.seen) == (Severity.WARNING, True)
        prepared(server.url("gateway"), with_key=True)
        migrated = found(tmp_path, edit)
        assert migrated["serve", "database"].severity is Severity.OK
        assert migrated["serve", "keys"].seen == "1 tenants"
    finally:
        server.stop()
