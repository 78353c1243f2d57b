// The form that sends one event, and what the service says to it.

const EXAMPLES = {
  user_action: ['web', '{"action": "purchase", "value": 99.99}'],
  sensor_data: ['iot_device', '{"temperature": 23.5, "unit": "°C"}'],
  system_log: ['system', '{"level": "error", "message": "Connection timeout"}'],
};
const ANSWER_MS_MAX = 30_000;

const sample = { isBusy: false, id: null };

function startSample() {
  const form = byId('sample');
  // An example follows the type until somebody has written something else.
  const isExample = (text) => text === '' || Object.values(EXAMPLES).some(([, data]) => data === text);
  const fill = () => {
    if (!isExample(byId('sample-data').value)) return;
    const [source, data] = EXAMPLES[byId('sample-type').value];
    byId('sample-source').value = source;
    byId('sample-data').value = data;
  };
  byId('sample-type').addEventListener('change', fill);
  fill();
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    send();
  });
  form.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    send();
  });
  byId('sample-look').addEventListener('click', () => ask(`events/${encodeURIComponent(sample.id)}`, {}));
}

// The data goes as it was written: whether it is JSON is for the service to say.
function sampleBody() {
  const fields = { type: byId('sample-type').value, source: byId('sample-source').value };
  const user = byId('sample-user').value;
  if (user !== '') fields.user_id = user;
  const data = byId('sample-data').value.trim();
  return data === '' ? JSON.stringify(fields) : `${JSON.stringify(fields).slice(0, -1)},"data":${data}}`;
}

async function send() {
  const url = `events?ack=${byId('sample-ack').value}`;
  const headers = { 'Content-Type': 'application/json' };
  const answer = await ask(url, { method: 'POST', headers, body: sampleBody() });
  if (!answer?.id) return;
  sample.id = answer.id;
  byId('sample-look').hidden = false;
}

// Asks, shows the answer, and returns what it says.
async function ask(url, request) {
  if (sample.isBusy) return undefined;
  sample.isBusy = true;
  // Not `disabled`, which would take the focus away.
  byId('sample-send').setAttribute('aria-disabled', 'true');
  const began = performance.now();
  try {
    const response = await fetch(url, { ...request, signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    const text = await response.text();
    const took = milliseconds(performance.now() - began);
    const tone = response.ok ? 'good' : response.status < 500 ? 'warn' : 'fail';
    const [value, shown] = readable(text);
    showAnswer(tone, `${response.status} ${response.statusText}, after ${took}`, shown);
    return response.ok ? value : undefined;
  } catch (error) {
    const why = error.name === 'TimeoutError' ? 'No answer came in time.' : 'The service cannot be reached.';
    showAnswer('fail', why, 'Whether the event was taken is not known.');
    return undefined;
  } finally {
    sample.isBusy = false;
    byId('sample-send').removeAttribute('aria-disabled');
  }
}

function readable(text) {
  try {
    const value = parseExactly(text);
    return [value, JSON.stringify(value, null, 2)];
  } catch {
    return [undefined, text];
  }
}

function showAnswer(tone, head, text) {
  byId('answer').replaceChildren(make('strong', `tone-${tone}`, head), make('pre', '', text));
}
