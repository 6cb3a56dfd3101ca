// Compiled with the types of amazon-chime-sdk-js and of the AWS SDK, for `import` and for `require`.
import type { MessagingSessionObserver } from 'amazon-chime-sdk-js';
import type {
  GetChannelMessageCommandOutput, ListChannelMessagesCommandOutput, SendChannelMessageCommandOutput,
} from '@aws-sdk/client-chime-sdk-messaging';
import { MessageStatusClient, MessageTracker, type MessageState } from 'chime-message-status-client';

declare const sent: SendChannelMessageCommandOutput;
declare const got: GetChannelMessageCommandOutput;
declare const listed: ListChannelMessagesCommandOutput;
declare const maybe: { fetch: typeof fetch | undefined; signal: AbortSignal | undefined };

const client = new MessageStatusClient({ url: 'https://api.example/message-status', token: () => 't', fetch: maybe.fetch });
const tracker = new MessageTracker({ client, storage: globalThis.localStorage });
export const observer: MessagingSessionObserver = tracker.observer;
tracker.track(sent);
tracker.track(got);
tracker.track(listed);
export const result = client.waitForResult({ channelArn: 'c', messageId: 'm' }, { signal: maybe.signal });
export const store: [(listener: () => void) => () => void, () => MessageState | undefined] = [tracker.subscribe, () => tracker.get('m')];
