import { MessageStatusClient, MessageTracker } from 'chime-message-status-client';

const client = new MessageStatusClient({ url: '/message-status', token: () => 't' });
document.title = new MessageTracker({ client, user: 'u' }).get('m')?.status ?? 'none';
