'use strict';
// In: pages that work without this file. Out: what a page cannot do alone: zooming charts, live progress, filters without a full form.
// Never here: a request to anywhere but this server, or evidence as markup (textContent only).

const SVG = 'http://www.w3.org/2000/svg';
const OUTCOMES = ['unanswered', 'refused', 'unreachable', 'accepted', 'one_sided', 'midstream', 'answered'];

function svg(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Attempts over time by outcome, stacked; one stretch of time at once.
class Chart {
  constructor(box) {
    this.box = box;
    this.data = JSON.parse(box.dataset.chart);
    this.bins = this.data.bins.map(b => ({ at: Date.parse(b.start), counts: Object.fromEntries(b.counts) }));
    this.width = this.data.bin_ns / 1e6;
    this.all = [this.bins[0].at, this.bins[this.bins.length - 1].at + this.width];
    this.shown = this.all.slice();
    this.status = box.parentElement.querySelector('[role=status]');
    for (const button of box.parentElement.querySelectorAll('[data-zoom]')) button.addEventListener('click', () => this.move(button.dataset.zoom));
    this.legend();
    this.draw();
  }

  move(how) {
    const [from, to] = this.shown, span = to - from;
    const next = { in: [from + span / 4, to - span / 4], left: [from - span / 3, to - span / 3], right: [from + span / 3, to + span / 3], all: this.all }[how];
    this.show(next);
  }

  show([from, to]) {
    const least = this.width * 4;
    if (to - from < least) { const middle = (from + to) / 2; from = middle - least / 2; to = middle + least / 2; }
    const span = Math.min(to - from, this.all[1] - this.all[0]);
    from = Math.max(this.all[0], Math.min(from, this.all[1] - span));
    this.shown = [from, from + span];
    this.draw();
  }

  legend() {
    const there = OUTCOMES.filter(o => this.bins.some(b => b.counts[o]));
    const list = document.createElement('ul');
    list.className = 'legend';
    for (const outcome of there) {
      const item = document.createElement('li'), swatch = svg('svg', { viewBox: '0 0 12 12', 'aria-hidden': 'true' });
      swatch.append(svg('rect', { width: 12, height: 12, class: 'o-' + outcome }));
      item.append(swatch, ' ' + outcome);
      list.append(item);
    }
    this.box.after(list);
  }

  draw() {
    const W = 960, H = 220, left = 44, right = 8, top = 8, bottom = 26;
    const [from, to] = this.shown;
    const inside = this.bins.filter(b => b.at + this.width > from && b.at < to);
    // At most one bar for every three pixels: neighbouring bins are added up.
    const each = Math.max(1, Math.ceil(inside.length / ((W - left - right) / 3)));
    const bars = [];
    for (let i = 0; i < inside.length; i += each) {
      const counts = {};
      for (const b of inside.slice(i, i + each)) for (const [o, n] of Object.entries(b.counts)) counts[o] = (counts[o] || 0) + n;
      bars.push({ at: inside[i].at, until: inside[Math.min(i + each, inside.length) - 1].at + this.width, counts });
    }
    const most = Math.max(1, ...bars.map(b => Object.values(b.counts).reduce((a, n) => a + n, 0)));
    const x = t => left + (W - left - right) * (t - from) / (to - from), y = n => H - bottom - (H - top - bottom) * n / most;
    const total = bars.reduce((sum, b) => sum + Object.values(b.counts).reduce((a, n) => a + n, 0), 0);
    const says = `${new Date(from).toISOString().slice(0, 19)}Z to ${new Date(to).toISOString().slice(0, 19)}Z: ${total.toLocaleString('en')} attempts`;
    const picture = svg('svg', { viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': says });
    for (const n of [0, most / 2, most]) {
      picture.append(svg('line', { x1: left, x2: W - right, y1: y(n), y2: y(n), class: 'axis' }), svg('text', { x: left - 6, y: y(n) + 4, 'text-anchor': 'end' }, Math.round(n)));
    }
    for (const bar of bars) {
      let below = 0;
      for (const outcome of OUTCOMES) {
        const n = bar.counts[outcome];
        if (!n) continue;
        const x0 = Math.max(left, x(bar.at)), x1 = Math.min(W - right, x(bar.until));
        picture.append(svg('rect', { x: x0, y: y(below + n), width: Math.max(1, x1 - x0 - .3), height: y(below) - y(below + n), class: 'o-' + outcome }));
        below += n;
      }
    }
    const day = to - from > 2 * 864e5;
    for (let i = 0; i <= 4; i++) {
      const t = from + (to - from) * i / 4, text = new Date(t).toISOString();
      picture.append(svg('text', { x: x(t), y: H - 8, 'text-anchor': i === 0 ? 'start' : i === 4 ? 'end' : 'middle' }, day ? text.slice(0, 10) : text.slice(5, 16).replace('T', ' ')));
    }
    for (const mark of this.data.marks) {
      const t = Date.parse(mark.ts);
      if (t >= from && t <= to) picture.append(svg('line', { x1: x(t), x2: x(t), y1: top, y2: H - bottom, class: 'mark' }), svg('text', { x: x(t) - 4, y: top + 10, 'text-anchor': 'end' }, mark.change));
    }
    this.brush(picture, left, W - right, W, top, H - bottom, from, to);
    this.box.replaceChildren(picture);
    this.status.textContent = says;
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
