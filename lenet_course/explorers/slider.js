// A slider of an explorer: its name and value, a step down, the track, a step up, and, where
// `play` says how many milliseconds a step takes, a button that plays through its values.

function render({ model, el }) {
  const get = (name) => model.get(name);
  el.classList.add("lenet-slider");
  el.innerHTML = `<label><span></span> <output aria-live="off"></output></label>
    <button type="button" class="down">−</button><input type="range">
    <button type="button" class="up">+</button><button type="button" class="play">▶</button>`;
  const find = (selector) => el.querySelector(selector);
  const track = find("input"), play = find(".play");
  let playing = null;

  const words = (value) => get("log") ? String(+(10 ** value).toPrecision(3)) :
    value.toFixed(get("digits")).replace("-", "−");
  const show = () => {
    const name = get("description"), value = get("value");
    for (const key of ["min", "max", "step"]) track[key] = get(key);
    track.value = value;
    track.setAttribute("aria-label", name);
    track.setAttribute("aria-valuetext", words(value));
    find("span").textContent = name;
    find("output").textContent = words(value);
    find(".down").ariaLabel = `${name}: one step down`;
    find(".up").ariaLabel = `${name}: one step up`;
    play.ariaLabel = `${playing ? "stop" : "play"} ${name}`;
    play.textContent = playing ? "❚❚" : "▶";
    play.hidden = !get("play");
    for (const control of [track, ...el.querySelectorAll("button")]) control.disabled = get("disabled");
  };
  const set = (value) => {
    track.value = value; // the browser keeps it within its limits and on its steps
    model.set("value", +track.value);
    model.save_changes();
    show();
  };
  const stop = () => {
    clearInterval(playing);
    playing = null;
    show();
  };
  const next = () => (get("value") < get("max") ? set(get("value") + get("step")) : stop());
  const start = () => {
    if (get("value") >= get("max")) set(get("min"));
    playing = setInterval(next, get("play"));
    show();
  };
  track.oninput = () => set(+track.value);
  find(".down").onclick = () => set(get("value") - get("step"));
  find(".up").onclick = () => set(get("value") + get("step"));
  play.onclick = () => (playing ? stop() : start());
  model.on("change", show);
  show();
  return () => clearInterval(playing);
}

export default { render };
