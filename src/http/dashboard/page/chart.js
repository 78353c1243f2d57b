// The chart of the last three minutes. A sample is what one message told; where none came there is a gap, and no
// line is drawn through it.

const CHART_SECONDS = 180;
// Messages come once a second: what is further apart has a gap between.
const GAP_MS = 3500;
const MARGIN = { left: 46, right: 10, top: 8, bottom: 22 };

const chart = {
  samples: [],
  // Which second is looked at, in seconds before now; `null` for the newest sample.
  looked: null,
  now: 0,
  size: { width: 0, height: 0 },
  parts: null,
};

function svg(tag, attributes, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function addSample(sample) {
  chart.samples.push(sample);
  chart.now = sample.at;
  const oldest = chart.now - (CHART_SECONDS + 2) * 1000;
  while (chart.samples.length > 0 && chart.samples[0].at < oldest) chart.samples.shift();
}

// A step of 1, 2 or 5 times a power of ten, so that about `parts` of them reach `top`.
function niceStep(top, parts) {
  const power = 10 ** Math.floor(Math.log10(top / parts));
  return [1, 2, 5, 10].map((by) => by * power).find((step) => top / step <= parts) ?? 10 * power;
}

function tick(number) {
  if (number >= 1e6) return `${+(number / 1e6).toFixed(2)} M`;
  return number >= 1e4 ? `${+(number / 1e3).toFixed(1)} k` : WHOLE.format(number);
}

// The samples in the window, parted where there is a gap.
function runs(samples) {
  const found = [];
  let before = null;
  for (const sample of samples) {
    if (before === null || sample.at - before.at > GAP_MS) found.push([]);
    found.at(-1).push(sample);
    before = sample;
  }
  return found;
}

function drawChart() {
  const { width, height } = chart.size;
  if (width === 0) return;
  const samples = chart.samples.filter((sample) => sample.at >= chart.now - CHART_SECONDS * 1000 - 999);
  const peak = Math.max(8, ...samples.flatMap((sample) => [sample.received, sample.stored]));
  const step = niceStep(peak * 1.04, 4);
  const top = Math.ceil((peak * 1.04) / step) * step;
  const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  const x = (at) => MARGIN.left + inner.width * (1 - (chart.now - at) / 1000 / CHART_SECONDS);
  const y = (value) => MARGIN.top + inner.height * (1 - value / top);
  const place = (sample, name) => `${Math.max(MARGIN.left, x(sample.at)).toFixed(1)} ${y(sample[name]).toFixed(1)}`;
  const line = (name) => runs(samples).map((run) => `M${run.map((sample) => place(sample, name)).join('L')}`).join('');
  const area = runs(samples).map((run) => {
    const [first, last] = [run[0], run.at(-1)].map((sample) => Math.max(MARGIN.left, x(sample.at)).toFixed(1));
    return `M${first} ${y(0)}L${run.map((sample) => place(sample, 'stored')).join('L')}L${last} ${y(0)}Z`;
  });

  const grid = [];
  for (let value = 0; value <= top; value += step) {
    const at = Math.round(y(value)) + 0.5;
    grid.push(svg('line', { class: 'grid', x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at }));
    grid.push(svg('text', { x: MARGIN.left - 8, y: at + 4, 'text-anchor': 'end' }, tick(value)));
  }
  for (const [ago, label] of [[180, width > 420 ? '3 min ago' : '3 min'], [120, '2 min'], [60, '1 min'], [0, 'now']]) {
    const anchor = ago === 180 ? 'start' : ago === 0 ? 'end' : 'middle';
    grid.push(svg('text', { x: x(chart.now - ago * 1000), y: height - 4, 'text-anchor': anchor }, label));
  }
  chart.parts.grid.replaceChildren(...grid);
  chart.parts.area.setAttribute('d', area.join(''));
  chart.parts.received.setAttribute('d', line('received'));
  chart.parts.stored.setAttribute('d', line('stored'));

  const shown = lookedAt(samples);
  const cross = [];
  if (shown && chart.looked !== null) {
    const at = Math.max(MARGIN.left, x(shown.at));
    cross.push(svg('line', { class: 'cross', x1: at, x2: at, y1: MARGIN.top, y2: height - MARGIN.bottom }));
  }
  if (shown) {
    for (const name of ['stored', 'received']) {
      cross.push(svg('circle', { class: name, cx: Math.max(MARGIN.left, x(shown.at)), cy: y(shown[name]), r: 4 }));
    }
  }
  chart.parts.cross.replaceChildren(...cross);
  write('chart-at', chart.looked === null || !shown ? 'now' : `at ${clock(shown.at)}`);
  write('chart-received', rate(shown?.received));
  write('chart-stored', rate(shown?.stored));
}

// The sample nearest to the second that is looked at.
function lookedAt(samples) {
  if (chart.looked === null) return samples.at(-1);
  const wanted = chart.now - chart.looked * 1000;
  const distance = (sample) => Math.abs(sample.at - wanted);
  return samples.reduce((best, sample) => (!best || distance(sample) < distance(best) ? sample : best), undefined);
}

function look(ago, isSpoken) {
  chart.looked = ago === null ? null : Math.min(CHART_SECONDS, Math.max(0, ago));
  drawChart();
  if (!isSpoken) return;
  const said = (id) => byId(id).textContent;
  const element = byId('chart');
  element.setAttribute('aria-valuenow', String(-(chart.looked ?? 0)));
  const text = `${said('chart-at')}: received ${said('chart-received')}, stored ${said('chart-stored')} a second`;
  element.setAttribute('aria-valuetext', text);
}

// A page that is loaded again goes on where it was. Where a browser keeps nothing, it begins anew.
function keepSamples() {
  try {
    sessionStorage.setItem('samples', JSON.stringify(chart.samples));
  } catch { /* as said */ }
}

function keptSamples() {
  try {
    return JSON.parse(sessionStorage.getItem('samples')) ?? [];
  } catch {
    return [];
  }
}

function startChart() {
  const element = byId('chart');
  const parts = {
    grid: svg('g', {}),
    area: svg('path', { class: 'area' }),
    stored: svg('path', { class: 'curve stored' }),
    received: svg('path', { class: 'curve received' }),
    cross: svg('g', {}),
  };
  const picture = svg('svg', { 'aria-hidden': 'true' });
  picture.append(...Object.values(parts));
  element.append(picture);
  chart.parts = parts;
  chart.samples = keptSamples();
  chart.now = Math.max(Date.now(), chart.samples.at(-1)?.at ?? 0);
  addEventListener('pagehide', keepSamples);

  new ResizeObserver(([{ contentRect }]) => {
    chart.size = { width: contentRect.width, height: contentRect.height };
    drawChart();
  }).observe(element);
  element.addEventListener('pointermove', (event) => {
    const inner = chart.size.width - MARGIN.left - MARGIN.right;
    const part = (event.clientX - element.getBoundingClientRect().left - MARGIN.left) / inner;
    look(Math.round((1 - part) * CHART_SECONDS), false);
  });
  for (const name of ['pointerleave', 'blur']) element.addEventListener(name, () => look(null, name === 'blur'));
  element.addEventListener('keydown', (event) => {
    const ago = chart.looked ?? 0;
    const to = {
      ArrowLeft: ago + 1, ArrowDown: ago + 1, PageDown: ago + 10, Home: CHART_SECONDS,
      ArrowRight: ago - 1, ArrowUp: ago - 1, PageUp: ago - 10, End: null, Escape: null,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    look(to === null || to < 0 ? null : to, true);
  });
}
