// Lets the official client call tools until there is a response, and prints what it got as JSON.
import OpenAI from "openai";

const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const places = [];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather at a place.",
    parameters: { type: "object", properties: { location: { type: "string" } }, required: ["location"] },
    parse: JSON.parse,
    function: ({ location }) => {
      places.push(location);
      return `18 degrees in ${location}`;
    },
  },
};
const asked = {
  model,
  messages: [{ role: "user", content: "How is the weather in 'Paris', and in 'Rome'?" }],
  tools: [weather],
};

const whole = await client.chat.completions.runTools(asked).finalContent();

const runner = client.chat.completions.runTools({ ...asked, stream: true });
const pieces = [];
runner.on("content", (piece) => pieces.push(piece));
const streamed = await runner.finalContent();

const picture = await client.chat.completions.create({
  model,
  messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,iVBORw==" } }] }],
  n: 2,
  logprobs: true,
});
console.log(
  JSON.stringify({
    places,
    whole,
    streamed,
    pieces: pieces.length,
    choices: picture.choices.map((choice) => choice.message.content),
    tokens: picture.choices[0].logprobs.content.map((one) => one.token),
  }),
);
