import { SendChannelMessageCommand, UpdateChannelMessageCommand } from '@aws-sdk/client-chime-sdk-messaging';
import { MessageStatusClient, type MessageState, type MessageTracker } from 'chime-message-status-client';
import { useMessageState, useMessageTracker } from 'chime-message-status-client/react';
import { useEffect, useState, type FormEvent } from 'react';
import { createChime, createSession, type Settings, type User } from './chime.js';
import { keepSession } from './session.js';

/** A message that the user wrote. The token makes it safe to send it again. */
interface Draft {
  token: string;
  text: string;
  /** Chime has accepted it. */
  messageId?: string;
  /** It could not be sent. Only then the user can try again: the AWS SDK also retries by itself. */
  failed?: boolean;
}

export function Chat({ settings, user, onLogout }: { settings: Settings; user: User; onLogout: () => void }) {
  const [chime] = useState(() => createChime(settings));
  const [client] = useState(() => new MessageStatusClient({ url: `${settings.gateway}/message-status`, token: () => user.token }));
  const tracker = useMessageTracker({ client, user: user.arn, storage: () => localStorage });
  const [drafts, setDrafts] = useState<ReadonlyMap<string, Draft>>(new Map());
  const channel = { ChannelArn: settings.channelArn, ChimeBearer: user.arn };

  useEffect(() => {
    const session = keepSession(() => createSession(chime, user), tracker.observer);
    session.start();
    return session.stop;
  }, [chime, user, tracker]);

  const put = (draft: Draft) => setDrafts((drafts) => new Map(drafts).set(draft.token, draft));

  async function send({ token, text }: Draft) {
    put({ token, text });
    try {
      const sent = await chime.send(new SendChannelMessageCommand({
        ...channel, Content: text, Type: 'STANDARD', Persistence: 'PERSISTENT', ClientRequestToken: token, Metadata: flow(),
      }));
      tracker.track(sent);
      put({ token, text, messageId: sent.MessageId! });
    } catch {
      put({ token, text, failed: true });
    }
  }

  async function edit({ messageId, text }: Draft) {
    const updated = await chime.send(new UpdateChannelMessageCommand({
      ...channel, MessageId: messageId, Content: `${text} (edited)`, Metadata: flow(),
    }));
    tracker.track(updated, { edit: true });
  }

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const text = new FormData(event.currentTarget).get('text') as string;
    event.currentTarget.reset();
    void send({ token: crypto.randomUUID(), text });
  }

  function logout() {
    tracker.clear();
    onLogout();
  }

  return (
    <main>
      <h1>{user.name}</h1>
      <button onClick={logout}>Log out</button>
      <form onSubmit={submit}><input name="text" aria-label="Message" required /><button>Send</button></form>
      <ul>
        {[...drafts.values()].map((draft) => (
          <Message key={draft.token} draft={draft} tracker={tracker} onRetry={send} onEdit={edit} />
        ))}
      </ul>
    </main>
  );
}

interface MessageProps {
  draft: Draft;
  tracker: MessageTracker;
  onRetry: (draft: Draft) => void;
  onEdit: (draft: Draft) => void;
}

function Message({ draft, tracker, onRetry, onEdit }: MessageProps) {
  const state = useMessageState(tracker, draft.messageId);
  return (
    <li>
      {draft.text} <span role="status">{draft.failed ? 'could not be sent' : words(state)}</span>
      {draft.failed && <button onClick={() => onRetry(draft)}>Send again</button>}
      {state?.status === 'SENT' && <button onClick={() => onEdit(draft)}>Edit</button>}
    </li>
  );
}

const WORDS: Record<string, string> = { SENT: 'sent', FAILED: 'not sent', DENIED: 'not sent', GONE: 'probably not sent' };

export function words(state: MessageState | undefined): string {
  const edit = state?.update && (WORDS[state.update.status] ?? 'pending');
  return (WORDS[state?.status ?? ''] ?? 'pending') + (edit ? `, edit ${edit}` : '');
}

/** What the fake Chime's channel flow does with a message. A real app has nothing like it. */
function flow(): string {
  const query = new URLSearchParams(location.hash.slice(1));
  return JSON.stringify({ flow: { outcome: query.get('outcome') ?? 'SENT', afterMs: Number(query.get('afterMs') ?? 1000) } });
}
