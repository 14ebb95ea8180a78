const caseBrowser = (() => {
  "use strict";
  const MOST_ARMS_AT_FIRST = 4;
  const WIDTH_DRAWN = 720; // pixels of a canvas, about: sharp lines on dense screens

  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  // Between pixel centres, the border continued: as tailscope.core.resize_bilinear.
  const placesOf = (source, target) => Array.from({ length: target }, (_, index) => {
    const position = Math.min(Math.max(((index + 0.5) * source) / target - 0.5, 0), source - 1);
    const low = Math.floor(position);
    return [low, Math.min(low + 1, source - 1), position - low];
  });
  const upsampled = (levels, [height, width], [tall, wide]) => {
    const rows = placesOf(height, tall);
    const columns = placesOf(width, wide);
    const values = new Float32Array(tall * wide);
    rows.forEach(([low, high, share], row) => columns.forEach(([left, right, part], column) => {
      const above = levels[low * width + left] * (1 - part) + levels[low * width + right] * part;
      const below = levels[high * width + left] * (1 - part) + levels[high * width + right] * part;
      values[row * wide + column] = (above * (1 - share) + below * share) / 255;
    }));
    return values;
  };

  // An outline tells its inside: along a row, every upright edge leads in or out.
  const maskOf = (outline, [tall, wide]) => {
    const edges = new Uint8Array(tall * (wide + 1));
    for (const [, column, row, length] of outline.matchAll(/M(\d+) (\d+)v(\d+)/g)) {
      for (let step = 0; step < Number(length); step += 1) edges[(Number(row) + step) * (wide + 1) + Number(column)] ^= 1;
    }
    const mask = new Uint8Array(tall * wide);
    for (let row = 0; row < tall; row += 1) {
      let inside = 0;
      for (let column = 0; column < wide; column += 1) {
        inside ^= edges[row * (wide + 1) + column];
        mask[row * wide + column] = inside;
      }
    }
    return mask;
  };

  const limitOf = (values, kind, share) => (kind === "maximum" ? share
    : Float32Array.from(values).sort()[Math.min(Math.floor(share * values.length), values.length - 1)]);
  const isKept = (value, limit) => value > 0 && value >= limit;
  const regionOf = (values, mask, limit) => {
    let kept = 0;
    let both = 0;
    let drawn = 0;
    for (let place = 0; place < values.length; place += 1) {
      const inside = isKept(values[place], limit);
      kept += inside;
      drawn += mask[place];
      both += inside && mask[place];
    }
    return { share: kept / values.length, iou: kept + drawn - both ? both / (kept + drawn - both) : null };
  };

  const decimal = (value) => (value === null ? "–" : value.toFixed(2).replace(/^-(0\.00)$/, "$1").replace("-", "−"));
  const signed = (value) => (value !== null && Number(value.toFixed(2)) > 0 ? `+${decimal(value)}` : decimal(value));
  const percent = (share) => `${(100 * share).toFixed(share >= 0.1 || share === 0 ? 0 : 1)} %`;
  const minus = (a, b) => (a === null || b === null ? null : a - b);

  const viewOf = (one, arm, method) => one.views.find((view) => view.arm === arm && view.method === method);
  const differenceOf = (one, measure, method) => {
    const views = one.views.filter((view) => view.method === method);
    const control = views.find((view) => view.arm === 0);
    const gaps = views.map((view) => minus(view[measure], control ? control[measure] : null));
    return Math.max(-1, ...gaps.filter((gap) => gap !== null).map(Math.abs));
  };
  const ordered = (data, { kind, order, method }) => {
    const places = data.cases.map((_, place) => place).filter((place) => data.cases[place].class === kind);
    if (order === "drawn") return places;
    const gap = new Map(places.map((place) => [place, differenceOf(data.cases[place], order, method)]));
    return places.sort((a, b) => gap.get(b) - gap.get(a) || a - b);
  };

  const overlayOf = (values, [tall, wide], limit, opacity, data) => {
    const layer = new OffscreenCanvas(wide, tall);
    const pixels = new ImageData(wide, tall);
    values.forEach((value, place) => {
      if (!isKept(value, limit)) return;
      const level = 3 * Math.round(value * 255);
      pixels.data.set(data.colours.subarray(level, level + 3), 4 * place);
      pixels.data[4 * place + 3] = Math.round(255 * opacity * value ** data.fading);
    });
    layer.getContext("2d").putImageData(pixels, 0, 0);
    return layer;
  };
  const paint = (canvas, one, picture, overlay, hasOutline) => {
    const [tall, wide] = one.size;
    const pen = canvas.getContext("2d");
    const scale = canvas.width / wide;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    if (overlay) pen.drawImage(overlay, 0, 0, canvas.width, canvas.height);
    if (!hasOutline) return;
    const path = new Path2D(one.outline);
    const line = Math.max(tall, wide) / 180;
    pen.save();
    pen.scale(scale, scale);
    pen.lineCap = "square";
    for (const [colour, width] of [["#000", 2.4 * line], ["#56d7ff", line]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.stroke(path);
    }
    pen.restore();
  };

  const start = (root, data) => {
    const pictures = new Map();
    const pictureOf = (place) => {
      if (!pictures.has(place)) {
        const address = data.images[place];
        const picture = new Image();
        picture.src = address.startsWith("#") ? document.querySelector(address).getAttribute("href") : address;
        pictures.set(place, picture.decode().then(() => picture));
      }
      return pictures.get(place);
    };
    const part = (name) => root.querySelector(`[data-part="${name}"]`);
    const control = (name) => root.querySelector(`[data-control="${name}"]`);
    const boxes = () => [...part("arms").querySelectorAll("input")];
    const defaults = {
      order: "drawn", method: 0, opacity: Math.round(100 * data.strongest), threshold: 0, kind: "maximum", outline: 1,
      arms: data.arms.map((_, arm) => arm).slice(0, MOST_ARMS_AT_FIRST).join(","),
    };
    const state = { ...defaults, case: 0 };
    let cells = [];

    const list = () => ordered(data, { kind: data.cases[state.case].class, order: state.order, method: state.method });
    const option = (text, value) => Object.assign(document.createElement("option"), { textContent: text, value });
    const element = (name, text, className = "") => Object.assign(document.createElement(name), { textContent: text, className });

    const fill = () => {
      data.classes.forEach(({ name, group, prevalence }, place) => {
        const told = prevalence ? `${group}, ${prevalence} of training images` : group;
        control("class").append(option(`${name} (${told})`, place));
      });
      data.methods.forEach((name, place) => control("method").append(option(name, place)));
      part("methods").hidden = data.methods.length < 2;
      data.arms.forEach((name, arm) => {
        const label = document.createElement("label");
        label.append(Object.assign(document.createElement("input"), { type: "checkbox", value: arm }), ` ${name}`);
        part("arms").append(label);
      });
      part("control").textContent = data.arms[0];
    };

    const told = () => {
      const one = data.cases[state.case];
      const places = list();
      const why = one.chosen ? `Picked because ${one.chosen}` : "Drawn by a hash of the image's id";
      const labels = one.labels.length ? ` Labelled positive: ${one.labels.join(", ")}.` : "";
      return `Case ${state.case + 1} (${data.classes[one.class].name}, ${places.indexOf(state.case) + 1} of ${places.length}): `
        + `${one.name}, annotated area ${one.area}.${labels} ${why}.`;
    };
    const scores = (view, reference) => {
      const told = (measure) => {
        const gap = view === reference || !reference ? "" : ` (${signed(minus(view[measure], reference[measure]))})`;
        return `${measure === "excess" ? signed(view.excess) : decimal(view.probability)}${gap}`;
      };
      return [`predicted ${told("probability")}`, `excess ${told("excess")}`];
    };

    const cellOf = (heading, lines, one) => {
      const box = element("div", "", "seen");
      const canvas = document.createElement("canvas");
      const scale = Math.max(1, Math.round(WIDTH_DRAWN / one.size[1]));
      [canvas.height, canvas.width] = one.size.map((side) => side * scale);
      canvas.setAttribute("role", "img");
      const below = document.createElement("div");
      below.append(...lines.map((line) => element("p", line)));
      const region = element("p", "");
      below.append(region);
      box.append(element("p", heading, "arm"), canvas, below);
      return { box, canvas, region, heading, lines };
    };
    const build = () => {
      const one = data.cases[state.case];
      const method = state.method;
      const mask = maskOf(one.outline, one.size);
      const reference = viewOf(one, 0, method);
      cells = [{ ...cellOf("image", [], one), values: null, mask }];
      for (const arm of state.arms ? state.arms.split(",").map(Number) : []) {
        const view = viewOf(one, arm, method);
        if (!view) continue;
        const values = view.levels ? upsampled(bytesOf(view.levels), view.grid, one.size) : null;
        cells.push({ ...cellOf(data.arms[arm], scores(view, reference), one), view, values, mask });
      }
      const columns = cells.length <= 5 ? cells.length : Math.ceil(cells.length / 2);
      part("pictures").style.setProperty("--columns", Math.max(columns, 3));
      part("pictures").replaceChildren(...cells.map((cell) => cell.box));
      if (part("told").textContent !== told()) part("told").textContent = told();
    };

    const describe = (cell, limit) => {
      if (!cell.view) return state.outline ? "outline: annotation" : "without the outline";
      if (!cell.values) return `degenerate map: ${cell.view.degenerate}`;
      const { share, iou } = regionOf(cell.values, cell.mask, limit);
      return `coloured ${percent(share)} of the image, IoU ${decimal(iou)}`;
    };
    const redraw = async () => {
      const one = data.cases[state.case];
      const drawn = cells;
      const picture = await pictureOf(one.image);
      if (drawn !== cells) return; // another case was asked for meanwhile
      for (const cell of drawn) {
        const limit = cell.values ? limitOf(cell.values, state.kind, state.threshold / 100) : 0;
        const overlay = cell.values && overlayOf(cell.values, one.size, limit, state.opacity / 100, data);
        paint(cell.canvas, one, picture, overlay, Boolean(state.outline));
        cell.region.textContent = describe(cell, limit);
        const seen = cell.view ? `${cell.heading}: saliency over the image` : "The image alone";
        const name = data.classes[one.class].name;
        cell.canvas.setAttribute("aria-label", [`${seen}, ${name}`, ...cell.lines, cell.region.textContent].join("; "));
      }
      root.dataset.drawn = state.case + 1;
    };
    const show = () => {
      const { case: place, arms, ...rest } = state;
      control("class").value = data.cases[place].class;
      for (const name of ["order", "method", "opacity", "threshold", "kind"]) control(name).value = rest[name];
      for (const name of ["opacity", "threshold"]) control(name).nextElementSibling.value = `${rest[name]} %`;
      control("outline").checked = Boolean(rest.outline);
      for (const box of boxes()) box.checked = arms.split(",").includes(box.value);
      build();
      return redraw();
    };

    const keep = () => {
      const changed = Object.keys(defaults).filter((name) => state[name] !== defaults[name]);
      const address = new URLSearchParams([["case", state.case + 1], ...changed.map((name) => [name, state[name]])]);
      history.replaceState(null, "", `#${address}`);
    };
    let waiting = 0;
    const keepSoon = () => { // browsers refuse many changes of the address within seconds
      clearTimeout(waiting);
      waiting = setTimeout(keep, 300);
    };
    const isChoice = (name, value) => [...control(name).options].some((one) => one.value === value);
    const recall = () => {
      const told = new URLSearchParams(location.hash.slice(1));
      const place = Number(told.get("case")) - 1;
      if (!(place in data.cases)) return false;
      Object.assign(state, defaults, { case: place });
      for (const name of ["order", "kind"]) if (isChoice(name, told.get(name))) state[name] = told.get(name);
      if (isChoice("method", told.get("method"))) state.method = Number(told.get("method"));
      for (const name of ["opacity", "threshold"]) {
        const value = Number(told.get(name) ?? NaN);
        if (value >= 0 && value <= Number(control(name).max)) state[name] = value;
      }
      if (told.get("outline") === "0") state.outline = 0;
      if (told.has("arms")) state.arms = told.get("arms").split(",").filter((arm) => data.arms[arm]).join(",");
      return true;
    };

    const change = {
      class: (value) => {
        state.case = data.cases.findIndex((one) => one.class === Number(value));
        [state.case] = list();
      },
      order: (value) => {
        state.order = value;
        [state.case] = list();
      },
      method: (value) => { state.method = Number(value); },
      opacity: (value) => { state.opacity = Number(value); },
      threshold: (value) => { state.threshold = Number(value); },
      kind: (value) => { state.kind = value; },
      outline: (value, box) => { state.outline = Number(box.checked); },
    };
    const isSlider = (name) => name === "opacity" || name === "threshold";
    const step = (by) => {
      const places = list();
      state.case = places[(places.indexOf(state.case) + by + places.length) % places.length];
      show();
      keepSoon();
    };

    fill();
    const isLinked = recall();
    root.addEventListener("input", ({ target }) => {
      const name = target.dataset.control;
      if (name) change[name](target.value, target);
      else state.arms = boxes().filter((box) => box.checked).map((box) => box.value).join(",");
      if (isSlider(name)) {
        target.nextElementSibling.value = `${target.value} %`;
        redraw();
      } else show();
      keepSoon();
    });
    root.addEventListener("click", ({ target }) => {
      if (target.dataset.step) step(Number(target.dataset.step));
    });
    root.addEventListener("keydown", (press) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[press.key];
      if (!by || press.target.matches("select, input") || press.ctrlKey || press.altKey || press.metaKey) return;
      press.preventDefault();
      step(by);
    });
    addEventListener("hashchange", () => {
      if (recall()) show();
    });
    root.hidden = false;
    root.parentElement.classList.add("browsed");
    show();
    if (isLinked) root.scrollIntoView({ behavior: "instant" });
  };

  const root = document.getElementById("case-browser");
  if (root) {
    const data = JSON.parse(document.getElementById("case-data").textContent);
    start(root, { ...data, colours: bytesOf(data.colours) });
  }
  return { upsampled, maskOf, limitOf, regionOf, ordered };
})();
