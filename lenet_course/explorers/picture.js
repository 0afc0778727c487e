// A picture of an explorer: its SVG, which kernel and page know by the same coordinates; presses
// and arrow keys in it; and a line that says so when the kernel leaves a control unanswered.

const SVG = "http://www.w3.org/2000/svg";
const LATE = 1000; // milliseconds without an answer, until that is said
const WAITING = "No answer yet: a cell is running, and this waits until it is done. (After a " +
  "restart of the kernel, run the cell above again.)";
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The stroke that is being drawn, seen at once: the kernel may take its time. */
function startStroke(svg, { width, color, box }) {
  const field = svg.appendChild(document.createElementNS(SVG, "svg")); // cuts off what lies outside
  const [x, y, wide, high] = box;
  Object.entries({ x, y, width: wide, height: high, viewBox: box.join(" ") }).forEach(
    ([name, value]) => field.setAttribute(name, value));
  const line = field.appendChild(document.createElementNS(SVG, "polyline"));
  line.setAttribute("style", `fill: none; stroke: ${color}; stroke-width: ${width}px; ` +
    "stroke-linecap: round; stroke-linejoin: round");
  return field;
}

function render({ model, el }) {
  el.classList.add("lenet-picture");
  const picture = el.appendChild(document.createElement("div"));
  const message = el.appendChild(document.createElement("p"));
  picture.setAttribute("aria-live", "polite"); // a new description is read out
  message.setAttribute("role", "status");
  const hint = model.get("hint"), clickable = model.get("clickable");
  picture.classList.toggle("clickable", clickable);
  if (hint) {
    picture.tabIndex = 0;
    picture.setAttribute("role", "application"); // arrow keys reach us from screen readers, too
    picture.setAttribute("aria-label", hint);
  }
  picture.classList.toggle("drawn", !!model.get("pen").box);
  let stroke = null, waiting = null;

  const draw = () => {
    const points = stroke?.querySelector("polyline").getAttribute("points");
    picture.innerHTML = model.get("svg");
    const seen = picture.querySelector("svg")?.getAttribute("aria-label") ?? "";
    if (hint) picture.setAttribute("aria-description", seen); // its name is the hint
    if (stroke) picture.querySelector("svg")?.append(stroke);
    if (points) stroke.querySelector("polyline").setAttribute("points", points);
  };
  const place = (event) => {
    const svg = picture.querySelector("svg");
    const point = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(svg.getScreenCTM().inverse());
    const line = stroke?.querySelector("polyline");
    line?.setAttribute("points", `${line.getAttribute("points") ?? ""} ${point.x},${point.y} ` +
      `${point.x + 0.1},${point.y}`); // a point needs some length to be seen
    return [point.x, point.y];
  };

  picture.onpointerdown = (event) => {
    if (!clickable || event.button) return;
    picture.setPointerCapture(event.pointerId); // what is under the finger is drawn anew meanwhile
    const pen = model.get("pen");
    if (pen.box) stroke = startStroke(picture.querySelector("svg"), pen);
    model.send({ do: "press", place: place(event) });
  };
  picture.onpointermove = (event) => stroke && model.send({ do: "move", place: place(event) });
  picture.onpointerup = picture.onpointercancel = () => {
    if (stroke) model.send({ do: "release" });
    stroke = null; // what has been drawn stays until the next picture, which has it
  };
  const inCard = (target) => target.closest?.(".lenet-card")?.contains(el);
  // JupyterLab listens at the document, and would take the arrow keys of all controls for its own.
  const key = (event) => {
    if (!inCard(event.target)) return;
    event.stopPropagation();
    if (!hint || event.target !== picture || !(event.key in ARROWS)) return;
    event.preventDefault();
    model.send({ do: "arrow", place: ARROWS[event.key] });
    ask(event);
  };

  // Each use of a control is followed by a question. The kernel answers in the order of asking, so
  // as long as there is no answer, the control's work is not done either.
  const ask = (event) => {
    if (waiting || !inCard(event.target)) return;
    waiting = setTimeout(() => { message.textContent = WAITING; }, LATE);
    model.send({ do: "ask" });
  };
  const answered = () => {
    clearTimeout(waiting);
    waiting = null;
    message.textContent = "";
  };
  const kinds = ["click", "input", "change", "pointerdown"];
  kinds.forEach((kind) => document.addEventListener(kind, ask));
  window.addEventListener("keydown", key, true);
  // The card around it, which ipywidgets makes: it is there once this has a size on the page.
  const watcher = new ResizeObserver(() => {
    const card = el.closest(".lenet-card");
    card?.setAttribute("role", "group");
    card?.setAttribute("aria-label", model.get("title"));
  });
  watcher.observe(el);
  model.on("change:svg", draw);
  model.on("msg:custom", answered);
  draw();
  return () => {
    kinds.forEach((kind) => document.removeEventListener(kind, ask));
    window.removeEventListener("keydown", key, true);
    watcher.disconnect();
  };
}

export default { render };
