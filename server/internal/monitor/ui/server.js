// What the server is and how it is set up: what the line at the top leads to
// where no other section says more.

import { byId, el, keep, setAttribute, setText, show } from './dom.js';
import { bytes, plural, seconds, span, time, visible } from './format.js';

// nanosecond is one in seconds: durations of settings are numbers of them.
const nanosecond = 1e-9;

// facts are what is shown, if there is something to show. codes are the
// conditions of /statusz that are about it.
const facts = [
  { title: 'State', codes: ['lame_duck'], text: (v) => (v.lame_duck_mode ? 'Lame duck mode' : `Running for ${span(v.uptime)}, since ${time(new Date(v.start))}`) },
  { title: 'Configuration', codes: ['reload_failed'], text: (v) => `Read at ${time(new Date(v.config_load_time))}` },
  { title: 'TLS certificate', codes: ['certificate'], text: certificate },
  { title: 'Log', codes: ['log_lines_lost'], text: (v, status) => `${status ? plural(status.recent.log_lines_lost, 'line') : '–'} lost in the last 5 min` },
  { title: 'Clients', codes: [], text: (v) => listening(v.host, v.port, v.also_listen, v.tls_required) },
  { title: 'Cluster', codes: [], text: (v) => (v.cluster.cluster_port ? listening(v.cluster.addr, v.cluster.cluster_port, v.cluster.also_listen, v.cluster.tls_required) : 'None') },
  { title: 'Limits of a client', codes: [], text: (v) => `${bytes(v.max_payload)} a message, ${bytes(v.max_pending)} pending, ${seconds(v.write_deadline * nanosecond)} without progress` },
  { title: 'Limits of the server', codes: [], text: (v) => [v.max_connections > 0 ? plural(v.max_connections, 'connection') : '', v.max_pending_total > 0 ? `${bytes(v.max_pending_total)} pending` : ''].filter(Boolean).join(', ') },
  { title: 'Version', codes: [], text: (v) => [v.version, v.git_commit, v.go].filter(Boolean).join(', ') },
  { title: 'Id', codes: [], text: (v) => v.server_id },
];

// certificate is until when the certificate for clients is valid.
function certificate(v) {
  if (!v.tls_cert_not_after) return '';
  const end = new Date(v.tls_cert_not_after);
  const left = (end - new Date(v.now)) / 1000;
  return `Valid until ${v.tls_cert_not_after.slice(0, '2006-01-02'.length)}, ${left > 0 ? `for another ${seconds(left)}` : 'it has expired'}`;
}

// listening is where a port is open.
function listening(host, port, more, tls) {
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return `${[address, ...(more ?? [])].map(visible).join(', ')}${tls ? ', TLS' : ''}`;
}

// ServerFacts is the section.
export class ServerFacts {
  draw(varz, status) {
    const rows = facts.map((f) => ({
      title: f.title,
      text: f.text(varz, status),
      said: status?.conditions.filter((c) => f.codes.includes(c.code)) ?? [],
    })).filter((f) => f.text || f.said.length > 0);
    keep(byId('server-facts'), rows, (f) => f.title, fact);
  }
}

// fact makes one of them.
function fact(f) {
  const text = el('dd');
  const said = el('dd', { class: 'said' });
  return {
    node: el('div', {}, el('dt', {}, f.title), text, said),
    update: (now) => {
      setText(text, now.text);
      setText(said, now.said.map((c) => c.text).join('. '));
      setAttribute(said, 'data-status', now.said[0]?.severity ?? null);
      show(said, now.said.length > 0);
    },
  };
}
