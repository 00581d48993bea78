import OpenAI from "openai";

const given = JSON.parse(process.env.GIVEN);
const client = new OpenAI({ baseURL: given.v1, apiKey: given.key, ...given.settings });
const asked = { model: given.model, messages: [{ role: "user", content: given.text }], ...given.fields };

const actions = {
  async chat() {
    const reply = await client.chat.completions.create(asked);
    return { text: reply.choices[0].message.content, outcome: reply.steproute.outcome };
  },
  async stream() {
    const pieces = [];
    for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
      if (chunk.choices[0]?.delta.content) pieces.push(chunk.choices[0].delta.content);
    }
    return { pieces };
  },
  async tool() {
    const tools = [{ type: "function", function: given.tool }];
    const reply = await client.chat.completions.stream({ ...asked, tools }).finalChatCompletion();
    const [call] = reply.choices[0].message.tool_calls;
    return { name: call.function.name, arguments: JSON.parse(call.function.arguments) };
  },
  async responses() {
    const reply = await client.responses.stream({ model: given.model, input: given.text, ...given.fields }).finalResponse();
    return { text: reply.output_text };
  },
  async completions() {
    const reply = await client.completions.create({ model: given.model, prompt: given.text, ...given.fields });
    return { text: reply.choices[0].text };
  },
  async leave() {
    for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
      if (chunk.choices[0]?.delta.content) return { text: chunk.choices[0].delta.content };
    }
  },
};

const report = await actions[given.action]().catch((failure) => ({
  error: failure.constructor.name,
  status: failure.status ?? null,
  code: failure.code ?? null,
}));
console.log(JSON.stringify(report));
