"""DELI: a solution in words and the same solution in tool calls correct each other until they agree."""

from dataclasses import dataclass, replace

from steproute.core.errors import ConfigError
from steproute.core.ports import Needs
from steproute.core.problem import Problem
from steproute.core.solution import Draft
from steproute.core.trace import ToolUse
from steproute.engine.episode import Episode
from steproute.strategies.agreement import agree
from steproute.strategies.deli_prompts import next_action, output_of, revision
from steproute.tools.actions.toolbox import action_in, shared_toolbox

_OUTPUT = "\nOutput:"
_ACTION = "\nAction:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """A_i: actions with their outputs as text, its answer, and the draft that states it, None if an output does."""

    text: str
    answer: str | None
    closing: Draft | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deli:
    """DELI (arXiv 2306.02408) with one model per part, and without retrieved examples.

    initial: the role that writes the first solution. deliberator: the one that corrects it. rounds, actions: most of
    both. tool_s: seconds of CPU time that a tool may take; after them the model writes the output. Raises ConfigError
    for fewer than one.
    """

    initial: str = "weak"
    deliberator: str = "weak"
    rounds: int = 3
    actions: int = 15
    tool_s: float = 10.0

    def __post_init__(self) -> None:
        for name in ("rounds", "actions", "tool_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{getattr(self, name)} is too few.", where=name, remedy="Give more than 0.")

    @property
    def needs(self) -> Needs:
        """Its two roles, and problems with answers that can be compared."""
        return Needs(models=tuple(dict.fromkeys((self.initial, self.deliberator))), answers=True)

    async def solve(self, episode: Episode) -> None:
        """Deliberate by tools and in words until both give one answer, nothing changes, or the rounds are over."""
        find, before = episode.problem.rule.find, ""
        words = await episode.propose(self.initial, episode.start(), to_end=True)  # N_0
        for _ in range(self.rounds):
            tools = await self._by_tools(episode, words.text)  # A_i from Q and N_{i-1}
            revised = await self._ask(episode, revision(episode.problem, words.text, tools.text))  # N_i
            if await agree(episode, tools.answer, find(revised.text)):  # a_i = n_i
                await episode.accept(revised)
                return
            unchanged = tools.text == before and revised.text == words.text
            words, before = revised, tools.text
            if unchanged:
                break
        await episode.accept(words if tools.closing is None else tools.closing)

    async def _by_tools(self, episode: Episode, trial: str) -> Transcript:
        """One action after the other; the model itself gives the output of one that no tool can carry out."""
        text, output = "", None
        for _ in range(self.actions):
            draft = await self._ask(episode, next_action(episode.problem, trial, text), stop=_OUTPUT)
            if (action := action_in(draft.text)) is None:
                answer = episode.problem.rule.find(draft.text)
                return Transcript(text=text + draft.text, answer=answer or output, closing=draft if answer else None)
            use = await self._used(episode, text, action)
            episode.note_tool(use)
            text, output = f"{text}Action: {action}\nOutput: {use.output}\n", use.output
        return Transcript(text=text, answer=output, closing=None)

    async def _used(self, episode: Episode, transcript: str, action: str) -> ToolUse:
        """The action with its output, by its tool or else by the model."""
        output = await shared_toolbox().run(action, self.tool_s)
        if output is not None:
            return ToolUse(action=action, output=output, by="tool")
        draft = await self._ask(episode, output_of(episode.problem, transcript, action), stop=_ACTION)
        return ToolUse(action=action, output=draft.text.strip(), by="model")

    async def _ask(self, episode: Episode, question: Problem, stop: str | None = None) -> Draft:
        """The deliberating role's reply, up to `stop` or to its end."""
        prefix = replace(episode.empty, problem=question, separator=stop or episode.empty.separator)
        return await episode.propose(self.deliberator, prefix, to_end=stop is None)
