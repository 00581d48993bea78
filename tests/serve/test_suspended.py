"""What the clients of a suspended tenant get."""

import asyncio
from dataclasses import replace

import httpx2
from tests.serve.running import PROBLEM

from steproute.config import read_setup
from steproute.serve.app import application

ASK = {"model": "default", "messages": [{"role": "user", "content": PROBLEM}], "seed": 1}


def test_requests_of_a_suspended_tenant_are_403_in_both_shapes(database: str) -> None:
    asyncio.run(asked(database))


async def asked(database: str) -> None:
    setup = read_setup(None)
    setup = replace(setup, gateway=replace(setup.gateway, serve=replace(setup.gateway.serve, keys=True)))
    app = application(setup, database)
    async with app.router.lifespan_context(app):
        tenants = app.state.gateway.store.tenants
        await tenants.create("acme")
        headers = {"authorization": f"Bearer {await tenants.new_key('acme', 'k')}"}
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
            await tenants.suspend("acme")
            refused = await client.post("/v1/chat/completions", json=ASK)
            error = refused.json()["error"]
            assert (refused.status_code, error["type"], error["code"]) == (403, "permission_error", "tenant_suspended")
            assert "suspended" in error["message"]
            other = (await client.post("/v1/messages", json={**ASK, "max_tokens": 9})).json()
            assert (other["type"], other["error"]["type"]) == ("error", "permission_error")
            assert (await client.get("/v1/models", headers={"authorization": "Bearer no"})).status_code == 401
            await tenants.suspend("acme", False)
            assert (await client.post("/v1/chat/completions", json=ASK)).status_code == 200
