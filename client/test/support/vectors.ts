// Runs the inputs of a test vector, as vectors/README.md describes.
import { answeredAsOf, merge, messageFromWebSocket, type MessageState, type MessageStatus } from 'chime-message-status-client';

export interface Input {
  event?: { type: string; payload: unknown };
  response?: MessageStatus;
  asOf?: number;
}

export interface Vector {
  name: string;
  order?: 'any';
  inputs: Input[];
  state: MessageState;
}

export function run(inputs: Input[]): MessageState | undefined {
  const states: (MessageState | undefined)[] = [undefined];
  for (const { event, response, asOf } of inputs) {
    const known = states.at(-1);
    const news = event ? messageFromWebSocket(event) : asOf === undefined ? response : answeredAsOf(states[asOf], response as MessageStatus);
    states.push(news ? merge(known, news) : known);
  }
  return states.at(-1);
}
