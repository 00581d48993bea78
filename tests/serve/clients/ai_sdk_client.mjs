import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, streamText, tool } from "ai";

const given = JSON.parse(process.env.GIVEN);
const { timeout, maxRetries } = given.settings;
const provider = createOpenAICompatible({ name: "steproute", baseURL: given.v1, apiKey: given.key, includeUsage: true });
const asked = { model: provider(given.model), prompt: given.text, ...given.fields };
if (maxRetries !== undefined) asked.maxRetries = maxRetries;
if (timeout !== undefined) asked.abortSignal = AbortSignal.timeout(timeout);

const actions = {
  async chat() {
    const { text, response } = await generateText({ ...asked, include: { responseBody: true } });
    return { text, outcome: response.body.steproute.outcome };
  },
  async stream() {
    const pieces = [];
    const result = streamText(asked);
    for await (const piece of result.textStream) pieces.push(piece);
    return { pieces, tokens: (await result.usage).outputTokens };
  },
  async tool() {
    const { name, description, parameters } = given.tool;
    const tools = { [name]: tool({ description, inputSchema: jsonSchema(parameters) }) };
    const [call] = await streamText({ ...asked, tools }).toolCalls;
    return { name: call.toolName, arguments: call.input };
  },
  async leave() {
    const leaving = new AbortController();
    for await (const piece of streamText({ ...asked, abortSignal: leaving.signal }).textStream) {
      leaving.abort();
      return { text: piece };
    }
  },
};

const report = await actions[given.action]().catch((failure) => {
  const last = failure.lastError ?? failure;
  return { error: failure.name, status: last.statusCode ?? null, code: last.data?.error?.code ?? null };
});
console.log(JSON.stringify(report));
