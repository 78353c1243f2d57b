// Figures for people, and the few ways in which this page writes into itself.
//
// What comes from events is hostile: it is only ever written as text. (The policy that the page is served with
// forbids everything else.)

const byId = (id) => document.getElementById(id);

// Writes only what is new: a selection in the page stays, and nothing is laid out for nothing.
function write(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

function setState(id, state) {
  const element = byId(id);
  if (element.dataset.state !== state) element.dataset.state = state;
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

const NONE = '–';
// A number and its unit stay on one line.
const JOIN = '\u00a0';
const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

function count(number) {
  if (!Number.isFinite(number)) return NONE;
  for (const [above, by, unit] of [[1e12, 1e12, 'T'], [1e9, 1e9, 'G'], [1e7, 1e6, 'M']]) {
    if (number >= above) return (number / by).toFixed(2) + JOIN + unit;
  }
  return WHOLE.format(number);
}

// For where there is room for seven characters.
function brief(number) {
  return number >= 1e6 && number < 1e7 ? `${(number / 1e6).toFixed(2)}${JOIN}M` : count(number);
}

function rate(perSecond) {
  if (!Number.isFinite(perSecond)) return NONE;
  return perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : brief(Math.round(perSecond));
}

function plural(number, one, many) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

function bytes(number) {
  if (!Number.isFinite(number)) return NONE;
  let unit = 0;
  while (number >= 1000 && unit < 5) {
    number /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || number >= 100 ? 0 : number >= 10 ? 1 : 2;
  return `${number.toFixed(digits)}${JOIN}${['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'][unit]}`;
}

function milliseconds(ms) {
  if (!Number.isFinite(ms)) return NONE;
  if (ms >= 60_000) return seconds(ms / 1000);
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms >= 10_000 ? 1 : 2)}${JOIN}s`;
  return `${ms.toFixed(ms >= 100 ? 0 : ms >= 10 ? 1 : 2)}${JOIN}ms`;
}

// How long something takes or has lasted: two units at most.
function seconds(s) {
  if (!Number.isFinite(s)) return NONE;
  if (s > 0 && s < 1) return `${Math.ceil(s * 1000)}${JOIN}ms`;
  if (s < 10 && !Number.isInteger(s)) return `${s.toFixed(1)}${JOIN}s`;
  s = Math.floor(s);
  if (s < 60) return `${s}${JOIN}s`;
  const parts = [[86_400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = parts.findIndex(([length]) => s >= length);
  return parts
    .slice(first, first + 2)
    .map(([length, unit], n) => [Math.floor((n === 0 ? s : s % parts[first][0]) / length), unit])
    .filter(([number]) => number > 0)
    .map(([number, unit]) => `${number}${JOIN}${unit}`)
    .join(JOIN);
}

const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

function clock(time) {
  return CLOCK.format(time);
}

// With the day where it is not today's.
function moment(time) {
  const at = new Date(time);
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday ? clock(at) : `${DAY.format(at)}, ${clock(at)}`;
}

// JSON in which every number stays as it was written, also one that no double holds.
function parseExactly(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === 'number' && JSON.rawJSON && context?.source && String(value) !== context.source
      ? JSON.rawJSON(context.source)
      : value,
  );
}
