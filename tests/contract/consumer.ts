// A front end that has nothing but the generated types: it compiles only if they are the right ones.

import type { components, operations } from "./message-status.js";

type Schemas = components["schemas"];
type Query = operations["getMessageStatus"]["parameters"]["query"];
type Answers = operations["getMessageStatuses"]["responses"];

export const query: Query = { channelArn: "arn:…", messageId: "m", wait: 20 };
export const request: Schemas["MessageStatusesRequest"] = {
  messages: [{ channelArn: "arn:…", messageId: "m", subChannelId: "s" }],
};
// @ts-expect-error A misspelt name is no parameter.
export const misspelt: Query = { channelArn: "arn:…", messageId: "m", subChannelID: "s" };
// @ts-expect-error Which message, has to be said.
export const incomplete: Query = { channelArn: "arn:…" };

export function lines(answer: Answers[200]["content"]["application/json"]): string[] {
  return answer.results.map((result) => {
    if ("problem" in result) {
      return `${result.messageId}: ${text(result.problem)}`;
    }
    const { messageId, status, detail }: { messageId: string; status: string; detail?: string } = result;
    return `${messageId}: ${status} ${detail ?? ""}`;
  });
}

export function text(problem: Answers[400]["content"]["application/problem+json"]): string {
  switch (problem.type) {
    case "urn:problem-type:message-status:invalid-request":
      return (problem.errors ?? []).map(({ field, detail }) => `${field}: ${detail}`).join("\n");
    // @ts-expect-error There is no such problem.
    case "urn:problem-type:message-status:not-in-the-document":
      return "";
    default:
      return `${problem.status} ${problem.title}: ${problem.detail} (${problem.requestId})`;
  }
}

export const seconds = (answer: Answers[429]): number | undefined => answer.headers["retry-after"];
