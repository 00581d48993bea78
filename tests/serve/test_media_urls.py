"""A request has no model server fetch what only the operator's own network may."""

from typing import Any

import pytest
from tests.serve.test_configuration_errors import answered

from steproute.config.gateway import ServeSettings
from steproute.core.errors import ConfigError
from steproute.serve.errors import ApiError
from steproute.serve.media_urls import check_media_urls

USUAL = ServeSettings().media_urls
REFUSED = (
    "http://example.com/a.png",
    "file:///etc/passwd",
    "FILE:/etc/passwd",
    "ftp://example.com/a",
    "gopher://example.com/",
    "/etc/passwd",
    "//example.com/a.png",
    "https://localhost/a",
    "https://LOCALHOST./a",
    "https://metadata.google.internal/a",
    "https://printer.local/a",
    "https://db.prod.svc/a",
    "https://api.prod.svc.cluster.local/a",
    "https://gateway/a",
    "https://127.0.0.1/a",
    "https://127.1/a",
    "https://2130706433/a",
    "https://0x7f000001/a",
    "https://0177.0.0.1/a",
    "https://0x7f.1/a",
    "https://10.0.0.8/a",
    "https://172.16.3.4:8080/a",
    "https://192.168.1.1/a",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/a",
    "https://0.0.0.0/a",
    "https://224.0.0.1/a",
    "https://[::1]/a",
    "https://[fe80::1]/a",
    "https://[fd00::1]/a",
    "https://[::ffff:127.0.0.1]/a",
    "https://[2002:7f00:1::]/a",
    "https://example.com@127.0.0.1/a",
    "https://example.com\\@127.0.0.1/a",
    "https://127。0。0。1/a",
    "https://example.com/a b",
    "\thttps://127.0.0.1/a",
    "https://",
    "https://[/a",
)
TAKEN = (
    "data:image/png;base64,AAAA",
    "DATA:image/png;base64,AAAA",
    "https://example.com/a.png?b=c#d",
    "HTTPS://Example.COM:8443/a",
    "https://8.8.8.8/a.png",
    "https://[2606:4700::1111]/a",
)


def check(part: dict[str, Any], allowed: tuple[str, ...] = USUAL) -> None:
    check_media_urls([{"role": "user", "content": [part]}], allowed)


@pytest.mark.parametrize("url", REFUSED)
def test_what_leads_inside_is_refused_by_name(url: str) -> None:
    with pytest.raises(ApiError) as failure:
        check({"type": "image_url", "image_url": {"url": url}})
    assert (failure.value.status, failure.value.param) == (400, "messages[0].content[0]")


@pytest.mark.parametrize("url", TAKEN)
def test_what_is_public_is_taken(url: str) -> None:
    check({"type": "image_url", "image_url": {"url": url}})


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": "file:///etc/passwd"},
        {"image_url": {"url": "http://127.0.0.1/"}},
        {"type": "video_url", "video_url": {"url": "http://127.0.0.1/"}},
        {"type": "image", "image": "file:/etc/passwd"},
        {"type": "image", "source": {"type": "url", "url": "https://10.0.0.1/"}},
        {"type": "file", "file": {"file_data": "http://10.0.0.1/"}},
        {"type": "text", "text": "a", "image_url": {"url": "http://127.0.0.1/"}},
        {"type": "invented", "anything": [{"deep": "http://127.0.0.1/"}]},
    ],
)
def test_an_address_is_found_wherever_a_part_holds_it(part: dict[str, Any]) -> None:
    with pytest.raises(ApiError):
        check(part)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "see http://127.0.0.1/"},
        {"type": "image", "source": {"type": "base64", "data": "AAAA"}},
        {"type": "search_result", "source": "http://127.0.0.1/", "content": []},
        {"type": "file", "file": {"file_data": "AAAA", "filename": "Note: a.pdf"}},
    ],
)
def test_what_nobody_fetches_is_no_address(part: dict[str, Any]) -> None:
    check(part)


def test_a_setting_allows_more_or_less() -> None:
    inside: dict[str, Any] = {"type": "image_url", "image_url": {"url": "http://images.internal/a.png"}}
    check(inside, ("data:", "http://images.internal/"))
    for url in ("http://images.internal.evil.example/a", "http://images.internal/../x"):
        with pytest.raises(ApiError):
            check({"type": "image_url", "image_url": {"url": url}}, ("data:", "http://images.internal/"))
    for url in TAKEN:
        with pytest.raises(ApiError):
            check({"type": "image_url", "image_url": {"url": url}}, ())


@pytest.mark.parametrize("start", ["https", "http://images.internal", "", "://"])
def test_a_setting_that_is_no_beginning_is_an_error(start: str) -> None:
    with pytest.raises(ConfigError, match="beginning"):
        ServeSettings(media_urls=(start,))


def test_the_gateway_refuses_it_with_status_400(tmp_path: Any) -> None:
    part = {"type": "image_url", "image_url": {"url": "https://169.254.169.254/"}}
    answer = answered(tmp_path, lambda gateway: None, model="strong", messages=[{"role": "user", "content": [part]}])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages[0].content[0]")
