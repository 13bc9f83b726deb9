'use strict';
// In: pages that work without this file. Out: what a page cannot do alone: zooming charts, live progress, filters without a full form.
// Never here: a request to anywhere but this server, or evidence as markup (textContent only).

const SVG = 'http://www.w3.org/2000/svg';
const sum = counts => Object.values(counts).reduce((a, n) => a + n, 0);
const short = n => n >= 1e6 ? (n / 1e6).toFixed(1) + 'M' : n >= 1e4 ? Math.round(n / 1e3) + 'k' : String(n);
const OUTCOMES = ['unanswered', 'refused', 'unreachable', 'accepted', 'one_sided', 'midstream', 'answered'];

function svg(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Two lanes over one stretch of time: attempts by outcome, and what happened on the host. Both are zoomed in step.
const HAPPENED = ['accessed', 'modified', 'born', 'changed', 'started', 'ended'];

class Chart {
  constructor(box) {
    this.box = box;
    this.data = JSON.parse(box.dataset.chart);
    const read = (b, width) => ({ at: Date.parse(b.start), width, counts: Object.fromEntries(b.counts) });
    this.lanes = [{ says: 'attempts', prefix: 'o-', top: 8, height: 186, bins: this.data.bins.map(b => read(b, this.data.bin_ns / 1e6)) }];
    if (this.data.host_bins.length) {
      this.lanes.push({ says: 'host', prefix: 'h-', top: 208, height: 110, bins: this.data.host_bins.map(b => read(b, b.width_ns / 1e6)) });
    }
    for (const lane of this.lanes) {
      const order = lane.prefix === 'o-' ? OUTCOMES : HAPPENED;
      lane.kinds = [...order, 'other'].filter(k => lane.bins.some(b => b.counts[k]));
      for (const b of lane.bins) for (const k of Object.keys(b.counts)) if (!order.includes(k)) { b.counts.other = (b.counts.other || 0) + b.counts[k]; delete b.counts[k]; }
      if (lane.bins.some(b => b.counts.other) && !lane.kinds.includes('other')) lane.kinds.push('other');
    }
    const first = bins => bins[0].at, last = bins => bins[bins.length - 1].at + bins[bins.length - 1].width;
    this.traffic = [first(this.lanes[0].bins), last(this.lanes[0].bins)];
    this.all = [Math.min(...this.lanes.map(l => first(l.bins))), Math.max(...this.lanes.map(l => last(l.bins)))];
    this.least = this.data.bin_ns / 1e6 * 4;
    this.shown = this.traffic.slice();
    this.status = box.parentElement.querySelector('[role=status]');
    for (const button of box.parentElement.querySelectorAll('[data-zoom]')) button.addEventListener('click', () => this.move(button.dataset.zoom));
    for (const lane of [...this.lanes].reverse()) this.legend(lane);
    this.draw();
  }

  move(how) {
    const [from, to] = this.shown, span = to - from, mark = this.data.marks.length ? Date.parse(this.data.marks[this.data.marks.length - 1].ts) : from;
    this.show({
      in: [from + span / 4, to - span / 4], out: [from - span / 2, to + span / 2], left: [from - span / 3, to - span / 3], right: [from + span / 3, to + span / 3],
      all: this.traffic, host: this.all, mark: [mark - 36e5, mark + 36e5],
    }[how]);
  }

  show([from, to]) {
    if (to - from < this.least) { const middle = (from + to) / 2; from = middle - this.least / 2; to = middle + this.least / 2; }
    const span = Math.min(to - from, this.all[1] - this.all[0]);
    from = Math.max(this.all[0], Math.min(from, this.all[1] - span));
    this.shown = [from, from + span];
    this.draw();
  }

  legend(lane) {
    const list = document.createElement('ul');
    list.className = 'legend';
    const name = document.createElement('li');
    name.textContent = lane.says === 'host' ? 'On the host:' : 'Attempts:';
    list.append(name);
    for (const kind of lane.kinds) {
      const item = document.createElement('li'), swatch = svg('svg', { viewBox: '0 0 12 12', 'aria-hidden': 'true' });
      swatch.append(svg('rect', { width: 12, height: 12, class: lane.prefix + kind }));
      item.append(swatch, ' ' + kind);
      list.append(item);
    }
    this.box.after(list);
  }

  draw() {
    const W = 960, left = 44, right = 8, last = this.lanes[this.lanes.length - 1], bottom = last.top + last.height, H = bottom + 26;
    const [from, to] = this.shown, x = t => left + (W - left - right) * (t - from) / (to - from);
    const totals = this.lanes.map(l => l.bins.filter(b => b.at + b.width > from && b.at < to).reduce((n, b) => n + sum(b.counts), 0));
    const says = `${new Date(from).toISOString().slice(0, 19)}Z to ${new Date(to).toISOString().slice(0, 19)}Z: ` +
      this.lanes.map((l, i) => `${totals[i].toLocaleString('en')} ${l.says === 'host' ? 'events on the host' : 'attempts'}`).join(', ');
    const picture = svg('svg', { viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': says });
    for (const lane of this.lanes) this.lane(picture, lane, x, left, W - right);
    const day = to - from > 2 * 864e5;
    for (let i = 0; i <= 4; i++) {
      const t = from + (to - from) * i / 4, text = new Date(t).toISOString();
      picture.append(svg('text', { x: x(t), y: H - 8, 'text-anchor': i === 0 ? 'start' : i === 4 ? 'end' : 'middle' }, day ? text.slice(0, 10) : text.slice(5, 16).replace('T', ' ')));
    }
    for (const mark of this.data.marks) {
      const t = Date.parse(mark.ts);
      if (t >= from && t <= to) picture.append(svg('line', { x1: x(t), x2: x(t), y1: 8, y2: bottom, class: 'mark' }), svg('text', { x: x(t) - 4, y: 18, 'text-anchor': 'end' }, mark.change));
    }
    if (this.lanes.length > 1) this.flags(picture, this.lanes[1], x, from, to, W);
    this.brush(picture, left, W - right, W, 8, bottom, from, to);
    this.box.replaceChildren(picture);
    this.status.textContent = says;
  }

  // Stacked bars; neighbouring bins are added up so that no bar is narrower than three pixels.
  lane(picture, lane, x, left, right) {
    const [from, to] = this.shown, bars = [], least = 3 * (to - from) / (right - left);
    for (const b of lane.bins) {
      if (b.at + b.width <= from || b.at >= to) continue;
      const open = bars[bars.length - 1];
      if (open && b.at + b.width - open.at <= least) {
        open.until = Math.max(open.until, b.at + b.width);
        for (const [k, n] of Object.entries(b.counts)) open.counts[k] = (open.counts[k] || 0) + n;
      } else bars.push({ at: b.at, until: b.at + b.width, counts: { ...b.counts } });
    }
    const most = Math.max(1, ...bars.map(b => sum(b.counts))), y = n => lane.top + lane.height - (lane.height - 14) * n / most;
    for (const n of [0, most]) {
      picture.append(svg('line', { x1: left, x2: right, y1: y(n), y2: y(n), class: 'axis' }), svg('text', { x: left - 6, y: y(n) + 4, 'text-anchor': 'end' }, short(Math.round(n))));
    }
    for (const bar of bars) {
      let below = 0;
      for (const kind of lane.kinds) {
        const n = bar.counts[kind];
        if (!n) continue;
        const x0 = Math.max(left, x(bar.at)), x1 = Math.min(right, x(bar.until));
        picture.append(svg('rect', { x: x0, y: y(below + n), width: Math.max(1.5, x1 - x0 - .3), height: Math.max(.5, y(below) - y(below + n)), class: lane.prefix + kind }));
        below += n;
      }
    }
  }

  // The most telling changes, named where there is room for their names.
  flags(picture, lane, x, from, to, W) {
    const there = this.data.changes.filter(c => Date.parse(c.ts) >= from && Date.parse(c.ts) <= to).slice(0, 5);
    there.forEach((c, i) => {
      const at = x(Date.parse(c.ts)), y = lane.top + 16 + 15 * i, name = c.what.split(/[\\/]/).pop().slice(0, 40), end = at > W / 2;
      picture.append(svg('line', { x1: at, x2: at, y1: y, y2: lane.top + lane.height, class: 'flag' }));
      const text = svg('text', { x: at + (end ? -5 : 5), y: y + 4, 'text-anchor': end ? 'end' : 'start', class: 'named' }, name);
      text.append(svg('title', {}, `${c.ts.slice(0, 19)}Z ${c.what}: ${c.reasons.join(', ')}`));
      picture.append(text);
    });
  }

  brush(picture, left, right, W, top, bottom, from, to) {
    let start = null, band = null;
    const at = event => { const box = picture.getBoundingClientRect(); return Math.min(right, Math.max(left, (event.clientX - box.left) * W / box.width)); };
    picture.addEventListener('pointerdown', event => {
      start = at(event);
      band = svg('rect', { class: 'brush', y: top, height: bottom - top, x: start, width: 0 });
      picture.append(band);
      picture.setPointerCapture(event.pointerId);
    });
    picture.addEventListener('pointermove', event => {
      if (band) { const now = at(event); band.setAttribute('x', Math.min(start, now)); band.setAttribute('width', Math.abs(now - start)); }
    });
    picture.addEventListener('pointerup', event => {
      if (!band) return;
      const now = at(event), time = px => from + (to - from) * (px - left) / (right - left);
      band.remove(); band = null;
      if (Math.abs(now - start) > 4) this.show([time(Math.min(start, now)), time(Math.max(start, now))]);
    });
  }
}

for (const box of document.querySelectorAll('[data-chart]')) new Chart(box);

for (const box of document.querySelectorAll('[data-side]')) box.addEventListener('change', () => {
  for (const line of document.querySelectorAll('.side-' + box.dataset.side)) line.hidden = !box.checked;
});

// A filter of a table becomes one parameter: column.comparison=value.
for (const button of document.querySelectorAll('[data-add]')) button.addEventListener('click', event => {
  event.preventDefault();
  const form = button.form, query = new URLSearchParams(location.search);
  query.set(form.querySelector('[data-column]').value + '.' + form.querySelector('[data-how]').value, form.querySelector('[data-value]').value);
  for (const place of ['offset', 'after', 'before']) query.delete(place);
  location.search = query.toString();
});

// An upload says how far it is; without this script it is an ordinary form.
for (const form of document.querySelectorAll('form.upload')) form.addEventListener('submit', event => {
  event.preventDefault();
  const bar = form.querySelector('progress'), status = form.querySelector('[role=status]'), request = new XMLHttpRequest();
  bar.hidden = false;
  request.upload.addEventListener('progress', e => { if (e.lengthComputable) { bar.value = 100 * e.loaded / e.total; status.textContent = Math.round(bar.value) + ' %'; } });
  request.addEventListener('load', () => {
    if (request.status === 201) { location.reload(); return; }
    let says = request.statusText;
    try { says = JSON.parse(request.responseText).error; } catch { /* not JSON: the status must do */ }
    status.textContent = says; bar.hidden = true;
  });
  request.addEventListener('error', () => { status.textContent = 'the connection failed'; bar.hidden = true; });
  request.open('POST', form.getAttribute('action') + '.json');
  request.send(new FormData(form));
});

// Jobs that run are looked at every second; when all have ended, the page is loaded once more.
const live = document.querySelector('[data-live]');
if (live && live.querySelector('progress, article')) {
  const running = () => [...live.querySelectorAll('.chip')].some(c => ['running', 'waiting'].includes(c.textContent));
  const look = async () => {
    const answer = await fetch(live.dataset.live, { credentials: 'same-origin' });
    if (!answer.ok) return;
    const { jobs } = await answer.json(), now = jobs.find(j => ['running', 'waiting'].includes(j.state));
    if (!now) { location.reload(); return; }
    const bar = live.querySelector('progress');
    if (bar && now.total) bar.value = now.done;
    document.querySelector('main [role=status]').textContent = now.total ? `${now.says}: ${Math.round(100 * now.done / now.total)} %` : `${now.says}: ${now.state}`;
    setTimeout(look, 1000);
  };
  if (running()) setTimeout(look, 1000);
}
