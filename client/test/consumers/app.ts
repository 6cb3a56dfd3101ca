// Compiled with the types of amazon-chime-sdk-js and of the AWS SDK, for `import` and for `require`.
import type { MessagingSessionObserver } from 'amazon-chime-sdk-js';
import type {
  GetChannelMessageCommandOutput, ListChannelMessagesCommandOutput, SendChannelMessageCommandOutput, UpdateChannelMessageCommandOutput,
} from '@aws-sdk/client-chime-sdk-messaging';
import { MessageStatusClient, MessageTracker, type MessageState, type MessageTrackerOptions } from 'chime-message-status-client';
import { useMessageState, useMessageTracker } from 'chime-message-status-client/react';

declare const sent: SendChannelMessageCommandOutput;
declare const got: GetChannelMessageCommandOutput;
declare const listed: ListChannelMessagesCommandOutput;
declare const updated: UpdateChannelMessageCommandOutput;
declare const maybe: { fetch: typeof fetch | undefined; signal: AbortSignal | undefined };

const client = new MessageStatusClient({ url: 'https://api.example/message-status', token: () => 't', fetch: maybe.fetch });
const tracker = new MessageTracker({ client, user: 'u', storage: () => globalThis.localStorage });
export const observer: MessagingSessionObserver = tracker.observer;
tracker.track(sent);
tracker.track(got);
tracker.track(listed);
tracker.track(updated, { edit: true });
export const result = client.waitForResult({ channelArn: 'c', messageId: 'm' }, { signal: maybe.signal });
export const store: [(listener: () => void) => () => void, () => MessageState | undefined] = [tracker.subscribe, () => tracker.get('m')];
export const hooks: [(options: MessageTrackerOptions) => MessageTracker, (tracker: MessageTracker, id: string) => MessageState | undefined] =
  [useMessageTracker, useMessageState];
