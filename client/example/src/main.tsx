import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { Chat } from './Chat.js';
import type { Settings, User } from './chime.js';

function App({ settings }: { settings: Settings }) {
  const [user, setUser] = useState<User>();
  if (user) return <Chat settings={settings} user={user} onLogout={() => setUser(undefined)} />;
  return settings.users.map((user) => <button key={user.arn} onClick={() => setUser(user)}>Log in as {user.name}</button>);
}

const settings = (await (await fetch('settings.json')).json()) as Settings;
createRoot(document.getElementById('root')!).render(<StrictMode><App settings={settings} /></StrictMode>);
