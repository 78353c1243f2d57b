// The stream that all figures come by: watched, and opened again when it ends or falls silent.

// A message comes once a second.
const SILENCE_MS_MAX = 6000;
const PAUSES_S = [1, 1, 2, 3, 5];
// A browser has few connections to one service, and all its pages share them: those that nobody sees give theirs up.
const HIDDEN_TAIL_MS = 10_000;
const HIDDEN_ALL_MS = 200_000;

const connection = { state: 'connecting', source: null, silence: 0, attempts: 0, lostAt: null, retryAt: null };

function connect() {
  disconnect();
  if (connection.state !== 'lost') showConnection('connecting');
  const source = new EventSource('dashboard/stream');
  connection.source = source;
  const on = (name, show) => source.addEventListener(name, (message) => {
    // Before anything else: what is said of the service depends on it.
    isAlive();
    show(JSON.parse(message.data), Number(message.lastEventId));
  });
  on('metrics', showMetrics);
  on('health', showHealth);
  on('problems', showProblems);
  source.addEventListener('error', lose);
  watch();
}

function disconnect() {
  clearTimeout(connection.silence);
  connection.source?.close();
  Object.assign(connection, { source: null, retryAt: null });
}

// A connection that was cut somewhere else may never say so.
function watch() {
  clearTimeout(connection.silence);
  connection.silence = setTimeout(lose, SILENCE_MS_MAX);
}

function isAlive() {
  watch();
  if (connection.state === 'live') return;
  Object.assign(connection, { attempts: 0, lostAt: null });
  showConnection('live');
  tail.isWanted = true;
  openTail();
}

function lose() {
  disconnect();
  tail.isWanted = false;
  openTail();
  const pause = PAUSES_S[Math.min(connection.attempts, PAUSES_S.length - 1)];
  Object.assign(connection, {
    attempts: connection.attempts + 1,
    lostAt: connection.lostAt ?? Date.now(),
    retryAt: Date.now() + pause * 1000,
  });
  showConnection('lost');
}

const CONNECTION_STATES = { connecting: 'Connecting', live: 'Live', lost: 'Offline' };

function showConnection(state) {
  connection.state = state;
  setState('connection', { connecting: 'connecting', live: 'good', lost: 'fail' }[state]);
  write('connection', CONNECTION_STATES[state]);
  document.body.classList.toggle('stale', state === 'lost');
  byId('try-now').hidden = state !== 'lost';
  if (state !== 'lost') return showVerdict();
  setState('verdict', 'fail');
  write('verdict-said', 'The connection to the service is lost.');
  document.title = 'Offline · event-pipeline';
  showWait();
}

function showWait() {
  const left = connection.retryAt === null ? 0 : Math.ceil((connection.retryAt - Date.now()) / 1000);
  const since = seen.metrics ? ` What you see is from ${clock(connection.lostAt)}.` : '';
  write('verdict-detail', `${left > 0 ? `Trying again in ${left} s.` : 'Trying again…'}${since}`);
}

function startConnection() {
  byId('try-now').addEventListener('click', connect);
  addEventListener('online', () => connection.state === 'lost' && connect());
  setInterval(() => {
    if (connection.state !== 'lost') return;
    if (connection.retryAt !== null && Date.now() >= connection.retryAt) connect();
    showWait();
  }, 250);

  let hiding = [];
  document.addEventListener('visibilitychange', () => {
    hiding.forEach(clearTimeout);
    hiding = [];
    if (document.hidden) {
      hiding.push(setTimeout(() => { tail.isWanted = false; openTail(); }, HIDDEN_TAIL_MS));
      hiding.push(setTimeout(() => { disconnect(); showConnection('connecting'); }, HIDDEN_ALL_MS));
    } else if (connection.source === null) {
      connect();
    } else if (connection.state === 'live' && !tail.isWanted) {
      tail.isWanted = true;
      openTail();
    }
  });
  // A page that is kept to be gone back to holds no connection.
  addEventListener('pagehide', () => { disconnect(); closeTail(); });
  addEventListener('pageshow', ({ persisted }) => persisted && connect());
  connect();
}

const THEMES = ['auto', 'light', 'dark'];

function startTheme() {
  // Where a browser keeps nothing, the choice lasts as long as the page.
  const stored = () => { try { return localStorage.getItem('theme'); } catch { return null; } };
  const store = (theme) => { try { localStorage.setItem('theme', theme); } catch { /* as said */ } };
  let theme = THEMES.includes(stored()) ? stored() : 'auto';
  const apply = () => {
    document.documentElement.dataset.theme = theme;
    write('theme', `Theme: ${theme}`);
  };
  byId('theme').addEventListener('click', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    store(theme);
    apply();
  });
  apply();
}

startTheme();
startFigures();
startChart();
startTail();
startSample();
startConnection();
