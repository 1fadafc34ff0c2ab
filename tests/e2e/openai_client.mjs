// Uses the official client as an application does, and prints what it got as JSON.
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const herding = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "one two three" }];
const got = {};

const models = [];
for await (const model of herding.models.list()) models.push(model.id);
got.models = models;

const chat = await herding.chat.completions.create({ model: "echo", messages });
got.chat = { text: chat.choices[0].message.content, finish: chat.choices[0].finish_reason, usage: chat.usage };

const stream = await herding.chat.completions.create({
  model: "echo", messages, stream: true, stream_options: { include_usage: true },
});
got.stream = { pieces: [], usage: null };
for await (const chunk of stream) {
  const piece = chunk.choices[0]?.delta?.content;
  if (piece) got.stream.pieces.push(piece);
  if (chunk.usage) got.stream.usage = chunk.usage;
}

const prompt = await herding.chat.completions.create({
  model: "prompt:greet", messages: [], variables: { name: "Ada" },
});
got.prompt = prompt.choices[0].message.content;

const completion = await herding.completions.create({ model: "echo", prompt: "plain text" });
got.completion = completion.choices[0].text;

got.errors = {};
for (const [name, call] of Object.entries({
  model: () => herding.chat.completions.create({ model: "ghost", messages }),
  body: () => herding.chat.completions.create({ model: "echo", messages, n: 2 }),
  token: () => new OpenAI({ baseURL, apiKey: "hl_wrong", maxRetries: 0 }).models.list(),
})) {
  try {
    await call();
    got.errors[name] = null;
  } catch (error) {
    got.errors[name] = { kind: error.constructor.name, status: error.status, code: error.code, message: error.message };
  }
}
console.log(JSON.stringify(got));
