import { App } from './app.js';

const WORDS = { SENT: 'Sent', FAILED: 'Failed', DENIED: 'Denied', NOT_KEPT: 'Not sent' };

const settings = await (await fetch('settings.json')).json();
const flow = document.getElementById('flow');
const news = document.getElementById('news');

flow.addEventListener('input', () => {
  const { outcome, delay, seconds } = flow.elements;
  seconds.value = `${delay.value} s`;
  delay.disabled = outcome.value === 'PENDING';
});
flow.addEventListener('submit', (event) => event.preventDefault());

for (const user of settings.users) show(user);

/** One user's side of the page. */
function show(user) {
  const section = stamp('app');
  const [heading, messages, error, form] = ['h2', 'ol', '.error', '.write'].map((name) => section.querySelector(name));
  const [connection, state] = section.querySelectorAll('.switch input, .state');
  const [text] = form.elements;
  heading.textContent = user.name;
  section.setAttribute('aria-label', user.name);
  messages.setAttribute('aria-label', `What ${user.name} sees`);
  connection.setAttribute('aria-label', `${user.name}’s websocket`);
  text.setAttribute('aria-label', `Message from ${user.name}`);
  text.placeholder = `Write as ${user.name}`;

  const items = new Map();
  const app = new App(settings, user, {
    connection(open) {
      connection.checked = open;
      state.textContent = open ? 'open' : 'cut';
      section.classList.toggle('cut', !open);
      news.textContent = `${user.name}’s websocket is ${state.textContent}.`;
    },
    message(message) {
      if (!items.has(message.id)) {
        items.set(message.id, messages.appendChild(item(message, user)));
        messages.scrollTop = messages.scrollHeight;
      }
      if (message.own) update(items.get(message.id), message, user);
    },
  });

  connection.addEventListener('change', () => (connection.checked ? app.connect() : app.cut()));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const { outcome, delay } = flow.elements;
    const sent = text.value;
    form.reset();
    error.textContent = '';
    try {
      await app.send(sent, { outcome: outcome.value, afterMs: 1000 * delay.value });
    } catch (failure) {
      error.textContent = `“${sent}” was not sent: ${failure.message}`;
    }
  });

  document.getElementById('apps').append(section);
  app.connect();
}

function item({ own, sender, text }, user) {
  const item = stamp(own ? 'own' : 'other');
  item.querySelector('.text').textContent = text;
  if (!own) {
    const { name } = settings.users.find(({ arn }) => arn === sender);
    item.querySelector('.from').textContent = name;
    news.textContent = `${user.name} hears from ${name}: “${text}”`;
  }
  return item;
}

/** Shows what is known of a user's own message without and with the endpoint. */
function update(item, { text, alone, asked, notKept, trouble }, user) {
  const statuses = [alone.status, notKept && asked.status === 'PENDING' ? 'NOT_KEPT' : asked.status];
  // A status of tomorrow is undecided, as far as this page knows.
  const words = statuses.map((status) => WORDS[status] ?? 'Pending');
  item.querySelectorAll('dd').forEach((shown, i) => {
    shown.dataset.status = statuses[i];
    shown.textContent = words[i];
  });
  item.querySelector('.note').textContent =
    trouble ?? (statuses[1] === 'NOT_KEPT' ? 'Not found: Chime keeps no denied message.' : '');
  const said = `${user.name}, “${text}”: ${words[0]} by the websocket alone, ${words[1]} with this endpoint.`;
  if (item.dataset.said !== said) news.textContent = item.dataset.said = said;
}

function stamp(name) {
  return document.getElementById(name).content.firstElementChild.cloneNode(true);
}
