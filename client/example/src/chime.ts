import { ChimeSDKMessagingClient } from '@aws-sdk/client-chime-sdk-messaging';
import {
  ConsoleLogger, DefaultMessagingSession, DefaultWebSocketAdapter, LogLevel, MessagingSessionConfiguration, PrefetchOn,
} from 'amazon-chime-sdk-js';

export interface User {
  name: string;
  arn: string;
  token: string;
}

export interface Settings {
  gateway: string;
  chime: { http: string };
  channelArn: string;
  users: User[];
}

/** A real app gets the user's own credentials from its login. These are the ones of the fake Chime. */
export const createChime = ({ chime }: Settings): ChimeSDKMessagingClient => new ChimeSDKMessagingClient({
  endpoint: chime.http,
  region: 'us-east-1',
  credentials: { accessKeyId: 'AKIDFAKECHIME', secretAccessKey: 'fake-secret' },
});

/** Only for the fake Chime, which has no TLS. */
class PlainWebSocket extends DefaultWebSocketAdapter {
  override create(url: string, protocols: string[], isSignedUrl?: boolean): void {
    super.create(url.replace(/^wss:/, 'ws:'), protocols, isSignedUrl);
  }
}

export function createSession(chime: ChimeSDKMessagingClient, user: User): DefaultMessagingSession {
  const configuration = new MessagingSessionConfiguration(user.arn, null, undefined, chime);
  configuration.prefetchOn = PrefetchOn.Connect;
  const logger = new ConsoleLogger('session', LogLevel.OFF);
  return new DefaultMessagingSession(configuration, logger, new PlainWebSocket(logger));
}
