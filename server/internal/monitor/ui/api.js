// The server's pages, as objects.

// home is where the pages are: one level above this file, wherever that is. A
// login in the address is left out, because fetch refuses it; the browser sends
// it anyway.
const home = new URL('..', import.meta.url);
home.username = '';
home.password = '';

// patience is how long an answer may take, in milliseconds.
const patience = 15_000;

// gateway are the answers of a proxy that does not reach the server.
const gateway = [502, 503, 504];

// Trouble says why a page cannot be loaded. Its kind is "lost" if nothing
// answers, "login" if the server wants one, "refused" if it has an objection.
export class Trouble extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

// page asks for a page and returns it. Parameters that are empty are left out.
export async function page(name, params, signal) {
  const url = new URL(name, home);
  for (const [key, value] of Object.entries(params)) {
    if (value !== '') url.searchParams.set(key, value);
  }
  const answer = await ask(url, signal);
  if (answer.status === 401) throw new Trouble('login', 'the server asks for a login');
  if (gateway.includes(answer.status)) throw new Trouble('lost', `status ${answer.status}`);
  if (!answer.ok) throw new Trouble('refused', answer.text.trim().slice(0, 300) || `status ${answer.status}`);
  try {
    return JSON.parse(answer.text);
  } catch {
    throw new Trouble('refused', `what came for ${name} is not its page`);
  }
}

// ask fetches a URL, with its text. It gives up when signal says so, which is an
// AbortError, or after a while.
async function ask(url, signal) {
  const limit = new AbortController();
  const give = () => limit.abort();
  const timer = setTimeout(give, patience);
  signal.addEventListener('abort', give);
  try {
    const answer = await fetch(url, { cache: 'no-store', redirect: 'error', signal: limit.signal });
    return { ok: answer.ok, status: answer.status, text: await answer.text() };
  } catch (err) {
    if (signal.aborted) throw err;
    throw new Trouble('lost', limit.signal.aborted ? 'no answer in time' : err.message);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', give);
  }
}
