import { list, members, text } from './json.js';

/** Names of problems: the endpoint's own, and four that the client adds. */
export type ProblemName =
  | 'invalid-request'
  | 'unauthenticated'
  | 'identity-not-mapped'
  | 'user-not-provisioned'
  | 'message-not-found'
  | 'message-gone'
  | 'route-not-found'
  | 'method-not-allowed'
  | 'payload-too-large'
  | 'unsupported-media-type'
  | 'throttled'
  | 'misconfigured'
  | 'internal-error'
  | 'upstream-failure'
  | 'upstream-unavailable'
  | 'upstream-timeout'
  /** A gateway or a firewall in front of the endpoint refused the request. */
  | 'forbidden'
  /** There was no HTTP response. In a browser, a response without CORS headers counts as none. */
  | 'network-error'
  /** The response did not come from the endpoint. */
  | 'unexpected-response'
  /** The token function of the app failed, hung, or did not return a bearer token. */
  | 'token-error';

/** What is wrong with one field of the request. */
export interface FieldError {
  field: string;
  detail: string;
}

// A gateway's own responses have no problem type, or another one.
const BY_STATUS: Record<number, ProblemName> = {
  400: 'invalid-request',
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'route-not-found',
  429: 'throttled',
  500: 'internal-error',
  502: 'upstream-failure',
  503: 'upstream-unavailable',
  504: 'upstream-timeout',
};

/** A request failed, or the endpoint reported a problem with one message. */
export class MessageStatusError extends Error {
  override readonly name = 'MessageStatusError';
  /** Names that a later version of the endpoint adds are passed on unchanged. */
  readonly problem: ProblemName | (string & {});
  /** The HTTP status, or 0 if there was no response. */
  readonly status: number;
  /** Whether the same request can succeed later. */
  readonly retryable: boolean;
  /** For a report to the operator of the endpoint. */
  readonly requestId: string | undefined;
  /** With `invalid-request`: the fields, and what is wrong with them. */
  readonly errors: FieldError[];
  /** Seconds after which to retry. */
  readonly retryAfter: number | undefined;

  /** `body` is the parsed JSON of the response, or undefined if it was not JSON. `name` replaces that of its type. */
  constructor(status: number, body?: unknown, retryAfter?: number, cause?: unknown, name?: ProblemName) {
    const { type, title, detail, requestId, message, Message, errors } = members(body);
    // REST APIs write `message`, and `Message` when an authorizer denies.
    super(text(detail ?? title ?? message ?? Message) ?? `HTTP ${status}`, { cause });
    this.problem = name || text(type)?.split('urn:problem-type:message-status:')[1] || BY_STATUS[status] || 'unexpected-response';
    this.status = status;
    // A 200 that is not JSON was cut off, or a captive portal sent it.
    this.retryable =
      (status === 200 && body === undefined) ||
      ([0, 408, 425, 429].includes(status) && name !== 'token-error') ||
      (status >= 500 && this.problem !== 'misconfigured');
    this.requestId = text(requestId);
    this.errors = list(errors) as FieldError[];
    this.retryAfter = retryAfter;
  }

  /** An error that no response reported. */
  static of(problem: ProblemName, status: number, cause: unknown): MessageStatusError {
    return new MessageStatusError(status, { title: members(cause).message ?? problem }, undefined, cause, problem);
  }

  /** Like `instanceof`, but also true for an error of another copy of this package. */
  static is(error: unknown): error is MessageStatusError {
    return members(error).name === 'MessageStatusError';
  }
}
