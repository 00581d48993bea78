"""Whether a model writes steps as its configuration says."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

from steproute.backends.http.model_list import names_of
from steproute.config import ConfigFile
from steproute.core.errors import BackendError
from steproute.core.ports import ServedModel, ServerFacts, StepModel
from steproute.core.solution import Draft, Stop
from steproute.doctor.finding import Finding, failed, ok, warning
from steproute.doctor.probe import Prober, asked, probe_of, problem_of
from steproute.doctor.route import reader_of_logprobs

_COMPARED: Final = 20
_SMALL_CONTEXT: Final = 2048
_NO_LIST: Final = "Does base_url end in /v1? Servers without a list of models are fine if they write below."
_WITHOUT: Final = {
    "seed": "runs cannot be repeated",
    "stop": "the stream is closed at the separator",
    "temperature": "the model samples its own way",
    "top_p": "the model samples its own way",
    "stream_options": "tokens are estimated",
}


async def model_findings(config: ConfigFile, role: str) -> AsyncIterator[Finding]:
    """A model's findings, check by check. Raises SteprouteError if it cannot be made or does not answer."""
    name = f"models.{role}"
    writer = config.model(role, {})
    if isinstance(writer.model, ServedModel):
        yield await _listed(config, name, writer.model)
    prober = Prober(config, writer, problem_of(config, probe_of(config).problem))
    began = time.monotonic()
    first = await prober.write()
    seconds = time.monotonic() - began
    yield ok(name, "writes a step", f"{first.usage.output_tokens} tokens in {seconds:.2f} s: {first.text[:40]!r}")
    yield _stops(name, first, _facts(writer.model).ignores_stop)
    if first.stop is not Stop.LENGTH:
        yield await _continues(name, prober, first)
    if first.usage.estimated:
        remedy = "Have the server send usage with streams, or take all costs for estimates."
        yield warning(name, "token counts", "the server reports none", remedy)
    if (facts := _facts(writer.model)).refused:
        yield _refuses(name, facts.refused, facts.omitted)
    reader = reader_of_logprobs(config, role)
    if reader and first.confidence is None:
        remedy = f"Set logprobs = 5; {reader} reads them. Choose another if the server gives none."
        yield failed(name, "log-probabilities", "none came", remedy)
    if writer.price.table == "not set":
        yield warning(name, "price", "not set", f"Set price = {{ input = …, output = … }} below [{name}].")


def _facts(model: StepModel) -> ServerFacts:
    return model.server_facts if isinstance(model, ServedModel) else ServerFacts(model=model.name)


async def _listed(config: ConfigFile, name: str, served: ServedModel) -> Finding:
    model = served.server_facts.model
    try:
        models = await asked(config, name, lambda meter: served.served())
    except BackendError as failure:
        if failure.status in (None, 401, 403):
            raise
        return warning(name, "model", f"no list of models ({failure})", _NO_LIST)
    if not models:
        observation = "the server lists none" if models == {} else "no list of models that can be read"
        return warning(name, "model", observation, _NO_LIST)
    names = names_of(model, models)
    if not names:
        return failed(name, "model", f"{model!r} is not served", f"Set model to one of {', '.join(models)}.")
    context = models[names[0]]
    if context is not None and context < _SMALL_CONTEXT:
        return warning(name, "model", f"context of {context} tokens", "Long solutions will end in context_overflow.")
    return ok(name, "model", f"{model}, context {context or 'unknown'}")


def _refuses(name: str, refused: Sequence[str], omitted: Sequence[str]) -> Finding:
    """What the server refused and what that means, with the line to add."""
    observation = ", ".join(f"{field} ({_WITHOUT[field]})" if field in _WITHOUT else field for field in refused)
    remedy = f"Set omit = {json.dumps(sorted(omitted))} below [{name}], so that nothing is sent twice."
    return warning(name, "request fields", f"refused, and left out: {observation}", remedy)


def _stops(name: str, first: Draft, ignores_stop: bool) -> Finding:
    tokens = first.usage.output_tokens
    if ignores_stop:
        observation = f"{tokens} tokens, and only the first of them are the step: the server ignores the stop string"
        return failed(name, "ends a step", observation, 'Set stop = "client".')
    if first.stop is Stop.LENGTH:
        remedy = "Ask for blank lines between steps in instructions, or for shorter steps."
        return failed(name, "ends a step", f"{tokens} tokens without a separator", remedy)
    return ok(name, "ends a step", first.stop.value)


async def _continues(name: str, prober: "Prober", first: Draft) -> Finding:
    """Whether step 2 after step 1 is what the model writes when it writes both in one go (greedily)."""
    check = "continues a half-written answer"
    if first.stop is not Stop.SEPARATOR:
        return warning(name, check, "the first step ended the solution", "Give [doctor] a longer problem.")
    second = await prober.write(first.text)
    if not second.text.strip():
        remedy = 'The chat template trims the end of the partial answer: set stop = "client", or use completions.'
        return failed(name, check, "an empty step came back", remedy)
    if second.text.split() == first.text.split():
        return failed(name, check, f"it starts over: {second.text[:40]!r}", prober.other_mode)
    if not prober.truly_continues:
        return ok(name, check, f"writes one next step: {second.text[:40]!r}")
    whole = (await prober.write(to_end=True)).text
    expected = " ".join(f"{first.text}\n\n{second.text[:_COMPARED]}".split())
    if not " ".join(whole.split()).startswith(expected):
        return failed(
            name,
            check,
            f"after its own first step it writes {second.text[:40]!r}",
            prober.other_mode,
        )
    return ok(name, check, second.text[:40].strip())
