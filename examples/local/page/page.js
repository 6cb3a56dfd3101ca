import { App } from './app.js';

const WORDS = { SENT: 'Sent', FAILED: 'Failed', DENIED: 'Denied', GONE: 'Probably not sent' };
const NOTES = {
  FAILED: 'The channel flow failed.',
  DENIED: 'The channel flow denied it.',
  GONE: 'It was pending and is no longer found: most likely the flow denied it.',
};
/** A list follows new messages if it is scrolled to within this many pixels of its end. */
const AT_END = 24;
/** Announcements that stay in a live region, so a screen reader has time to read them. */
const ANNOUNCEMENTS = 4;

let settings = load();
const flow = document.getElementById('flow');

flow.addEventListener('input', () => {
  const { outcome, delay, seconds } = flow.elements;
  seconds.value = `${delay.value} s`;
  delay.disabled = outcome.value === 'PENDING';
});
flow.addEventListener('submit', (event) => event.preventDefault());

const { users } = await settings;
const [alice] = users.map(show);
const showMe = document.getElementById('show-me');
const steps = document.getElementById('steps');

/** Cuts the sender's WebSocket, sends, lets the flow decide, and connects again. */
showMe.addEventListener('click', async () => {
  if (showMe.ariaDisabled) return;
  showMe.ariaDisabled = 'true';
  try {
    for (const [words, run] of [
      [`${alice.name}’s WebSocket is cut.`, () => alice.app.cut()],
      [`${alice.name} sends a message. The flow decides after a second.`, () => alice.app.send('Can you see this?', { outcome: 'SENT', afterMs: 1000 })],
      ['The flow has decided. The event is lost.', () => pause(2500)],
      [`${alice.name}’s WebSocket is back. Compare the two statuses.`, () => alice.app.connect()],
    ]) {
      steps.textContent = words;
      await run();
      await pause(1200);
    }
  } catch (failure) {
    steps.textContent = `It did not work: ${reason(failure)}`;
    reload();
  } finally {
    showMe.ariaDisabled = null;
  }
});

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The addresses and tokens of the running server. They change when it restarts. */
async function load() {
  const response = await fetch('settings.json', { signal: AbortSignal.timeout(5000) });
  return response.json();
}

function reload() {
  const before = settings;
  settings = load().catch(() => before);
}

/** One user's side of the page. */
function show({ name }) {
  const section = stamp('app');
  const find = (selector) => section.querySelector(selector);
  const [list, newer, form, error, live] = ['ol', '.newer', '.write', '.error', '.live'].map(find);
  const [connection, state] = [find('.switch input'), find('.state')];
  const [text, button] = form.elements;
  find('h2').textContent = name;
  section.setAttribute('aria-label', name);
  list.setAttribute('aria-label', `What ${name} sees`);
  connection.setAttribute('aria-label', `${name}’s WebSocket`);
  text.setAttribute('aria-label', `Message from ${name}`);
  text.placeholder = `Write as ${name}`;
  error.id = `error-${name}`;

  const announce = (words) => {
    const line = document.createElement('span');
    line.textContent = words;
    live.append(line);
    while (live.children.length > ANNOUNCEMENTS) live.firstElementChild.remove();
  };
  const isAtEnd = () => list.scrollHeight - list.scrollTop - list.clientHeight < AT_END;
  const scrollToEnd = () => {
    list.scrollTop = list.scrollHeight;
    newer.hidden = true;
  };
  list.addEventListener('scroll', () => {
    if (isAtEnd()) newer.hidden = true;
  });
  newer.addEventListener('click', () => {
    scrollToEnd();
    list.focus();
  });

  const items = new Map();
  const app = new App(() => settings, name, {
    connection(now) {
      if (now === 'connecting' && state.textContent) reload();
      connection.checked = now !== 'cut';
      if (state.textContent === now) return;
      state.textContent = now;
      section.dataset.connection = now;
      announce(`${name}’s WebSocket is ${now}.`);
    },
    message(message) {
      // Reading is not interrupted: the list follows only if its end is in view.
      const follows = isAtEnd();
      let item = items.get(message.id);
      if (!item) {
        item = list.appendChild(newItem(message));
        items.set(message.id, item);
        if (!message.own) announce(`${nameOf(message.sender)} wrote to ${name}: “${message.text}”`);
        newer.hidden = follows;
      }
      if (message.own) update(item, message, announce);
      if (follows) scrollToEnd();
    },
  });

  connection.addEventListener('change', () => (connection.checked ? app.connect() : app.cut()));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    // The text stays until Chime has the message.
    if (text.readOnly) return;
    text.readOnly = true;
    button.ariaDisabled = 'true';
    const { outcome, delay } = flow.elements;
    const chosen = { outcome: outcome.value, ...(!delay.disabled && { afterMs: 1000 * delay.value }) };
    try {
      await app.send(text.value, chosen);
      form.reset();
      error.textContent = '';
      text.ariaInvalid = null;
      scrollToEnd();
    } catch (failure) {
      reload();
      error.textContent = `Your message was not sent: ${reason(failure)}`;
      text.ariaInvalid = 'true';
      announce(error.textContent);
    } finally {
      text.readOnly = false;
      button.ariaDisabled = null;
    }
  });
  text.setAttribute('aria-describedby', error.id);

  document.getElementById('apps').append(section);
  app.start();
  return { name, app };
}

function reason(failure) {
  if (failure.name === 'TimeoutError') return 'the server does not respond.';
  // Browsers have different texts for a failed `fetch`.
  if (failure instanceof TypeError) return 'the server cannot be reached.';
  return failure.message;
}

function nameOf(arn) {
  return users.find((user) => user.arn === arn)?.name ?? arn;
}

function newItem({ own, sender, text }) {
  const item = stamp(own ? 'own' : 'other');
  item.querySelector('.text').textContent = text;
  if (!own) item.querySelector('.from').textContent = nameOf(sender);
  return item;
}

/** Shows the two states of an own message. */
function update(item, { text, alone, tracked, known }, announce) {
  const statuses = [alone.status, tracked.status];
  // A status that Chime adds later is shown as pending.
  const words = statuses.map((status) => WORDS[status] ?? 'Pending');
  item.querySelectorAll('dd').forEach((shown, i) => {
    shown.dataset.status = statuses[i];
    shown.textContent = words[i];
  });
  const cost = known && `Known ${known.seconds.toFixed(1)} s after the decision, ${known.requests} request${known.requests === 1 ? '' : 's'}.`;
  item.querySelector('.note').textContent = [tracked.detail ?? NOTES[tracked.status], cost].filter(Boolean).join(' ');
  const said = `“${text}”: ${words[0]} by the WebSocket alone, ${words[1]} with this endpoint.`;
  if (item.dataset.said === said) return;
  item.dataset.said = said;
  announce(said);
}

function stamp(name) {
  return document.getElementById(name).content.firstElementChild.cloneNode(true);
}
