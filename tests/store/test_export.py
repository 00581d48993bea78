"""What an export of a gateway's store holds is what the ledger says."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.evaluation.exported import read_table
from tests.evaluation.test_tables import LEDGER
from tests.store.conftest import Clock
from tests.store.requests import PRICE, line
from tests.store.test_traces import trace
from typer.testing import CliRunner, Result

from steproute import Run
from steproute.cli.main import app
from steproute.evaluation.export import Format
from steproute.store import LedgerRow, Principal, Selection, Store, open_store

DAY_S = 86400


def filled(url: str, clock: Clock) -> None:
    """Two tenants, two routes and two days: one request of each, with a trace and two lines."""

    async def fill() -> None:
        store = await open_store(url, clock=clock)
        for tenant in ("acme", "zoo"):
            await store.tenants.create(tenant)
        for day in (26, 27):
            for tenant in ("acme", "zoo"):
                for route in ("auto", "cheap"):
                    await answer(store, f"{tenant}-{route}-{day}", tenant, route)
            clock.now_s += DAY_S
        await store.close()

    asyncio.run(fill())


async def answer(store: Store, name: str, tenant: str, route: str) -> None:
    asked = {"request_id": name, "route": route, "usd": Decimal(1), "tokens": 100, "prices": {"weak": PRICE}}
    reservation = await store.ledger.reserve(Principal(tenant=tenant, key_id="k"), **asked)
    await store.traces.keep(name, tenant, replace(trace(), problem_id=name))
    account = [line("0.000000000001"), line("0.02", role="strong")]
    await reservation.close(account, baseline_usd=Decimal("0.05"))


def steproute(url: str, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [*words, "--database", url])
    assert result.exit_code == code, result.output
    return result


@pytest.mark.parametrize(
    ("words", "requests"),
    [
        ([], 8),
        (["--tenant", "acme"], 4),
        (["--route", "cheap"], 4),
        (["--first", "2026-11-27"], 4),
        (["--tenant", "zoo", "--route", "auto", "--last", "2026-11-26"], 1),
        (["--tenant", "nobody"], 0),
    ],
)
def test_the_lines_of_a_selection_add_up_to_its_savings(
    url: str, clock: Clock, tmp_path: Path, words: list[str], requests: int
) -> None:
    filled(url, clock)
    result = steproute(url, "export", "--to", "csv", "--out", str(tmp_path / "out"), *words)
    rows = read_table(LEDGER, tmp_path / "out/tables/ledger.csv")
    spent = json.loads(steproute(url, "savings", "--json", *words).stdout)["total"]
    assert len(rows) == 2 * requests
    assert sum((row.cost_usd for row in rows), Decimal(0)) == Decimal(spent["spent_usd"])
    assert spent["requests"] == len(Run.load(tmp_path / "out").traces) == requests
    assert f"{requests} traces, {2 * requests} lines" in result.stderr


@pytest.mark.parametrize("kind", get_args(Format))
def test_an_export_is_the_folder_of_a_run(tmp_path: Path, clock: Clock, kind: str) -> None:
    url, out = f"sqlite:///{tmp_path / 'store.db'}", tmp_path / "out"
    filled(url, clock)
    words = ("export", "--to", kind, "--out", str(out))
    paths = [Path(each) for each in steproute(url, *words).stdout.split()]
    assert sorted(paths) == sorted(each for each in out.rglob("*") if each.is_file())
    run = Run.load(out)
    assert [each.problem_id for each in run.problems][:2] == ["acme-auto-26", "acme-cheap-26"]
    assert sum((call.cost_usd for call in run.calls), Decimal(0)) == Decimal("0.08")
    first = read_table(LEDGER, out / f"tables/ledger.{kind}")[0]
    assert (first.request_id, first.day, first.cost_usd) == ("acme-auto-26", "2026-11-26", Decimal("1e-12"))
    assert (first.input_price, first.cache_read_price) == (1, Decimal("0.1"))
    steproute(url, *words, "--force")
    again = CliRunner().invoke(app, [*words, "--database", url])
    assert "exists. Overwrite it with --force" in str(again.exception)


class Watching:
    """Settles another call while lines are exported."""

    def __init__(self, settle: Any) -> None:
        self._settle, self.rows, self.kept = settle, list[LedgerRow](), list[bytes]()

    def lines(self, rows: Sequence[LedgerRow]) -> None:
        self.rows += rows
        if len(self.rows) == len(rows):
            self._settle()

    def traces(self, encoded: Sequence[bytes]) -> None:
        self.kept += encoded


def test_what_is_settled_meanwhile_is_not_in_the_export(url: str, clock: Clock) -> None:
    filled(url, clock)

    def settle() -> None:
        async def settle_one() -> None:
            other = await open_store(url, clock=clock)
            await answer(other, "zzz", "zoo", "auto")
            await other.close()

        with asyncio.Runner() as runner:
            runner.run(settle_one())

    async def use() -> None:
        store = await open_store(url, clock=clock)
        watching = Watching(lambda: in_thread(settle))
        exported = await store.export(Selection(), watching)
        assert (exported.lines, exported.traces) == (16, 8) == (len(watching.rows), len(watching.kept))
        assert exported.lines_usd == exported.spent_usd
        assert (await store.export(Selection(), Watching(lambda: None))).lines == 18
        await store.close()

    asyncio.run(use())


def in_thread(work: Any) -> None:
    from threading import Thread

    thread = Thread(target=work)
    thread.start()
    thread.join()


def test_a_run_and_a_gateway_are_not_mixed(tmp_path: Path) -> None:
    for words, message in (
        (["--to", "csv"], "run: is missing"),
        (["runs/a", "--to", "csv", "--tenant", "acme"], "tenant: is for a gateway"),
    ):
        result = CliRunner().invoke(app, ["export", *words])
        assert message in str(result.exception)
