// Times and sizes that are not part of the schedule.

/** Maximum number of messages in one request. */
export const BATCH_SIZE = 20;
/** Milliseconds in which messages are gathered for one request. */
export const GATHER = 50;
/** Maximum milliseconds of a wait for new messages. Others often follow soon, and are requested after it. */
export const SHORT_WAIT = 3000;
/** Milliseconds of the longest wait that an endpoint can allow. It cuts waits to its own maximum. */
export const MAX_WAIT = 25_000;
/** Milliseconds after which a connection is considered dead, without and with a wait. */
export const NO_RESPONSE = 15_000;
export const NO_RESPONSE_TO_WAIT = 40_000;
/** Milliseconds after which the token function is considered to hang. */
export const NO_TOKEN = 30_000;
/** Maximum seconds of a retry-after. Timers do not accept any. */
export const MAX_RETRY_AFTER = 3600;

/** Milliseconds over which requests are spread when the WebSocket is lost or back, because many users lose it together. */
export const JITTER = 3000;
/** Maximum number of messages with a result that are remembered. */
export const MAX_RESULTS = 200;
/** Maximum number of messages of others that are remembered in case they turn out to be the user's. */
export const MAX_EARLY = 500;
/** Milliseconds by which an event about an edit can arrive before the response to the edit. */
export const OVERTAKES = 5000;
/** Milliseconds after which Chime gives up a pending message. */
export const LIFETIME = 48 * 3_600_000;
