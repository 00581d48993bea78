"""A stream that fails before its first piece is an error with a status, not a stream that holds one."""

import openai
import pytest
from tests.serve.paid_gateway import ASK, PaidGateway


def test_a_stream_that_fails_before_its_first_piece_has_the_status_of_the_failure(paid: PaidGateway) -> None:
    client = paid.gateway.client(paid.keys["open"], max_retries=0)
    with pytest.raises(openai.APIStatusError) as failure:
        client.chat.completions.create(model="broken", messages=ASK, stream=True)
    assert failure.value.status_code == 502
    assert failure.value.code == "upstream_failed"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/completions", {"prompt": "What is 2 + 3?"}),
        ("/responses", {"input": "What is 2 + 3?"}),
        ("/messages", {"messages": ASK, "max_tokens": 50}),
    ],
)
def test_so_it_is_in_every_api(paid: PaidGateway, path: str, fields: dict[str, object]) -> None:
    client = paid.gateway.client(paid.keys["open"], max_retries=0)
    with pytest.raises(openai.APIStatusError) as failure:
        client.post(path, body={"model": "broken", "stream": True, **fields}, cast_to=object)
    assert failure.value.status_code == 502
