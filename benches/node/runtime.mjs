// Lambda's Runtime API, over one connection that is kept. AWS's own client, aws-lambda-ric, compiles
// libcurl when it is installed; this one does less, which is to Node's advantage.

import { Agent, request } from "node:http";
import { handler } from "./handler.mjs";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const base = "/2018-06-01/runtime/invocation";

function call(method, path, body, headers) {
  return new Promise((resolve, reject) => {
    const sent = request({ agent, host, port, method, path, headers }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ headers: response.headers, text: Buffer.concat(chunks).toString() }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

async function serve() {
  const { headers, text } = await call("GET", `${base}/next`);
  const id = headers["lambda-runtime-aws-request-id"];
  const result = await handler(JSON.parse(text));
  // Lambda checks that a response belongs to its invocation.
  const echo = { "lambda-runtime-invocation-id": headers["lambda-runtime-invocation-id"] };
  await call("POST", `${base}/${id}/response`, JSON.stringify(result), echo);
}

async function run() {
  for (;;) await serve();
}

run();
