// A front end that has only the generated types. It compiles only if the types are correct.

import type { components, operations } from "./message-status.js";

type Schemas = components["schemas"];
type Query = operations["getMessageStatus"]["parameters"]["query"];
type BatchQuery = NonNullable<operations["getMessageStatuses"]["parameters"]["query"]>;
type Responses = operations["getMessageStatus"]["responses"];
type BatchResponses = operations["getMessageStatuses"]["responses"];

export const query: Query = { channelArn: "arn:…", messageId: "m", wait: 20 };
export const batchQuery: BatchQuery = { wait: 20, until: "any" };
export const request: Schemas["MessageStatusesRequest"] = {
  messages: [{ channelArn: "arn:…", messageId: "m", subChannelId: "s" }],
};
// @ts-expect-error A misspelled name is not a parameter.
export const misspelled: Query = { channelArn: "arn:…", messageId: "m", subChannelID: "s" };
// @ts-expect-error The message is required.
export const incomplete: Query = { channelArn: "arn:…" };
// @ts-expect-error Only a batch has `until`.
export const single: Query = { channelArn: "arn:…", messageId: "m", wait: 20, until: "any" };
// @ts-expect-error `until` is `all` or `any`.
export const unknown: BatchQuery = { wait: 20, until: "some" };

export function lines(response: BatchResponses[200]["content"]["application/json"]): string[] {
  return response.results.map((result) => {
    if ("problem" in result) {
      return `${result.messageId}: ${text(result.problem)}`;
    }
    const { messageId, status, detail }: { messageId: string; status: string; detail?: string } = result;
    return `${messageId}: ${status} ${detail ?? ""}`;
  });
}

export function text(problem: BatchResponses[400]["content"]["application/problem+json"]): string {
  switch (problem.type) {
    case "urn:problem-type:message-status:invalid-request":
      return (problem.errors ?? []).map(({ field, detail }) => `${field}: ${detail}`).join("\n");
    case "urn:problem-type:message-status:message-gone":
      return "Probably not sent";
    // @ts-expect-error There is no such problem type.
    case "urn:problem-type:message-status:not-in-the-document":
      return "";
    default:
      return `${problem.status} ${problem.title}: ${problem.detail} (${problem.requestId})`;
  }
}

export const gone = (response: Responses[410]): string => response.content["application/problem+json"].title;
// @ts-expect-error The problem of one message is in the results of a batch.
export type GoneBatch = BatchResponses[410];

export const seconds = (response: BatchResponses[429]): number | undefined => response.headers["retry-after"];
