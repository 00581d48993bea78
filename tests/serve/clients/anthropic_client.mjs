import Anthropic from "@anthropic-ai/sdk";

const given = JSON.parse(process.env.GIVEN);
const client = new Anthropic({ baseURL: given.v1.replace(/\/v1$/, ""), apiKey: given.key, ...given.settings });
const asked = { model: given.model, max_tokens: 500, messages: [{ role: "user", content: given.text }], ...given.fields };

const actions = {
  async chat() {
    const reply = await client.messages.create(asked);
    return { text: reply.content[0].text, outcome: reply.steproute.outcome };
  },
  async stream() {
    const pieces = [];
    await client.messages.stream(asked).on("text", (piece) => pieces.push(piece)).finalMessage();
    return { pieces };
  },
  async tool() {
    const { parameters, ...tool } = given.tool;
    const reply = await client.messages.stream({ ...asked, tools: [{ ...tool, input_schema: parameters }] }).finalMessage();
    const call = reply.content.find((block) => block.type === "tool_use");
    return { name: call.name, arguments: call.input };
  },
  async leave() {
    for await (const event of await client.messages.create({ ...asked, stream: true })) {
      if (event.type === "content_block_delta") return { text: event.delta.text };
    }
  },
};

const report = await actions[given.action]().catch((failure) => ({
  error: failure.constructor.name,
  status: failure.status ?? null,
  code: failure.error?.error?.type ?? null,
}));
console.log(JSON.stringify(report));
