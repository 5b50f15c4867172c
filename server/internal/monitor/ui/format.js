// Numbers, sizes, times and names, as people read them.

const whole = new Intl.NumberFormat('en');
const decimal = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const monthDay = new Intl.DateTimeFormat('en', { month: 'short', day: 'numeric' });

// count is a number with separators: 12,345.
export function count(n) {
  return whole.format(n);
}

// plural is a count with its noun: 1 route, 2 routes.
export function plural(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? '' : 's'}`;
}

// scaled returns n in three digits with the unit that fits it.
function scaled(n, step, units) {
  let i = 0;
  while (Math.abs(n) >= step * 0.9995 && i < units.length - 1) {
    n /= step;
    i++;
  }
  const digits = i === 0 || Math.abs(n) >= 100 ? 0 : Math.abs(n) >= 10 ? 1 : 2;
  return [n.toFixed(digits), units[i]];
}

// rate is a number per second in brief: 12.3 k, and 0.4 where it is small.
export function rate(n) {
  return n > 0 && n < 10 ? String(Number(n.toPrecision(n < 1 ? 1 : 2))) : short(n);
}

// short is a large number in brief: 12.3 k.
export function short(n) {
  const [text, unit] = scaled(n, 1000, ['', 'k', 'M', 'G', 'T', 'P']);
  return unit ? `${text} ${unit}` : text;
}

// bytes is a size: 12.3 MiB.
export function bytes(n) {
  return scaled(n, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']).join(' ');
}

// percent is a number of percent with one decimal.
export function percent(n) {
  return `${decimal.format(n)} %`;
}

// spans are the units of uptime and idle, as the server writes them.
const spans = { y: 'y', d: 'd', h: 'h', m: 'min', s: 's' };

// span shows a time like 4d3h2m5s in its two largest units: 4 d 3 h.
export function span(text) {
  const parts = [...text.matchAll(/(\d+)([ydhms])/g)].slice(0, 2).filter((p, i) => i === 0 || p[1] !== '0');
  return parts.map((p) => `${p[1]} ${spans[p[2]]}`).join(' ');
}

// duration shows a Go duration like 1m2.345s or 85.2ms in brief.
export function duration(text) {
  const parts = [...(text ?? '').matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|µs|us|ns)/g)];
  if (parts.length === 0) return '';
  if (parts.length > 1) return span(parts.map((p) => Math.floor(Number(p[1])) + p[2]).join(''));
  const n = Number(parts[0][1]);
  const unit = { m: 'min', us: 'µs' }[parts[0][2]] ?? parts[0][2];
  return `${n >= 100 ? Math.round(n) : Number(n.toPrecision(3))} ${unit}`;
}

// time is the time of day of a date; the day comes with it unless it is today.
export function time(at) {
  const today = new Date().toDateString() === at.toDateString();
  return today ? clock.format(at) : `${monthDay.format(at)}, ${clock.format(at)}`;
}

// ago is how long a time lies before another: 12 s ago.
export function ago(at, now) {
  return `${seconds(Math.max(0, now - at) / 1000)} ago`;
}

// seconds shows a number of seconds in one unit.
export function seconds(s) {
  for (const [size, unit] of [[86400, 'd'], [3600, 'h'], [60, 'min']]) {
    if (s >= size) return `${Math.floor(s / size)} ${unit}`;
  }
  return `${Math.floor(s)} s`;
}

// visible makes the characters of a text visible that would not show, or would
// turn its order around: a name is not to look like another.
export function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}
