// What the service says of itself once a second: `metrics`, `health` and `problems`.

const seen = { metrics: null, at: 0, health: null, letters: '' };

const QUANTILES = [['p50', 'p50'], ['p90', 'p90'], ['p99', 'p99'], ['p999', 'p99.9'], ['max', 'longest']];

function showMetrics(metrics, at) {
  const before = seen.metrics;
  // Counters begin anew with the process.
  const isSame = before !== null && metrics.uptime_seconds >= before.uptime_seconds && metrics.events_received >= before.events_received;
  const past = (at - seen.at) / 1000;
  const isNext = isSame && past > 0 && at - seen.at <= GAP_MS;
  const perSecond = (now, then) => (isNext && then !== undefined ? Math.max(0, now - then) / past : NaN);
  if (isNext) {
    addSample({
      at,
      received: perSecond(metrics.events_received, before.events_received),
      stored: perSecond(metrics.events_processed, before.events_processed),
    });
  } else {
    chart.now = at;
  }
  drawChart();

  const last = isNext ? chart.samples.at(-1) : undefined;
  write('received-rate', rate(last?.received));
  write('stored-rate', rate(last?.stored));
  write('received-total', count(metrics.events_received));
  write('stored-total', count(metrics.events_processed));
  write('depth', brief(metrics.current_queue_depth));
  write('oldest', metrics.current_queue_depth > 0 ? `the oldest for ${seconds(metrics.journal.oldest_unstored_seconds)}` : 'all is stored');
  const known = (percentiles, name) => (percentiles.count > 0 ? milliseconds(percentiles[name]) : NONE);
  write('ack-p99', known(metrics.acknowledgement_ms, 'p99'));
  write('storing-p99', known(metrics.storing_ms, 'p99'));
  const open = metrics.dead_letters.reduce((sum, { letters }) => sum + letters, 0);
  write('dead-open', brief(open));
  byId('trouble-tile').classList.toggle('alarm', open > 0);
  write('rejected', count(metrics.events_rejected));
  write('shed', count(metrics.events_shed));
  write('duplicates', count(metrics.events_duplicate));
  write('uptime', seconds(metrics.uptime_seconds));

  showLatency(metrics);
  showJournal(metrics.journal);
  showShards(metrics, (shard, n) => perSecond(shard.events_processed, before?.shards[n]?.events_processed));
  showRetries(metrics.store.retries);
  showLettersCount(metrics.dead_letters, open);
  Object.assign(seen, { metrics, at });
  showVerdict();
}

// From a tenth of a millisecond to ten seconds, each tenfold as long as the one before.
function logarithm(ms) {
  return Math.min(1, Math.max(0, (Math.log10(ms) + 1) / 5));
}

function gauge(cell, text, part) {
  const [label, bar] = cell.childNodes;
  if (label.data !== text) label.data = text;
  bar.firstChild.style.setProperty('--part', part.toFixed(3));
}

function gaugeCell() {
  const cell = make('td');
  const bar = make('span', 'gauge');
  bar.append(make('i'));
  cell.append(document.createTextNode(NONE), bar);
  return cell;
}

// Before the first figures come, so that nothing moves when they do.
function startFigures() {
  for (const [, label] of QUANTILES) {
    const head = make('th', '', label);
    head.scope = 'row';
    byId('latency').tBodies[0].insertRow().append(head, gaugeCell(), gaugeCell());
  }
}

function showLatency(metrics) {
  const body = byId('latency').tBodies[0];
  QUANTILES.forEach(([name], n) => {
    const cells = body.rows[n].cells;
    [metrics.acknowledgement_ms, metrics.storing_ms].forEach((percentiles, m) => {
      const isKnown = percentiles.count > 0;
      gauge(cells[m + 1], isKnown ? milliseconds(percentiles[name]) : NONE, isKnown ? logarithm(percentiles[name]) : 0);
    });
  });
}

function showJournal(journal) {
  const segments = { live: journal.live_segments, kept: journal.kept_segments, blank: journal.blank_segments };
  for (const [name, number] of Object.entries(segments)) {
    write(`segments-${name}`, count(number));
    byId('segments').querySelector(`.${name}`).style.setProperty('--count', String(number));
  }
  byId('segments').setAttribute('aria-label', `Segments: ${segments.live} in use, ${segments.kept} kept for a replay, ${segments.blank} blank`);
  write('journal-bytes', bytes(journal.bytes));
  write('journal-free', bytes(journal.free_bytes));
  write('journal-oldest', journal.oldest_unstored_seconds > 0 ? seconds(journal.oldest_unstored_seconds) : NONE);
  const { sync_ms: sync, commit_events: commit } = journal;
  write('journal-syncs', sync.count > 0 ? `${milliseconds(sync.p50)}, ${milliseconds(sync.p99)}` : NONE);
  write('journal-commit', commit.count > 0 ? rate(commit.mean) : NONE);
}

function showShards({ shards, active_workers: workers }, storedRate) {
  const body = byId('shards').tBodies[0];
  while (body.rows.length > shards.length) body.deleteRow(-1);
  while (body.rows.length < shards.length) {
    const row = body.insertRow();
    const head = make('th');
    head.scope = 'row';
    row.append(head, gaugeCell(), make('td'), make('td'), make('td'));
  }
  const deepest = Math.max(100, ...shards.map((shard) => shard.current_queue_depth));
  shards.forEach((shard, n) => {
    const cells = body.rows[n].cells;
    const texts = [shard.shard, null, bytes(shard.queue_bytes), rate(storedRate(shard, n)), count(shard.events_failed)];
    texts.forEach((text, m) => {
      if (text !== null && cells[m].textContent !== String(text)) cells[m].textContent = String(text);
    });
    gauge(cells[1], count(shard.current_queue_depth), shard.current_queue_depth / deepest);
  });
  write('workers', workers === shards.length ? plural(workers, 'worker', 'workers') : `${workers} of ${shards.length} workers run`);
}

function showRetries(retries) {
  const codes = Object.entries(retries).sort(([, a], [, b]) => b - a);
  const sum = codes.reduce((total, [, times]) => total + times, 0);
  const named = codes.slice(0, 2).map(([code, times]) => `${count(times)}${JOIN}×${JOIN}${code}`).join(', ');
  write('store-retries', sum === 0 ? 'none' : codes.length > 2 ? `${named}, …` : named);
}

function showLettersCount(open, sum) {
  const codes = open.map(({ code, letters }) => `${count(letters)} × ${code}`);
  const named = codes.length > 4 ? `${codes.slice(0, 4).join(', ')}, …` : codes.join(', ');
  write('letters-count', sum === 0 ? 'none open' : `${count(sum)} open: ${named}`);
}

const STORE_STATES = { up: ['good', 'up'], down: ['fail', 'away'], starting: ['warn', 'starting'] };

function showHealth(health, at) {
  seen.health = health;
  write('version', `v${health.version}`);
  const [store] = health.checks.store;
  const [state, name] = STORE_STATES[store.state] ?? ['warn', store.state];
  setState('store-state', state);
  write('store-state', name);
  write('store-since', `${moment(at - store.stateSeconds * 1000)}, for${JOIN}${seconds(store.stateSeconds)}`);
  const [journal] = health.checks.journal;
  const grades = { pass: ['good', 'accepting'], warn: ['warn', 'was damaged'], fail: ['fail', 'full'] };
  const [grade, said] = grades[journal.status] ?? ['warn', journal.status];
  setState('journal-state', grade);
  write('journal-state', said);
  showVerdict();
}

// One sentence that changes seldom, and is spoken when it does, and figures beside it that are not.
function judge() {
  const { health, metrics } = seen;
  if (!health || !metrics) return ['connecting', 'Connecting to the service…', ''];
  const { store: [store], journal: [journal], shards: [shards] } = health.checks;
  const waiting = `${plural(metrics.current_queue_depth, 'event waits', 'events wait')} in the journal, the oldest for ${seconds(metrics.journal.oldest_unstored_seconds)}.`;
  if (!journal.accepting) return ['fail', 'The journal is full: no event is accepted.', waiting];
  if (shards.workers < shards.shards) return ['fail', 'A shard’s worker has ended.', `${shards.workers} of ${shards.shards} run; the log says why.`];
  if (!shards.accepting) return ['fail', 'No event is accepted now.', 'The service is shutting down, or all its queues are full.'];
  if (store.state === 'down') return ['warn', 'The store is away; events are accepted and kept.', `For ${seconds(store.stateSeconds)}. ${waiting}`];
  if (store.state === 'starting') return ['warn', 'The store has not answered yet; events are accepted and kept.', ''];
  if (journal.output) return ['warn', 'The journal was damaged.', `${journal.output}.`];
  const depth = metrics.current_queue_depth;
  return ['good', 'All is well.', depth === 0 ? 'Everything that was accepted is stored.' : `${plural(depth, 'event is', 'events are')} on the way to the store.`];
}

function showVerdict() {
  if (connection.state === 'lost') return;
  const [state, said, detail] = judge();
  setState('verdict', state);
  write('verdict-said', said);
  write('verdict-detail', detail);
  const titles = { good: 'event-pipeline', warn: 'Warning · event-pipeline', fail: 'Failing · event-pipeline' };
  document.title = titles[state] ?? 'event-pipeline';
}

function showProblems(problems) {
  const failure = problems.store_failure;
  write('store-error', failure ? `${moment(failure.at)}: ${failure.detail}` : 'None since the start.');
  const letters = problems.dead_letters;
  write('letters-none', problems.unread ? `They cannot be read: ${problems.unread}` : 'None: no event was refused for good.');
  // A link that has the focus stays where it is.
  const told = JSON.stringify(letters);
  if (told === seen.letters) return;
  seen.letters = told;
  byId('letters').hidden = letters.length === 0;
  byId('letters-hint').hidden = letters.length === 0;
  byId('letters-none').hidden = letters.length > 0;
  byId('letters').replaceChildren(...letters.map((letter) => {
    const row = make('li');
    const time = make('time', 'dim', moment(letter.failed_at));
    time.dateTime = letter.failed_at;
    const link = make('a', '', letter.id);
    link.href = `events/${encodeURIComponent(letter.id)}`;
    link.target = '_blank';
    link.rel = 'noopener';
    row.append(time, make('span', 'code', letter.code), make('span', 'why', letter.detail), link);
    return row;
  }));
}
