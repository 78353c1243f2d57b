// The live tail: events as the journal takes them. Of many only the newest are shown, and how many were not is said.
// While somebody reads (a line is opened, or has the focus) it pauses.

const LINES_MAX = 200;
const LINES_AT_ONCE = 40;
const DRAW_EVERY_MS = 250;
// A longer document is not kept to be opened.
const OPENED_CHARS_MAX = 100_000;
const TYPES = ['user_action', 'sensor_data', 'system_log'];

const tail = { source: null, waiting: [], unseen: 0, isPaused: false, isWanted: false, timer: 0, retry: 0 };

function startTail() {
  const list = byId('tail');
  byId('tail-pause').addEventListener('click', () => pauseTail(!tail.isPaused));
  byId('tail-clear').addEventListener('click', clearTail);
  byId('tail-type').addEventListener('change', refilter);
  let typing = 0;
  byId('tail-user').addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(refilter, 400);
  });
  byId('tail-filter').addEventListener('submit', (event) => {
    event.preventDefault();
    refilter();
  });
  list.addEventListener('click', (event) => {
    const line = event.target.closest('button');
    if (line) openLine(line);
  });
  // One stop for the tab key, however many lines there are.
  list.addEventListener('keydown', (event) => {
    const lines = [...list.querySelectorAll('button')];
    const at = lines.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: lines.length - 1 }[event.key];
    if (to === undefined || lines.length === 0) return;
    event.preventDefault();
    lines[Math.min(lines.length - 1, Math.max(0, to))].focus();
  });
  list.addEventListener('focusin', (event) => {
    const line = event.target.closest('button');
    if (!line) return;
    pauseTail(true);
    for (const other of list.querySelectorAll('button[tabindex="0"]')) other.tabIndex = -1;
    line.tabIndex = 0;
  });
  clearTail();
  setInterval(drawTail, DRAW_EVERY_MS);
}

function clearTail() {
  Object.assign(tail, { waiting: [], unseen: 0 });
  byId('tail').replaceChildren();
  sayTail();
}

function refilter() {
  clearTail();
  if (tail.isPaused) pauseTail(false);
  else openTail();
}

function pauseTail(isPaused) {
  if (tail.isPaused === isPaused) return;
  tail.isPaused = isPaused;
  write('tail-pause', isPaused ? 'Resume' : 'Pause');
  byId('tail-pause').classList.toggle('quiet', !isPaused);
  if (isPaused) closeTail();
  else openTail();
  sayTail();
}

// Opens it, or opens it anew, where it is wanted.
function openTail() {
  closeTail();
  if (!tail.isWanted || tail.isPaused) return sayTail();
  const filter = new URLSearchParams();
  const [type, user] = [byId('tail-type').value, byId('tail-user').value];
  if (type) filter.set('type', type);
  if (user) filter.set('user_id', user);
  const url = `events/tail${filter.size > 0 ? `?${filter}` : ''}`;
  const source = new EventSource(url);
  tail.source = source;
  source.addEventListener('open', () => sayTail());
  source.addEventListener('event', ({ data }) => {
    tail.waiting.push(data);
    if (tail.waiting.length > LINES_AT_ONCE) {
      tail.waiting.shift();
      tail.unseen += 1;
    }
  });
  source.addEventListener('missed', ({ data }) => {
    tail.unseen += JSON.parse(data).events;
  });
  source.addEventListener('error', () => {
    closeTail();
    tail.retry = setTimeout(openTail, 3000);
    explainTail(url);
  });
  sayTail();
}

function closeTail() {
  clearTimeout(tail.retry);
  tail.source?.close();
  tail.source = null;
}

// A stream of events does not say why it was refused; a plain request does.
async function explainTail(url) {
  const asked = new AbortController();
  try {
    const response = await fetch(url, { signal: asked.signal });
    if (!response.ok) sayTail((await response.json()).detail);
  } catch {
    // The connection itself is watched elsewhere.
  } finally {
    asked.abort();
  }
}

function sayTail(trouble) {
  const passed = tail.unseen > 0 ? `, ${count(tail.unseen)} passed unseen` : '';
  const isOpen = tail.source?.readyState === EventSource.OPEN;
  const state = tail.isPaused ? 'paused: what comes meanwhile is not shown' : isOpen ? `live${passed}` : 'not connected';
  write('tail-state', trouble ?? state);
  const list = byId('tail');
  const nothing = list.querySelector('.nothing');
  if (list.querySelector('button')) nothing?.remove();
  else if (!nothing) list.append(make('li', 'nothing', 'Events that match come here as soon as they are synced to the journal.'));
}

function drawTail() {
  if (tail.waiting.length === 0 || tail.isPaused) return;
  const list = byId('tail');
  const lines = tail.waiting.splice(0).reverse().map(tailLine);
  // Whoever has scrolled down keeps their place.
  const isScrolled = list.scrollTop > 0;
  const before = isScrolled ? list.scrollHeight : 0;
  list.prepend(...lines);
  if (isScrolled) list.scrollTop += list.scrollHeight - before;
  while (list.children.length > LINES_MAX) list.lastElementChild.remove();
  if (!list.querySelector('button[tabindex="0"]')) list.querySelector('button').tabIndex = 0;
  sayTail();
}

function tailLine(text) {
  const event = parseExactly(text);
  const line = make('button');
  line.type = 'button';
  line.tabIndex = -1;
  line.setAttribute('aria-expanded', 'false');
  const time = make('time', 'at', precisely(event.received_at));
  time.dateTime = event.received_at;
  line.append(
    time,
    make('span', TYPES.includes(event.type) ? `kind ${event.type}` : 'kind', event.type),
    make('span', 'from', event.source),
    make('span', 'who', event.user_id ?? ''),
    make('span', 'what', (JSON.stringify(event.data) ?? '').slice(0, 400)),
  );
  const row = make('li');
  row.append(line);
  row.document = text.length <= OPENED_CHARS_MAX ? JSON.stringify(event, null, 2) : `${event.id}\ntoo long to be shown here: see /events/${event.id}`;
  return row;
}

function precisely(time) {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? NONE : `${clock(at)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

function openLine(line) {
  pauseTail(true);
  const row = line.parentElement;
  const isOpen = line.getAttribute('aria-expanded') === 'true';
  line.setAttribute('aria-expanded', String(!isOpen));
  if (isOpen) row.querySelector('pre').remove();
  else row.append(make('pre', '', row.document));
}
