"""The HTTP side of Anthropic's Messages API."""

import re
from types import ModuleType
from typing import TYPE_CHECKING, Final

import httpx2

from steproute.backends.http.connection import ServerConnection
from steproute.backends.http.server import Server
from steproute.backends.http.server_errors import ServerErrors
from steproute.core.errors import BackendError, ConfigError, ContinuationUnsupported, FieldRefused

if TYPE_CHECKING:
    import anthropic

_DATE: Final = re.compile(r"-\d{8}$")
_SAMPLING: Final = re.compile(r"temperature|top_p|top_k")


class _AnthropicErrors(ServerErrors):
    def _lasting(self, status: int, message: str, shown: str) -> BackendError:
        """As ServerErrors'; refused continuation, sampling and thinking name the setting to change."""
        if status != 400:
            return super()._lasting(status, message, shown)
        if "prefill" in message.lower():
            return ContinuationUnsupported(
                f"'prefill' is not offered by this model ({self._name}: {shown}).",
                where="continuation",
                remedy="Use 'instruct'.",
            )
        if fields := tuple(dict.fromkeys(_SAMPLING.findall(message))):
            refused = FieldRefused(shown, fields)
            refused.remedy = "Set sampling_fields to those that this model accepts (none from Claude 4.7 on)."
            return refused
        if "thinking" in message:
            return BackendError(
                shown, remedy="Set thinking = 'hide' without thinking_budget if it cannot be switched off."
            )
        return super()._lasting(status, message, shown)


class AnthropicConnection(ServerConnection["anthropic.AsyncAnthropic"]):
    """A connection to a server of the Messages API; raises ConfigError if its client is not installed."""

    models_path = "/v1/models?limit=1000"
    _errors_kind = _AnthropicErrors

    def __init__(self, name: str, server: Server) -> None:
        try:
            import anthropic
        except ModuleNotFoundError:
            raise ConfigError(
                "'anthropic' needs a package that is not installed.",
                where="backend",
                remedy="pip install 'steproute[anthropic]'",
            ) from None
        self._anthropic = anthropic
        super().__init__(name, server)

    @property
    def _package(self) -> ModuleType:
        return self._anthropic

    def _made(self, http: httpx2.AsyncClient) -> "anthropic.AsyncAnthropic":
        return self._anthropic.AsyncAnthropic(
            base_url=self.server.root, api_key=self.key.sent, max_retries=0, timeout=http.timeout, http_client=http
        )

    async def models(self) -> dict[str, int | None] | None:
        """As ServerConnection.models; models whose names end in a date are there without it, too."""
        listed = await super().models()
        return None if listed is None else {_DATE.sub("", name): room for name, room in listed.items()} | listed
