// The living chart of lenet_course.curves.LiveCurves. `fixed` says what does not change while
// training goes on, `now` what the curves, the numbers and the controls are at this moment.

const BLUE = "#0072B2", ORANGE = "#BF5300", GREY = "#6E6E6E", BLACK = "#222222";
const INTERRUPT = "■ in the toolbar (interrupt the kernel) stops just as cleanly.";
const NO_CLICKS = "Here a click does not reach a cell that is running. To stop, press ■ in the " +
  "toolbar (interrupt the kernel): curve, numbers and network are kept.";
const SILENT = "Nothing has come for 15 seconds: if the kernel was restarted, run the cell again.";
const PATIENCE = 4000; // milliseconds until the controls say that no click gets through
const SILENCE = 15000; // and until they say that nothing comes any more

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** 1, 2 or 5 times a power of ten, the next from `value` on: the step from one tick to the next. */
function niceStep(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * unit >= value * 0.999) * unit;
}

/** One panel as SVG, in two parts: axes, which stay, and lines with a dot and a label at the end. */
function panel(box, title, lines, marks, top, epochs, size) {
  const { left, width, height } = box;
  const x = (epoch) => left + (width * epoch) / epochs;
  const y = (value) => box.top + height * (1 - Math.min(value, top) / top);
  const text = (px, py, words, color, anchor = "start") =>
    `<text x="${px.toFixed(1)}" y="${py.toFixed(1)}" fill="${color}" text-anchor="${anchor}" ` +
    `paint-order="stroke" stroke="white" stroke-width="4">${escape(words)}</text>`;
  const line = (x1, y1, x2, y2, color, more = "") =>
    `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${color}" ${more}/>`;
  let axes = text(left, box.top - 0.7 * size, title, BLACK);
  const gap = niceStep(top / 6);
  for (let value = 0; value < top * 1.001; value += gap) {
    if (value) axes += line(left, y(value), left + width, y(value), "#DDDDDD");
    axes += text(left - 6, y(value) + 0.35 * size, String(+value.toFixed(4)), BLACK, "end");
  }
  const step = Math.max(1, niceStep((epochs * 2.5 * size) / width));
  for (let epoch = 0; epoch <= epochs; epoch += step)
    axes += text(x(epoch), box.top + height + 1.4 * size, String(epoch), BLACK, "middle");
  axes += text(left + width, box.top + height + 2.7 * size, "epoch", BLACK, "end");
  axes += line(left, box.top + height, left + width, box.top + height, GREY);
  marks.forEach(([epoch, words], i) => {
    axes += line(x(epoch), box.top, x(epoch), box.top + height, BLACK, 'stroke-dasharray="2 4"');
    if (words) axes += text(x(epoch) + 4, box.top + height - 6 - (i % 4) * 1.3 * size, words, BLACK);
  });
  const ends = [];
  let curves = "";
  for (const { name, points, color, dash, thick } of lines) {
    if (!points.length) continue;
    const path = points.map(([e, v]) => `${x(e).toFixed(1)} ${y(v).toFixed(1)}`).join("L");
    curves += `<path d="M${path}" fill="none" stroke="${color}" stroke-width="${thick}" ` +
      `stroke-linejoin="round" ${dash ? 'stroke-dasharray="8 4"' : ""}/>`;
    const [epoch, value] = points[points.length - 1];
    curves += `<circle cx="${x(epoch)}" cy="${y(value)}" r="${1.8 * thick}" fill="${color}"/>`;
    ends.push({ px: x(epoch) + 0.6 * size, py: y(value), name, color, dot: y(value) });
  }
  // From the bottom up the labels make room for each other.
  ends.sort((a, b) => b.dot - a.dot);
  ends.forEach((end, i) => {
    for (const other of ends.slice(0, i))
      if (Math.abs(other.px - end.px) < 0.6 * size * Math.max(other.name.length, end.name.length))
        end.py = Math.min(end.py, other.py - 1.25 * size);
    curves += text(end.px, end.py + 0.35 * size, end.name, end.color);
  });
  return [axes, curves];
}

/** The chart for a given width, in CSS pixels: panels beside each other where there is room. */
function chart(fixed, now, width) {
  const size = fixed.projector ? 20 : 14, thick = fixed.projector ? 3.5 : 2.5;
  const names = ["train", fixed.label, ...fixed.earlier.map((run) => run.label)];
  const room = 0.6 * size * Math.max(...names.map((name) => name.length));
  const beside = width > 40 * size, left = 3.2 * size, top = 2 * size;
  const columnWidth = beside ? width / 2 : width;
  // One above the other they are flat enough for both, the controls and some code on the screen.
  const flat = Math.max(6 * size, window.innerHeight / 2 - 15.2 * size);
  const height = Math.min(0.5 * columnWidth, beside ? 16 * size : flat);
  const row = height + top + 3.2 * size;
  const box = (i) => ({
    left: left + (beside ? i * columnWidth : 0), top: top + (beside ? 0 : i * row),
    width: Math.max(columnWidth - left - room - 1.5 * size, 60), height,
  });
  const grey = { color: GREY, thick: 0.7 * thick };
  const old = (key, dash) =>
    fixed.earlier.map((run) => ({ name: run.label, points: run[key], dash, ...grey }));
  const losses = old("loss", false), accuracies = old("test", true);
  const name = fixed.earlier.length ? fixed.label : "train";
  losses.push({ name, points: now.loss, color: BLUE, thick });
  accuracies.push({ name: "train", points: now.train, color: BLUE, thick });
  accuracies.push({ name: "test", points: now.test, color: ORANGE, dash: true, thick });
  const highest = Math.max(0.01, ...losses.flatMap((line) => line.points.map((p) => p[1])));
  const plainMarks = now.marks.map(([epoch]) => [epoch, ""]);
  const epochs = fixed.num_epochs;
  const [axes, curves] = panel(box(0), "loss", losses, now.marks, 1.05 * highest, epochs, size);
  const [moreAxes, more] = panel(box(1), "accuracy", accuracies, plainMarks, 1, epochs, size);
  return {
    frame:
      `<svg width="${width}" height="${beside ? row : 2 * row}" font-size="${size}" role="img">` +
      `${axes}${moreAxes}<g></g></svg>`,
    curves: curves + more,
  };
}

const CONTROLS = `
  <div class="picture"></div><div class="numbers"></div>
  <div class="controls">
    <button type="button" class="pause">Pause</button>
    <button type="button" class="stop">Stop</button>
    <label>learning rate <input type="range" step="0.05"> <output aria-live="off"></output></label>
  </div><p class="line" role="status"></p>`;

/** Off is what does nothing. It keeps the keyboard's focus, which `disabled` would take from it. */
const switchOff = (control, off) => control.setAttribute("aria-disabled", off);
const isOff = (control) => control.getAttribute("aria-disabled") === "true";

function render({ model, el }) {
  const fixed = model.get("fixed"), began = Date.now();
  let heardAt = began, asked = false; // when something came last; whether to end a pause was asked
  el.classList.add("lenet-live");
  el.classList.toggle("projector", fixed.projector);
  el.innerHTML = CONTROLS;
  const find = (selector) => el.querySelector(selector);
  const picture = find(".picture"), pause = find(".pause"), stop = find(".stop");
  const slider = find("input"), output = find("output");
  const exponent = Math.log10(fixed.lr);
  slider.min = Math.min(-3, Math.floor(exponent));
  slider.max = Math.max(1, Math.ceil(exponent));
  slider.value = exponent;
  let position = slider.value; // where it is left while it is off
  let moved = false; // until then the rate is the run's own, which may lie between two steps
  const rate = () => String(moved ? +(10 ** slider.value).toPrecision(2) : fixed.lr);
  const showRate = () => {
    output.textContent = rate();
    slider.setAttribute("aria-valuetext", rate());
  };
  let drawn = ""; // the axes, which are seldom others: 8 ms a picture in place of 12 in Chromium
  const draw = () => {
    const now = model.get("now"), width = el.clientWidth - 16;
    if (!now.loss || width <= 0 || document.hidden) return; // nobody looks
    const { frame, curves } = chart(fixed, now, width);
    if (frame !== drawn) picture.innerHTML = drawn = frame;
    picture.querySelector("g").innerHTML = curves;
    const what = `Training curves of ${fixed.label}: ${now.numbers.join(", ")}`;
    picture.firstChild.setAttribute("aria-label", what);
    find(".numbers").innerHTML = now.numbers.map((n) => `<span>${escape(n)}</span>`).join("");
    control(now);
  };
  const control = (now) => {
    const silent = !now.over && (!now.paused || asked) && Date.now() > heardAt + SILENCE;
    const off = !now.heard || now.stopping || now.over || silent;
    for (const button of [pause, stop]) switchOff(button, off);
    switchOff(slider, off || !fixed.lr_adjustable);
    const name = now.paused ? "Go on" : "Pause";
    if (pause.textContent !== name) pause.textContent = name;
    const late = !now.heard && Date.now() > began + PATIENCE;
    const words = now.over
      ? "Training is over. Its Run is what train_ch6 has returned: print it to see the numbers."
      : silent ? SILENT : (late ? NO_CLICKS : INTERRUPT) +
        (fixed.lr_adjustable ? "" : " The learning rate is set by the scheduler.");
    // Only what is new: it is read out to those who do not see it.
    if (find(".line").textContent !== words) find(".line").textContent = words;
  };
  const press = (button) => {
    if (isOff(button)) return;
    // A pause is silent; what ends it is answered, or there is no kernel any more.
    if (model.get("now").paused) [heardAt, asked] = [Date.now(), true];
    model.send({ do: button.className });
  };
  pause.onclick = () => press(pause);
  stop.onclick = () => press(stop);
  slider.oninput = () => {
    if (isOff(slider)) slider.value = position;
    else moved = true;
    position = slider.value;
    showRate();
  };
  slider.onchange = () => isOff(slider) || model.send({ do: "lr", value: 10 ** slider.value });
  // JupyterLab asks for the thread that hears us when it hears of the widget; what is sent before
  // that thread is there waits until the cell ends. So it says that it is here until it is heard.
  const ready = setInterval(() => {
    const { heard, over } = model.get("now");
    if (heard || over) clearInterval(ready);
    else model.send({ do: "ready" });
  }, 400);
  // JupyterLab would take the slider's arrow keys for its own: it listens at the document.
  const keep = (event) => el.contains(event.target) && event.stopPropagation();
  window.addEventListener("keydown", keep, true);
  // At the end a picture takes our place. A focus that goes with us would leave the next Tab at the
  // top of the page: the cell keeps it.
  el.addEventListener("focusout", (event) => {
    const cell = el.closest(".jp-Cell");
    if (!event.relatedTarget) setTimeout(() => el.isConnected || cell?.focus({ preventScroll: true }));
  });
  const watcher = new ResizeObserver(draw);
  watcher.observe(el);
  document.addEventListener("visibilitychange", draw);
  const changed = () => {
    [heardAt, asked] = [Date.now(), false];
    draw();
  };
  model.on("change:now", changed);
  const watch = setInterval(() => model.get("now").loss && control(model.get("now")), 1000);
  showRate();
  draw();
  return () => {
    clearInterval(ready);
    clearInterval(watch);
    watcher.disconnect();
    window.removeEventListener("keydown", keep, true);
    document.removeEventListener("visibilitychange", draw);
    model.off("change:now", changed);
  };
}

export default { render };
