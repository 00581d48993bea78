"""Every error that steproute raises on purpose: what is wrong, where, and what to do, each as a field."""

from typing import Final, Self

_LASTING: Final = frozenset({401, 403, 404})  # a wrong key, no permission, a wrong address or model


class SteprouteError(Exception):
    """Base of all steproute errors. As text it reads "where: message remedy".

    where: the field, file or backend that is wrong, empty if it is none of them. remedy: what to do, as a sentence.
    role: of the model or scorer that failed, if one did. status: the HTTP status of its server's answer, if any;
    request_id: the server's name for that answer, empty if it gave none.
    """

    role: str | None = None
    status: int | None = None
    request_id: str = ""

    def __init__(self, message: str, *, where: object = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.where, self.remedy = message, str(where), remedy

    def __str__(self) -> str:
        return f"{self.located} {self.remedy}" if self.remedy else self.located

    @property
    def located(self) -> str:
        """Where and what, without the remedy; a sentence if a remedy follows."""
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}." if self.remedy and not text.endswith((".", "?", "!")) else text

    def inside(self, place: object, joint: str = ": ") -> Self:
        """The same error with `place` before its `where`."""
        self.where = f"{place}{joint}{self.where}" if self.where else str(place)
        return self

    @property
    def is_lasting(self) -> bool:
        """Whether it says that the key, the address or the model is wrong, which no waiting mends."""
        return self.status in _LASTING


class ConfigError(SteprouteError):
    """A setting, argument or name is wrong."""


class RequestError(ConfigError):
    """A field of a chat request is wrong: who sent it has to mend it, not who set up the model."""


class BackendError(SteprouteError):
    """A model backend could not answer."""


class TransientError(BackendError):
    """A backend error that may pass; `retry_after_s` is how long the backend asked to wait, if it did."""

    def __init__(
        self, message: str, retry_after_s: float | None = None, *, where: object = "", remedy: str = ""
    ) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.retry_after_s = retry_after_s


class BackendUnavailable(TransientError):
    """The backend cannot be reached, answered with a server error, or broke off in the middle of its answer."""


class CircuitOpen(BackendUnavailable):
    """The backend failed so often in a row that it is not asked for a while: this call was not made.

    failed_probes: calls that have since been let through, one at a time, and failed as well.
    """

    def __init__(self, message: str, retry_after_s: float, failed_probes: int, *, where: object = "") -> None:
        super().__init__(message, retry_after_s, where=where)
        self.failed_probes = failed_probes


class BackendTimeout(TransientError):
    """The backend did not answer in time."""


class RateLimited(TransientError):
    """The backend asked for fewer requests."""


class ContinuationUnsupported(BackendError):
    """The backend cannot continue a half-written answer in the declared mode."""


class FieldRefused(BackendError):
    """The backend refuses fields of the request, which are `fields`."""

    def __init__(self, message: str, fields: tuple[str, ...], *, where: object = "") -> None:
        super().__init__(message, where=where)
        self.fields = fields


class ContextOverflow(BackendError):
    """The prompt and the prefix leave no room for another token.

    context_tokens, prompt_tokens: what the context holds and the prompt takes, if the backend says so.
    """

    def __init__(self, message: str, context_tokens: int | None = None, prompt_tokens: int | None = None) -> None:
        super().__init__(message)
        self.context_tokens, self.prompt_tokens = context_tokens, prompt_tokens


class TooFewTokens(BackendError):
    """The backend can write nothing within the tokens that the call may take."""


class ScorerError(SteprouteError):
    """A step scorer could not score."""


class EnvironmentFailed(BackendError):
    """An environment could not answer a step."""


class BudgetExceeded(SteprouteError):
    """A problem's budget of tokens, dollars or calls is spent."""


class SpendingLimitReached(SteprouteError):
    """The next call could exceed the spending limit of the whole command."""


class TokenLimitReached(SpendingLimitReached):
    """The next call of a scorer could exceed what all scorers together may generate."""


class DatasetError(SteprouteError):
    """A data set, problem or trace file is missing or malformed."""


class DownloadError(SteprouteError):
    """A data set could not be downloaded, or is not the requested one."""


class ArtifactError(SteprouteError):
    """Shipped or trained weights, or a policy file, are missing or malformed."""


class StorageError(SteprouteError):
    """A file could not be opened or written: the disk is full, or the folder is read-only."""

    @classmethod
    def of(cls, path: object, failure: OSError) -> "StorageError":
        """The operating system's refusal in one line, with what to do."""
        reason = failure.strerror or type(failure).__name__
        return cls(
            f"{reason}. Everything that was finished is kept.",
            where=path,
            remedy="Free some space or make the folder writable. The same command continues where this one stopped.",
        )
