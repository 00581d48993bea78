"""Every error that steproute raises on purpose; each message says what was wrong, where, and what to do."""


class SteprouteError(Exception):
    """Base of all steproute errors."""


class ConfigError(SteprouteError):
    """A setting, argument or name is wrong."""


class BackendError(SteprouteError):
    """A model backend could not answer."""


class BackendUnavailable(BackendError):
    """The backend cannot be reached or answered with a server error."""


class BackendTimeout(BackendError):
    """The backend did not answer in time."""


class RateLimited(BackendError):
    """The backend asked for fewer requests."""


class ContinuationUnsupported(BackendError):
    """The backend cannot continue a half-written answer in the declared mode."""


class ContextOverflow(BackendError):
    """The prompt and the prefix leave no room for another token."""


class ScorerError(SteprouteError):
    """A step scorer could not score."""


class BudgetExceeded(SteprouteError):
    """A problem's token or money budget is spent."""


class DatasetError(SteprouteError):
    """A data set, problem or trace file is missing or malformed."""


class ArtifactError(SteprouteError):
    """Shipped or trained weights, or a policy file, are missing or malformed."""
