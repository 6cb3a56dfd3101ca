import { DefaultWebSocketAdapter } from "amazon-chime-sdk-js";

/**
 * A WebSocketAdapter for servers without TLS. The session of amazon-chime-sdk-js always writes `wss` into
 * its URLs; the signature does not cover the scheme. It is the session's third argument:
 *
 *   new DefaultMessagingSession(configuration, logger, new PlainWebSocketAdapter(logger))
 */
export class PlainWebSocketAdapter extends DefaultWebSocketAdapter {
  create(url, ...rest) {
    super.create(url.replace(/^wss:/, "ws:"), ...rest);
  }
}
