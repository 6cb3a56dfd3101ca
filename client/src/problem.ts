/** Why there is no status: the endpoint's own names, and two for what others answer in its place. */
export type ProblemName =
  | 'invalid-request'
  | 'unauthenticated'
  | 'identity-not-mapped'
  | 'user-not-provisioned'
  | 'message-not-found'
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
  /** A gateway or a firewall before the endpoint refused the request. */
  | 'forbidden'
  /** The answer is none that the endpoint gives. */
  | 'unexpected-answer';

/** What is wrong with one field of the request. */
export interface FieldError {
  field: string;
  detail: string;
}

const TYPE = 'urn:problem-type:message-status:';

const BY_STATUS: Record<number, ProblemName> = {
  400: 'invalid-request',
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'route-not-found',
  405: 'method-not-allowed',
  413: 'payload-too-large',
  415: 'unsupported-media-type',
  429: 'throttled',
  500: 'internal-error',
  502: 'upstream-failure',
  503: 'upstream-unavailable',
  504: 'upstream-timeout',
};

/** The endpoint, or something before it, answered with a problem. */
export class MessageStatusError extends Error {
  override readonly name = 'MessageStatusError';
  /** Names that a later version of the endpoint adds are passed on as they are. */
  readonly problem: ProblemName | (string & {});
  /** The HTTP status. */
  readonly status: number;
  readonly title: string;
  readonly detail: string | undefined;
  /** For a report to those who run the endpoint. */
  readonly requestId: string | undefined;
  /** With `invalid-request`: what is wrong with which field. */
  readonly errors: FieldError[];
  /** Seconds after which it is worth trying again. */
  readonly retryAfter: number | undefined;

  /** Reads a problem document, or whatever else came with this status. */
  constructor(status: number, body?: unknown, retryAfter?: number) {
    const document = fields(body);
    const { type, title, detail, requestId, message, errors } = document;
    const heading = text(title) ?? text(message) ?? `HTTP ${status}`;
    super(text(detail) ?? heading);
    this.problem = text(type)?.startsWith(TYPE)
      ? (type as string).slice(TYPE.length)
      : (BY_STATUS[status] ?? 'unexpected-answer');
    this.status = status;
    this.title = heading;
    this.detail = text(detail);
    this.requestId = text(requestId);
    this.errors = (Array.isArray(errors) ? errors : []).map((error) => ({
      field: `${fields(error).field}`,
      detail: `${fields(error).detail}`,
    }));
    this.retryAfter = retryAfter;
  }
}

/** The members of a JSON object; none of anything else. */
export function fields(json: unknown): Record<string, unknown> {
  return json instanceof Object ? (json as Record<string, unknown>) : {};
}

/** A value that is text. */
export function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
